"""Frames are known by the name that they bear, and say the same as if they were looked up."""

import inspect
import sys
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from tests import frames

Kind = TypeVar("Kind")


class Box(BaseModel, Generic[Kind]):
    model_config = ConfigDict(use_attribute_docstrings=True)

    content: Kind
    """What is in it."""


def test_a_frame_and_all_else_belong_to_the_module_that_is_looked_up_for_them() -> None:
    frame = inspect.currentframe()
    assert inspect.getmodule(frame) is sys.modules[__name__]
    assert inspect.getmodule.__module__ == frames.__name__, "it is by name in every test"
    assert inspect.getmodule(Box) is sys.modules[__name__]
    assert inspect.getmodule(inspect.getmodule) is frames
    assert inspect.getmodule(3) is None


def test_a_frame_of_no_module_belongs_to_none() -> None:
    found: dict[str, object] = {}
    exec("import inspect; module = inspect.getmodule(inspect.currentframe())", found)
    assert found["module"] is None


def test_a_field_keeps_its_docstring_when_its_model_is_made_concrete() -> None:
    assert Box[int].model_fields["content"].description == "What is in it."
