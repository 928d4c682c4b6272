"""The one switch that says that this process is about to end. Readiness, streams and connections look at it."""

from __future__ import annotations

from collections.abc import Callable


class Drain:
    """Starts once and never ends."""

    def __init__(self) -> None:
        self.started = False
        self._actions: list[Callable[[], None]] = []

    def on_start(self, action: Callable[[], None]) -> None:
        """Has `action` called when draining starts; at once when it has."""
        self._actions.append(action)
        if self.started:
            action()

    def start(self) -> None:
        if not self.started:
            self.started = True
            for action in self._actions:
                action()
