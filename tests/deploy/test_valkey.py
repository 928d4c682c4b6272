"""The compose files' valkey.conf, read by a real Valkey."""

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from prog_infra.servers import free_port
from prog_infra.servers.valkey import _program
from tests.deploy.toolbox import COMPOSE
from tests.waiting import wait_until

PASSWORD = "a-password-for-this-test"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Started from the file as it is, but for what is a container's own: where data and the password's file are."""
    auth = tmp_path / "valkey_auth"
    auth.write_text(f"requirepass {PASSWORD}\n")
    text = (COMPOSE / "valkey.conf").read_text()
    for theirs, ours in (("/run/secrets/valkey_auth", str(auth)), ("dir /data", f"dir {tmp_path}")):
        assert theirs in text
        text = text.replace(theirs, ours)
    port = free_port()
    file = tmp_path / "valkey.conf"
    file.write_text(text.replace("port 6379", f"port {port}").replace("bind * -::*", "bind 127.0.0.1"))
    process = subprocess.Popen([_program(), file], stdout=subprocess.DEVNULL)

    def listens() -> bool:
        assert process.poll() is None, "Valkey refuses the file"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    try:
        asyncio.run(wait_until(listens, within_seconds=30, what="Valkey"))
        yield port
    finally:
        process.kill()
        process.wait()


def test_it_takes_the_file_and_forgets_nothing(port: int) -> None:
    with redis.Redis(port=port, password=PASSWORD, decode_responses=True) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert int(client.config_get("maxmemory")["maxmemory"]) == 1 << 30


def test_nobody_comes_in_without_the_password(port: int) -> None:
    with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
