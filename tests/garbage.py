"""When Python looks for garbage: not while tests are collected, never again at what is loaded by then, and seldom.

Some two million objects stay for the whole run. To look through them again and again as they come took a third of the
time that the collection takes, and later every full look would take half a second. Of what tests take of processors, a
twentieth would go to looks at Python's own pace.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SELDOM: Final = (10_000, 10, 50)
"""Instead of after every 700 objects, of ten young looks an older one, and of ten of these a full one."""


@contextmanager
def put_off() -> Iterator[None]:
    """No look within; afterwards one, what it leaves stays for good, and further looks are seldom."""
    gc.disable()
    try:
        yield
        gc.collect()
        gc.freeze()
    finally:
        gc.set_threshold(*_SELDOM)
        gc.enable()
