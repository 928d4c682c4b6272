"""The events domain as a worker serves it: `prog worker events`."""

from prog_workers.events.handlers import events as domain

__all__ = ["domain"]
