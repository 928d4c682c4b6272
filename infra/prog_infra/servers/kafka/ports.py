"""Ports for servers that start slowly: none that the system could give to an outgoing connection meanwhile."""

import random
from pathlib import Path

from prog_infra.servers.valkey import free_port, is_free

_LOWEST = 10000


def unused_ports(count: int) -> list[int]:
    """So many different loopback ports on which nobody listens, below those of outgoing connections if possible.

    A node that was killed finds its port free when it comes back, however many connections were made meanwhile.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    found: set[int] = set()
    candidates = range(_LOWEST, first_outgoing)
    for port in random.sample(candidates, k=min(len(candidates), 1000)):
        if len(found) == count:
            break
        if is_free(port):
            found.add(port)
    while len(found) < count:
        found.add(free_port())
    return list(found)
