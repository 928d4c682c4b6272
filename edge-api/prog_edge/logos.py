"""Pictures that people send as logos: read with care, and drawn anew.

A PNG, JPEG or WebP is decoded to pixels and written as a PNG of bounded size. What else was in the file (metadata, a
second format in the same bytes, a program) is not in what is kept and served. SVG is refused: it is a document that can
hold programs.
"""

from __future__ import annotations

import asyncio
import base64
import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image

from prog_contracts.configuration import LOGO_MAX_BYTES
from prog_contracts.errors import Invalid

SENT_MAX_BYTES: Final = 512 * 1024
MAX_PIXELS: Final = 2048 * 2048
"""Of the picture that is sent; checked before any pixel is decoded, so that a small file fills no memory."""
MAX_SIZE: Final = (640, 320)
_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_BROKEN: Final = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error)
"""What Pillow raises for files that are not what they say."""

_at_work = asyncio.Semaphore(1)
"""One picture at a time: drawing takes a core for moments, and reads go on meanwhile."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A PNG in base64, with its size in pixels."""

    content: str
    width: int
    height: int


async def drawn(picture: bytes) -> Drawn:
    """The picture as it may be kept. Raises Invalid for `image` where it is none, or too large."""
    async with _at_work:
        return await asyncio.to_thread(draw, picture)


def draw(picture: bytes) -> Drawn:
    if len(picture) > SENT_MAX_BYTES:
        raise Invalid.field("image", "too_large", f"A picture has {SENT_MAX_BYTES // 1024} KiB at most.")
    try:
        with Image.open(BytesIO(picture), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large()
            pixels = image.convert("RGBA")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large() from None
    except _BROKEN:
        raise Invalid.field("image", "not_a_picture", "Send a PNG, JPEG or WebP picture.") from None
    pixels.thumbnail(MAX_SIZE)
    content = _png(pixels)
    if len(content) > LOGO_MAX_BYTES:  # a photograph: 256 colours show a logo well enough
        content = _png(pixels.quantize(256, method=Image.Quantize.FASTOCTREE))
    if len(content) > LOGO_MAX_BYTES:
        raise Invalid.field("image", "too_large", "This picture has too many details for a logo; send a simpler one.")
    return Drawn(base64.b64encode(content).decode(), pixels.width, pixels.height)


def _too_large() -> Invalid:
    return Invalid.field("image", "too_large", "A picture has 2048 by 2048 pixels at most.")


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
