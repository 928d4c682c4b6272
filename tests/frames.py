"""Which module a frame of the stack belongs to, by the name that it bears.

For each generic model that is made concrete, as those of SCIM are, pydantic asks `inspect.getmodule` about every frame
up the stack. That goes through the files of all loaded modules where a frame's file is none of theirs, as it is with
imports: a sixth of the time that it takes to collect all tests.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType

import pytest


@contextmanager
def named() -> Iterator[None]:
    look_up = inspect.getmodule

    def getmodule(object: object, _filename: str | None = None) -> ModuleType | None:  # noqa: A002 - as it is there
        if isinstance(object, FrameType):
            return sys.modules.get(object.f_globals.get("__name__", ""))
        return look_up(object, _filename)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "getmodule", getmodule)
        yield
