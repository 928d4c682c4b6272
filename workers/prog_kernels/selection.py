"""Which implementation of the kernels is called: NumPy's, until `engine` has the compiled one ready."""

from __future__ import annotations

from types import ModuleType

from prog_kernels import reference

_current: ModuleType = reference


def kernels() -> ModuleType:
    """The implementation to call now: `compiled` when it is ready, else `reference`."""
    return _current


def is_compiled() -> bool:
    return _current is not reference


def use(implementation: ModuleType) -> None:
    """Has everything from now on run on `implementation`."""
    global _current  # noqa: PLW0603 - one a process
    _current = implementation
