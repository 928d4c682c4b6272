"""Pictures that people send as logos: drawn anew as a PNG of bounded size."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image

from prog_contracts.configuration import LOGO_MAX_BYTES
from prog_contracts.errors import Invalid
from prog_edge.pictures import easel, pixels_of

SENT_MAX_BYTES: Final = 512 * 1024
SENT_MAX_SIZE: Final = (2048, 2048)
MAX_SIZE: Final = (640, 320)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A PNG in base64, with its size in pixels."""

    content: str
    width: int
    height: int


async def drawn(picture: bytes) -> Drawn:
    """The picture as it may be kept. Raises Invalid for `image` where it is none, or too large."""
    return await easel.drawn(draw, picture)


def draw(picture: bytes) -> Drawn:
    pixels = pixels_of(picture, max_bytes=SENT_MAX_BYTES, max_size=SENT_MAX_SIZE, hint=SENT_MAX_SIZE)
    pixels.thumbnail(MAX_SIZE)
    content = _png(pixels)
    if len(content) > LOGO_MAX_BYTES:  # a photograph: 256 colours show a logo well enough
        content = _png(pixels.quantize(256, method=Image.Quantize.FASTOCTREE))
    if len(content) > LOGO_MAX_BYTES:
        raise Invalid.field("image", "too_large", "This picture has too many details for a logo; send a simpler one.")
    return Drawn(base64.b64encode(content).decode(), pixels.width, pixels.height)


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
