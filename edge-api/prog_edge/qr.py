"""QR codes as SVG, made here: what is in one is a secret, so no other service draws it."""

from __future__ import annotations

import io

import segno


def qr_svg(text: str) -> str:
    """An SVG element without a size, in black on white whatever is around it: cameras need contrast and margin."""
    written = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(written, kind="svg", border=4, dark="#000", light="#fff", xmldecl=False, omitsize=True, nl=False)
    return written.getvalue().decode()
