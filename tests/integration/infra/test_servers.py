"""The embedded servers through their lives: again and again, killed, orphaned, and in awkward places."""

import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from prog_infra.errors import OperatorError
from prog_infra.servers import Postgres, Valkey, free_port, is_free, process
from tests.forking import Popen
from tests.waiting import wait_until

# A supervisor that is killed: it starts both servers, says so, and does nothing more.
SUPERVISOR = """
import sys, time
from pathlib import Path
from prog_infra.servers import Postgres, Valkey
data = Path(sys.argv[1])
with Postgres(data / "postgres").running(data / "p.log"), Valkey(data / "valkey").running(data / "v.log") as valkey:
    print(valkey.port, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "a folder, 'quoted' and with spaces"
    directory.mkdir()
    return directory


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    postgres = Postgres(tmp_path_factory.mktemp("cluster") / "postgres")
    postgres.prepare()
    postgres.clear_sockets()
    return postgres.directory


@pytest.fixture
def formatted(data: Path, cluster: Path) -> None:
    """There is a cluster in the data already: `initdb` takes longer than most of these tests."""
    subprocess.run(["cp", "-a", cluster, data / "postgres"], check=True)


async def test_data_survives_a_clean_stop_and_the_port_stays(data: Path) -> None:
    postgres, valkey = Postgres(data / "postgres"), Valkey(data / "valkey")
    with postgres.running(data / "p.log"), valkey.running(data / "v.log"):
        port = valkey.port
        connection = await asyncpg.connect(postgres.url())
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await connection.close()
        redis.Redis.from_url(valkey.url()).set("kept", "42")
    with postgres.running(data / "p.log"), valkey.running(data / "v.log"):
        assert valkey.port == port
        connection = await asyncpg.connect(postgres.url())
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()
        with redis.Redis.from_url(valkey.url()) as client:
            assert client.get("kept") == b"42"
    assert not process.servers_in(data / "postgres", "postgres")
    assert not postgres.socket_directory.exists()


@pytest.mark.usefixtures("formatted")
def test_servers_of_a_killed_supervisor_end_and_their_data_is_used_again(data: Path) -> None:
    with Popen([sys.executable, "-c", SUPERVISOR, str(data)], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        port = int(supervisor.stdout.readline())
        supervisor.kill()
    with Postgres(data / "postgres").running(data / "p.log"), Valkey(data / "valkey").running(data / "v.log") as valkey:
        assert valkey.port == port
        assert len(process.servers_in(data / "valkey", "valkey-server")) == 1


@pytest.mark.usefixtures("formatted")
async def test_a_server_that_outlived_its_supervisor_is_ended_first(data: Path) -> None:
    orphaned = Postgres(data / "postgres")
    orphaned.prepare()
    server = orphaned.launch().start()
    await wait_until(orphaned.is_ready)
    with Postgres(data / "postgres").running(data / "p.log") as postgres:
        assert server.wait(5) == 0
        connection = await asyncpg.connect(postgres.url())
        await connection.close()


@pytest.mark.usefixtures("formatted")
async def test_a_killed_postgres_recovers_with_all_that_was_committed(data: Path) -> None:
    postgres = Postgres(data / "postgres")
    postgres.prepare()
    server = postgres.launch().start()
    await wait_until(postgres.is_ready)
    connection = await asyncpg.connect(postgres.url())
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.kill()
    server.wait()
    connection.terminate()
    with postgres.running(data / "p.log"):
        connection = await asyncpg.connect(postgres.url())
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()


@pytest.mark.usefixtures("formatted")
def test_a_pid_file_of_another_process_stops_nothing(data: Path) -> None:
    postgres = Postgres(data / "postgres")
    postgres.prepare()
    with subprocess.Popen(["sleep", "60"], cwd=data / "postgres") as bystander:
        (data / "postgres" / "postmaster.pid").write_text(f"{bystander.pid}\n{data}\n0\n5432\n")
        with postgres.running(data / "p.log"):
            assert bystander.poll() is None
        bystander.kill()


def test_an_initdb_that_was_cut_short_is_done_again(data: Path) -> None:
    (data / "postgres").mkdir()
    (data / "postgres" / "base").mkdir()
    (data / "postgres" / "half").write_text("")
    with Postgres(data / "postgres").running(data / "p.log"):
        assert (data / "postgres" / "PG_VERSION").read_text().strip() == "18"


@pytest.mark.usefixtures("formatted")
def test_only_its_owner_reaches_the_socket_and_nothing_listens_elsewhere(data: Path) -> None:
    with Postgres(data / "postgres").running(data / "p.log") as postgres:
        assert postgres.socket_directory.stat().st_mode & 0o777 == 0o700
        assert len(os.fsencode(postgres.socket_directory / ".s.PGSQL.5432")) < 107
        hba = (data / "postgres" / "pg_hba.conf").read_text()
        hosts = [line.split()[-1] for line in hba.splitlines() if line.startswith("host")]
        assert set(hosts) == {"reject"}


def test_a_socket_directory_of_somebody_else_is_refused(data: Path) -> None:
    postgres = Postgres(data / "postgres")
    postgres.socket_directory.symlink_to(data)
    try:
        with pytest.raises(OperatorError, match="belongs to another user"):
            postgres.prepare()
    finally:
        postgres.socket_directory.unlink()


def test_valkey_asks_for_its_password_and_writes_append_only(data: Path) -> None:
    with Valkey(data / "valkey").running(data / "v.log") as valkey:
        with (
            redis.Redis(port=valkey.port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
        with redis.Redis.from_url(valkey.url(), decode_responses=True) as client:
            assert client.config_get("append*")["appendonly"] == "yes"
            assert client.config_get("append*")["appendfsync"] == "everysec"
    for name in ("valkey.conf", "password"):
        assert (data / "valkey" / name).stat().st_mode & 0o777 == 0o600


def test_a_taken_port_is_left_to_its_holder(data: Path) -> None:
    with Valkey(data / "one").running(data / "v.log") as one:
        (data / "two").mkdir()
        (data / "two" / "port").write_text(str(one.port))
        with Valkey(data / "two").running(data / "v.log") as two:
            assert two.port != one.port


def test_a_port_is_free_until_somebody_listens() -> None:
    port = free_port()
    assert is_free(port)


def test_a_server_that_cannot_start_is_one_line_and_leaves_nothing(data: Path) -> None:
    broken = Postgres(data / "postgres", settings={"shared_buffers": "a lot"})
    with (
        pytest.raises(OperatorError, match=r"postgres did not start: .*shared_buffers"),
        broken.running(data / "p.log"),
    ):
        pass
    assert not process.servers_in(data / "postgres", "postgres")


def test_postgres_never_runs_as_root_and_still_works_where_only_root_may_enter(data: Path) -> None:
    data.chmod(0o700)
    with Postgres(data / "postgres").running(data / "p.log"):
        postmaster = min(process.servers_in(data / "postgres", "postgres"))
        owner = Path(f"/proc/{postmaster}").stat().st_uid
        assert owner != 0
        assert owner == os.geteuid() or os.geteuid() == 0
