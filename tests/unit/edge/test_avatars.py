"""Pictures that people send to be shown by: drawn anew, square, and nothing else than a picture."""

from __future__ import annotations

import asyncio
import base64
import random
import threading
from contextlib import suppress
from io import BytesIO

import pytest
from PIL import Image, PngImagePlugin

from prog_contracts.errors import Invalid, Unavailable
from prog_contracts.profiles import AVATAR_MAX_BYTES
from prog_edge import pictures
from prog_edge.avatars import SENT_MAX_BYTES, draw
from tests.unit.edge.test_logos import bomb, picture


def shown(content: bytes) -> Image.Image:
    drawn = base64.b64decode(draw(content))
    assert len(drawn) <= AVATAR_MAX_BYTES
    image = Image.open(BytesIO(drawn))
    assert (image.format, image.size) == ("WEBP", (256, 256))
    return image


def refusal(content: bytes) -> str:
    with pytest.raises(Invalid) as caught:
        draw(content)
    assert caught.value.fields[0].field == "image"
    return caught.value.fields[0].code


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (40, 900), (900, 40), (2000, 1500)])
def test_a_picture_of_any_shape_becomes_a_square(kind: str, size: tuple[int, int]) -> None:
    blue = shown(picture(size, kind)).convert("RGB").getpixel((128, 128))
    assert isinstance(blue, tuple)
    assert all(abs(is_now - was) < 12 for is_now, was in zip(blue, (0x2F, 0x52, 0xD6), strict=True))


def test_neither_place_nor_maker_nor_programs_are_kept() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRET-CAMERA"
    exif[0x8825] = {1: "N", 2: (51.0, 30.0, 0.0)}  # where it was taken
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", "<script>SECRET</script>")
    profile = b"SECRET-PROFILE" * 20
    for sent in (
        picture((300, 300), "JPEG", exif=exif, icc_profile=profile, comment=b"SECRET"),
        picture((300, 300), "PNG", pnginfo=told, exif=exif, icc_profile=profile) + b"<script>SECRET</script>",
        picture((300, 300), "WEBP", exif=exif.tobytes(), icc_profile=profile, xmp=b"SECRET"),
    ):
        drawn = base64.b64decode(draw(sent))
        assert b"SECRET" in sent
        assert not any(mark in drawn for mark in (b"SECRET", b"EXIF", b"ICCP", b"XMP ", b"script"))


def test_a_picture_that_a_camera_held_askew_is_upright() -> None:
    whole = Image.new("RGB", (200, 200), "#ff0000")
    whole.paste("#0000ff", (0, 0, 200, 100))  # the upper half is blue
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    file = BytesIO()
    whole.save(file, "JPEG", exif=exif)
    red, _, blue = shown(file.getvalue()).convert("RGB").getpixel((128, 40))  # type: ignore[misc]  # of RGB
    assert red > 200 > 60 > blue


def test_what_is_clear_stays_clear() -> None:
    file = BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(file, "PNG")
    assert shown(file.getvalue()).convert("RGBA").getpixel((0, 0))[3] == 0  # type: ignore[index]  # of RGBA


def test_a_small_file_fills_no_memory() -> None:
    assert refusal(bomb(100_000, 100_000)) == "too_large"
    assert refusal(bomb(4096, 3073)) == "too_large"
    assert refusal(b"\0" * (SENT_MAX_BYTES + 1)) == "too_large"


@pytest.mark.parametrize(
    "content",
    [b"", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", b"GIF89a", b"%PDF-1.7", b"RIFF\0\0\0\0WEBP"],
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    assert refusal(content) == "not_a_picture"


def test_noise_fits_or_is_refused() -> None:
    noise = Image.frombytes("RGB", (256, 256), random.Random(3).randbytes(256 * 256 * 3))
    file = BytesIO()
    noise.save(file, "PNG")
    shown(file.getvalue())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_file_is_drawn_or_refused_and_never_breaks_anything(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole, chance = picture((48, 48), kind, exif=exif), random.Random(11)
    for _ in range(200):
        damaged = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with suppress(Invalid):
            shown(bytes(damaged))


async def test_pictures_are_drawn_one_at_a_time_and_few_wait() -> None:
    easel, go_on = pictures.Easel(), threading.Event()
    at_work, most = 0, 0

    def slow(content: bytes) -> bytes:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        assert go_on.wait(60)
        at_work -= 1
        return content

    async with asyncio.timeout(60):
        waiting = [asyncio.create_task(easel.drawn(slow, bytes([each]))) for each in range(pictures.MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await easel.drawn(slow, b"one too many")
        go_on.set()
        assert await asyncio.gather(*waiting) == [bytes([each]) for each in range(pictures.MAX_WAITING)]
        assert await easel.drawn(slow, b"later") == b"later"
    assert most == 1
