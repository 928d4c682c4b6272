"""When Python looks for garbage: not while tests are collected, and never again at what is loaded by then.

Some two million objects stay for the whole run. To look through them again and again as they come took a third of the
time that the collection takes, and later every full look would take half a second.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def put_off() -> Iterator[None]:
    """No look within; afterwards one, and what it leaves stays for good."""
    gc.disable()
    try:
        yield
        gc.collect()
        gc.freeze()
    finally:
        gc.enable()
