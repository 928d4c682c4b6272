"""What stands behind the pages: the ports of `prog_edge.web.ports`, with queries in and commands out."""

from __future__ import annotations

from typing import Any

from prog_edge.platform import Platform


def web_services(platform: Platform) -> Any:
    return None
