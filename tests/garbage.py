"""When Python looks for garbage: not while tests are collected, never again at what is loaded by then, and seldom.

Some two million objects stay for the whole run. To look through them again and again as they come took a third of the
time that the collection takes, and later every full look would take half a second. Of what tests take of processors, a
twentieth goes to looks at Python's own pace, at which the thorough depth stays: what a test left open is told sooner.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from tests.depth import by_depth


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


def look_at_the_pace_of_the_depth() -> None:
    """In the usual one not after 700 objects but after 10,000, and at all of them after 50 looks at the older ones."""
    gc.set_threshold(*by_depth(usual=(10_000, 10, 50), thorough=gc.get_threshold()))
