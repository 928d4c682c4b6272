"""The storage of a new node: formatted once by Kafka's own tool, kept beside the jars, and copied for each node.

The tool takes a Java of its own, three quarters of a second of processor. What it writes is the same for every node,
the record of the features that this Kafka begins with, except for a few names: those of the cluster, of the node and of
its directory.
"""

import base64
import secrets
import shutil
import tempfile
from pathlib import Path

from prog_infra.errors import OperatorError
from prog_infra.servers.kafka.distribution import Distribution, held
from prog_infra.servers.kafka.node import Node, Ports, reason
from prog_infra.servers.kafka.ports import unused_ports
from prog_infra.servers.valkey import write_private


def ensure(distribution: Distribution, settings: dict[str, str]) -> None:
    """Have the tool format a storage unless that was done before. Raises OperatorError when it cannot."""
    if distribution.features.exists():
        return
    with held(distribution.folder):
        if not distribution.features.exists():
            _make(distribution, settings)


def _make(distribution: Distribution, settings: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix=".formatting-", dir=distribution.folder) as name:
        node = Node(1, Path(name), distribution, {1: Ports(*unused_ports(2))}, settings, cluster_id=new_id())
        node.prepare()
        log = Path(name) / "format.log"
        with log.open("wb") as output:
            tool = node.launch_tool("format", "--cluster-id", node.cluster_id, "--config", "server.properties")
            failed = tool.start(output=output.fileno()).wait() != 0
        made = node.data / distribution.features.name
        if failed or not made.exists():
            raise OperatorError(
                f"Kafka could not format a new storage: {reason(log)}",
                remedy=f"remove {distribution.folder} and try again",
            )
        made.replace(distribution.features)


def format_new(node: Node, distribution: Distribution) -> None:
    """What the tool would write for this node, unless it has a storage already."""
    names = node.data / "meta.properties"
    if names.exists():
        return
    shutil.rmtree(node.data, ignore_errors=True)  # a formatting that was cut short
    node.data.mkdir()
    shutil.copyfile(distribution.features, node.data / distribution.features.name)
    write_private(
        names, f"version=1\ncluster.id={node.cluster_id}\nnode.id={node.number}\ndirectory.id={_directory_id()}\n"
    )


def new_id() -> str:
    """A cluster's."""
    return secrets.token_hex(11)


def _directory_id() -> str:
    """A random UUID in Kafka's writing, which must not begin with a dash."""
    while (text := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return text
