"""Behind the console's page of replays: rows for people, and what a form asks for."""

from __future__ import annotations

from collections.abc import Mapping

from prog_broker.replaying import Replay, ReplayRequest, Scope
from prog_contracts.errors import Invalid
from prog_edge.web.ports import ReplayRow


def replay_row(replay: Replay) -> ReplayRow:
    return ReplayRow(
        id=str(replay.id),
        group=replay.group,
        state=replay.state,
        waits_for_worker=replay.waits_for_worker,
        reason=replay.reason,
        requested_by=replay.requested_by,
        scope=_told(replay.scope),
        resets=replay.rebuild,
        holds_live=replay.holds_live,
        done=replay.done,
        total=replay.total,
        failed=replay.failed,
        suppressed=replay.suppressed,
        per_second=replay.per_second,
        eta_seconds=replay.eta_seconds,
        failure=None if replay.failure is None else str(replay.failure.get("reason", "")),
        requested_at=replay.requested_at,
    )


def request_of(asked: Mapping[str, str]) -> ReplayRequest:
    """What a form asks for. Raises Invalid for a position that is no number."""
    scope = Scope(
        types=tuple(name.strip() for name in asked.get("types", "").split(",") if name.strip()),
        tenant_id=asked.get("tenant_id") or None,
        subject=asked.get("subject") or None,
        from_position=_position(asked, "from_position"),
        to_position=_position(asked, "to_position"),
    )
    return ReplayRequest(
        asked.get("group", ""),
        asked.get("reason", ""),
        scope,
        rebuild=asked.get("reset") == "yes",
        skip_failing=asked.get("skip_failing") == "yes",
    )


def _position(asked: Mapping[str, str], name: str) -> int | None:
    text = asked.get(name, "")
    if not text:
        return None
    if not text.isdecimal() or int(text) >= 2**63:
        raise Invalid.field(name, "no_position", "A position is a whole number.")
    return int(text)


def _told(scope: Scope) -> str:
    """The scope in words; `everything` without limits."""
    told = [
        f"{name.replace('_', ' ')} {value if isinstance(value, (str, int)) else ', '.join(value)}"
        for name in ("types", "tenant_id", "subject", "stream", "from_position", "to_position")
        if (value := getattr(scope, name))
    ]
    told += [f"{name.replace('_', ' ')} {value:%Y-%m-%d %H:%M:%S} UTC" for name in ("from_time", "to_time")
             if (value := getattr(scope, name))]  # fmt: skip
    return ", ".join(told) or "everything"
