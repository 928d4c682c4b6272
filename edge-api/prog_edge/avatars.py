"""Pictures that people are shown by: drawn anew as a WebP, square, of 256 pixels, cut out of the middle."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Final

from PIL import Image, ImageOps

from prog_contracts.errors import Invalid
from prog_contracts.profiles import AVATAR_MAX_BYTES, AVATAR_SIZE
from prog_edge.pictures import easel, pixels_of

SENT_MAX_BYTES: Final = 700 * 1024
"""What fits into a body of 1 MiB as base64."""
SENT_MAX_SIZE: Final = (4096, 3072)
_QUALITIES: Final = (85, 70, 50)
"""Tried until the file is small enough; almost every picture is at the first."""


async def drawn(picture: bytes) -> str:
    """The picture as it may be kept, in base64. Raises Invalid for `image` where it is none, or too large."""
    return await easel.drawn(draw, picture)


def draw(picture: bytes) -> str:
    hint = (2 * AVATAR_SIZE, 2 * AVATAR_SIZE)
    pixels = pixels_of(picture, max_bytes=SENT_MAX_BYTES, max_size=SENT_MAX_SIZE, hint=hint)
    square = ImageOps.fit(pixels, (AVATAR_SIZE, AVATAR_SIZE), method=Image.Resampling.LANCZOS)
    if square.getchannel("A").getextrema()[0] == 255:
        square = square.convert("RGB")
    for quality in _QUALITIES:
        file = BytesIO()
        square.save(file, "WEBP", quality=quality)
        if file.tell() <= AVATAR_MAX_BYTES:
            return base64.b64encode(file.getvalue()).decode()
    raise Invalid.field("image", "too_large", "This picture has too many details; send a simpler one.")
