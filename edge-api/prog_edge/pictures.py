"""Pictures that people send: read with care, so that they can be drawn anew.

A PNG, JPEG or WebP is decoded to pixels. What else was in the file (metadata, a second format in the same bytes, a
program) is not in what is drawn of them. SVG is refused: it is a document that can hold programs.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Final, TypeVar

from PIL import Image

from prog_contracts.errors import Invalid, Unavailable

Drawn = TypeVar("Drawn")

MAX_WAITING: Final = 20
"""So many pictures wait for their turn; whoever comes then is told to come again."""
_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_BROKEN: Final = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error)
"""What Pillow raises for files that are not what they say."""
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final[Mapping[int, Image.Transpose]] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
"""What turns a picture as a camera has held it (Exif 2.32, tag Orientation)."""


class Easel:
    """One picture at a time: drawing takes a core for moments, and reads go on meanwhile."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(1)
        self._waiting = 0

    async def drawn(self, draw: Callable[[bytes], Drawn], picture: bytes) -> Drawn:
        """What `draw` makes of the picture. Raises what it raises, and Unavailable when many wait already."""
        if self._waiting >= MAX_WAITING:
            raise Unavailable("Many pictures are being drawn. Try again in a moment.")
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(draw, picture)
        finally:
            self._waiting -= 1


easel: Final = Easel()


def pixels_of(picture: bytes, *, max_bytes: int, max_size: tuple[int, int], hint: tuple[int, int]) -> Image.Image:
    """The pixels of a file, upright, as RGBA, and nothing else of it. Raises Invalid for `image`.

    Its size is looked at before any pixel is decoded, so that a small file fills no memory: it may have as many pixels
    as `max_size`, in any shape. A JPEG larger than `hint` may come smaller, but never smaller than that.
    """
    if len(picture) > max_bytes:
        raise Invalid.field("image", "too_large", f"A picture has {max_bytes // 1024} KiB at most.")
    try:
        with Image.open(BytesIO(picture), formats=_FORMATS) as image:
            if image.width * image.height > max_size[0] * max_size[1]:
                raise _too_large(max_size)
            turn = _turn(image)
            image.draft("RGB", hint)
            pixels = image.convert("RGBA")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(max_size) from None
    except _BROKEN:
        raise Invalid.field("image", "not_a_picture", "Send a PNG, JPEG or WebP picture.") from None
    plain = Image.frombytes(pixels.mode, pixels.size, pixels.tobytes())
    return plain if turn is None else plain.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How a picture is turned to be upright; one whose metadata are damaged stays as it is."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except (UserWarning, *_BROKEN):
        return None


def from_base64(text: str) -> bytes:
    """A picture as a JSON body has it. Raises Invalid for `image`."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid.field("image", "not_base64", "The picture is not in base64.") from None


def _too_large(size: tuple[int, int]) -> Invalid:
    return Invalid.field("image", "too_large", f"A picture has {size[0]} by {size[1]} pixels at most.")
