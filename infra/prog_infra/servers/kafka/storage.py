"""The storage of a new node: formatted once by Kafka's own tool, kept beside the jars, and copied for each node.

The tool takes a Java of its own, three quarters of a second of processor. What it writes is the same for every node,
the record of the features that this Kafka begins with, except for a few names: those of the cluster, of the node and of
its directory. A tool that writes anything else is refused.
"""

import base64
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Final

from prog_infra.durable import sync
from prog_infra.errors import OperatorError
from prog_infra.servers import process
from prog_infra.servers.kafka.distribution import Distribution, held
from prog_infra.servers.kafka.node import Node, Ports, reason
from prog_infra.servers.kafka.ports import unused_ports
from prog_infra.servers.valkey import write_private

NAMES: Final = "meta.properties"
"""The file whose presence says that a storage is formatted."""
_KEYS: Final = ("version", "cluster.id", "node.id", "directory.id")
_FORMAT_SECONDS: Final = 10.0


def ensure(distribution: Distribution, settings: dict[str, str]) -> None:
    """Have the tool format a storage unless that was done before.

    Raises OperatorError when it cannot, or when the cache cannot be written.
    """
    if _is_known(distribution):
        return
    with held(distribution.folder):
        if not _is_known(distribution):
            try:
                _make(distribution, settings)
            except OSError as error:
                raise OperatorError(
                    f"the cache {distribution.folder} cannot be written: {(error.strerror or str(error)).lower()}",
                    remedy="set XDG_CACHE_HOME to a directory of your own",
                ) from None


def format_new(node: Node, distribution: Distribution, settings: dict[str, str]) -> None:
    """Write what the tool would for this node, unless it has a storage already. Raises OperatorError as `ensure`."""
    if (node.data / NAMES).exists():
        return
    ensure(distribution, settings)
    shutil.rmtree(node.data, ignore_errors=True)  # a formatting that was cut short
    node.data.mkdir()
    shutil.copyfile(distribution.features, node.data / distribution.features.name)
    sync(node.data / distribution.features.name)
    values = ("1", node.cluster_id, str(node.number), _directory_id())
    write_private(node.data / NAMES, "".join(f"{key}={value}\n" for key, value in zip(_KEYS, values, strict=True)))


def new_id() -> str:
    """A cluster's."""
    return secrets.token_hex(11)


def _is_known(distribution: Distribution) -> bool:
    return distribution.features.exists() and distribution.features.stat().st_size > 0


def _make(distribution: Distribution, settings: dict[str, str]) -> None:
    log = distribution.folder / "format.log"
    with tempfile.TemporaryDirectory(prefix=".formatting-", dir=distribution.folder) as name:
        node = Node(1, Path(name), distribution, {1: Ports(*unused_ports(2))}, settings, cluster_id=new_id())
        node.prepare()
        with log.open("wb") as output:
            arguments = ("format", "--cluster-id", node.cluster_id, "--config", "server.properties")
            tool = node.launch_tool(*arguments).start(output=output.fileno())
        try:
            failed = tool.wait() != 0
        finally:
            process.stop(tool, first=signal.SIGTERM, grace_seconds=_FORMAT_SECONDS)
        made = node.data / distribution.features.name
        if failed or not made.exists():
            raise OperatorError(f"Kafka could not format a new storage: {reason(log)}", remedy=f"see {log}")
        _refuse_what_is_not_known(node.data, made.name)
        sync(made)
        made.replace(distribution.features)
    log.unlink()


def _refuse_what_is_not_known(data: Path, features: str) -> None:
    """Raises OperatorError where a copy would not be all that the tool writes."""
    files = {file.name for file in data.iterdir()}
    lines = (data / NAMES).read_text(encoding="utf-8").splitlines() if NAMES in files else []
    keys = {line.partition("=")[0] for line in lines if not line.startswith("#")}
    if files != {features, NAMES} or keys != set(_KEYS):
        raise OperatorError(
            f"this Kafka formats a storage in another way: {', '.join(sorted(files | keys))}",
            remedy="use the Kafka that infra/kafka/pom.xml pins",
        )


def _directory_id() -> str:
    """A random UUID in Kafka's writing, which must not begin with a dash."""
    while (text := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return text
