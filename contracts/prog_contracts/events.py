"""Messages of the events domain: what customers publish through the platform."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from prog_contracts.messages import Command, Event, command, event


@command("prognetwork.events.publish_event", key="name", subject="subject_id")
class PublishEvent(Command):
    """Append an event of a tenant's own making to its log."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_.]{2,99}$")
    subject_id: str | None = None
    payload: dict[str, Any] = Field(default_factory=dict)


@event("prognetwork.events.event_published", key="name", subject="subject_id")
class EventPublished(Event):
    name: str
    subject_id: str | None = None
    payload: dict[str, Any] = Field(default_factory=dict)
