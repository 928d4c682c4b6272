"""The monitoring domain as a worker serves it: `prog worker monitoring`."""

from prog_workers.monitoring.handlers import monitoring as domain

__all__ = ["domain"]
