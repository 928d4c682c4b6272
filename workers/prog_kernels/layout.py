"""The cells of a histogram.

Log-linear cells as in HdrHistogram (G. Tene) over integers: 64 cells an octave. A value below 128 has a cell of its
own; above, a cell is as wide as the value's power of two divided by 64. The middle of a cell is off by less than 1/128
of any value in it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SUB_BITS: Final = 6
MAX_VALUE: Final = (1 << 40) - 1
"""Larger values count in the last cell: 2^40 microseconds are 12 days."""

CELLS: Final = 2240
RELATIVE_ERROR: Final = 1 / 128

# The bits of a float64 above the first six of its mantissa are exponent and mantissa in the order of cells.
MANTISSA_SHIFT: Final = 52 - SUB_BITS
EXPONENT_BASE: Final = (1023 + SUB_BITS - 1) << SUB_BITS


def middles() -> NDArray[np.float64]:
    """The value that stands for each cell: the middle of the integers in it."""
    cells = np.arange(CELLS, dtype=np.int64)
    octave = np.maximum((cells >> SUB_BITS) - 1, 0)
    lowest = (cells - (octave << SUB_BITS)) << octave
    return np.asarray(lowest + ((1 << octave) - 1) / 2, dtype=np.float64)
