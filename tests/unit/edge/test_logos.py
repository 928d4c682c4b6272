"""Pictures that people send: drawn anew, bounded, and nothing else than a picture."""

from __future__ import annotations

import base64
import random
import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, PngImagePlugin

from prog_contracts.configuration import LOGO_MAX_BYTES
from prog_contracts.errors import Invalid
from prog_edge.logos import SENT_MAX_BYTES, draw


def picture(size: tuple[int, int] = (60, 30), kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, "#2f52d6").save(file, kind, **options)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def refusal(content: bytes) -> str:
    with pytest.raises(Invalid) as caught:
        draw(content)
    assert caught.value.fields[0].field == "image"
    return caught.value.fields[0].code


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_kept_as_png(kind: str) -> None:
    drawn = draw(picture(kind=kind))
    with Image.open(BytesIO(base64.b64decode(drawn.content))) as image:
        assert (image.format, image.size) == ("PNG", (60, 30))
    assert (drawn.width, drawn.height) == (60, 30)


def test_what_else_was_in_the_file_is_not_kept() -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", "<script>alert(1)</script>")
    sent = picture(pnginfo=told) + b"<script>alert(2)</script>"
    assert b"script" in sent
    assert b"script" not in base64.b64decode(draw(sent).content)


def test_a_large_picture_is_made_smaller_and_keeps_its_shape() -> None:
    drawn = draw(picture((2000, 1000)))
    assert (drawn.width, drawn.height) == (640, 320)
    drawn = draw(picture((100, 2000)))
    assert (drawn.width, drawn.height) == (16, 320)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing of the kind",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"%PDF-1.7",
    ],
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    assert refusal(content) == "not_a_picture"


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "ICO", "PPM"])
def test_other_kinds_of_pictures_are_refused(kind: str) -> None:
    assert refusal(picture(kind=kind)) == "not_a_picture"


def test_a_picture_is_refused_for_its_size_before_it_is_decoded() -> None:
    assert refusal(bomb(100_000, 100_000)) == "too_large"
    assert refusal(bomb(2049, 2048)) == "too_large"
    assert refusal(b"\0" * (SENT_MAX_BYTES + 1)) == "too_large"


def test_noise_fits_or_is_refused() -> None:
    noise = Image.frombytes("RGB", (640, 320), random.Random(1).randbytes(640 * 320 * 3))
    file = BytesIO()
    noise.save(file, "JPEG", quality=60)
    assert refusal(file.getvalue()) == "too_large"
    small = BytesIO()
    noise.crop((0, 0, 240, 240)).save(small, "PNG")
    assert len(small.getvalue()) > LOGO_MAX_BYTES
    assert len(base64.b64decode(draw(small.getvalue()).content)) <= LOGO_MAX_BYTES


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_that_was_damaged_is_drawn_or_refused_and_never_breaks_anything(kind: str) -> None:
    whole, chance = picture((64, 64), kind), random.Random(7)
    for _ in range(300):
        damaged = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            drawn = draw(bytes(damaged))
        except Invalid:
            continue
        assert drawn.width <= 640
        assert drawn.height <= 320
