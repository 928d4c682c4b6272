"""Guarantees broken on purpose, in the rig's own worker: a rig that cannot fail proves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from prog_broker import carrier

BREAKS: Final = ("inbox",)


def apply(what: str) -> None:
    """`inbox` takes every delivery for a new one, whatever the inbox says. An empty name breaks nothing."""
    if what == "inbox":
        _forget_the_inbox()
    elif what:
        raise ValueError(f"{what!r} cannot be broken; choose from {', '.join(BREAKS)}")


def _forget_the_inbox() -> None:
    admit = carrier.admit

    async def admit_everything(connection: Any, shard: Any, token: Any, items: Any, **options: Any) -> Any:
        admission = await admit(connection, shard, token, items, **options)
        again = {item.envelope.id for item in items if item.registration and not item.registration.performer}
        return replace(admission, admitted=admission.admitted | again)

    carrier.admit = admit_everything
