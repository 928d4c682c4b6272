"""Wiring of the events domain: what `prog worker events` runs."""

from prog_workers.events.handlers import events as domain

__all__ = ["domain"]
