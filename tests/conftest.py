"""Fixtures that every room's tests share: real servers, and a rule about skipped tests.

`postgres`       address of a fresh, migrated database, with the administrator's rights; one for each test
`lone_postgres`  the same, and nothing else goes on in the server: for tests of what waits for older transactions
`module_postgres` the same, one for each test module: for read-mostly tests
`empty_postgres` address of a database without any schema
`valkey_url`     address of an empty Valkey; emptied for each test
`clusters`       copies of a PostgreSQL cluster that has the schema already, for tests that start a server of their own
`environment`    the `PROG_…` variables of a process that runs on these two
`kafka_url`      address of a real Kafka that other tests use too, so name topics and groups for the test
`empty_kafka`    the same address, with no topic left in it
`kafka_jars`     Kafka's jars are on this machine: for tests that start their own
`strong_hashing` passwords are hashed as in production; without it, with hardly any work
`module_strong_hashing` the same, for all of a module
`forked_programs` Python programs that the test starts, or has started, are forks of one that has imported all

With PROG_TEST_NO_SKIP set, as in CI, a skipped test fails. PROG_TEST_DEPTH says how often the same kind of check is
repeated: `tests/depth.py`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

import prog_contracts.scim  # noqa: F401 - first, from a shallow stack, which saves seconds: see prog_edge.process
from tests import builtin_types, depth, forking, frames, garbage, hashing, kafka, signing_keys
from tests.clusters import Clusters
from tests.memory import put_files_into_memory
from tests.order import ON_KAFKA, Dealer, Shared, closing_with_unit, longest_first, share, unit_of
from tests.servers import TestServers

if find_spec("sniffio") is None:
    # httpcore looks for it several times a request, in every folder: a twentieth of what tests of the edge take
    sys.modules["sniffio"] = None  # type: ignore[assignment]


# How long an example takes says how busy the machine is, and nothing of what it shows.
settings.register_profile(
    "prognetwork",
    deadline=None,
    max_examples=depth.by_depth(usual=40, thorough=100),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("prognetwork")


@pytest.fixture(scope="session", autouse=True)
def quick_hashing() -> Iterator[None]:
    with hashing.quick():
        yield


@pytest.fixture(scope="session", autouse=True)
def named_frames() -> Iterator[None]:
    with frames.named():
        yield


@pytest.fixture(scope="session", autouse=True)
def known_types() -> Iterator[None]:
    with builtin_types.asked_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def few_rsa_keys() -> Iterator[None]:
    with signing_keys.few():
        yield


@pytest.fixture
def strong_hashing(quick_hashing: None) -> Iterator[None]:
    with hashing.strong():
        yield


@pytest.fixture(scope="module")
def module_strong_hashing(quick_hashing: None) -> Iterator[None]:
    with hashing.strong():
        yield


@pytest.fixture
def forked_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", forking.Popen)  # asyncio starts its programs with it too


@pytest.fixture(scope="session")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Clusters:
    mine = tmp_path_factory.getbasetemp()
    of_all_workers = mine.parent if mine.name.startswith("popen-gw") else mine
    return Clusters(of_all_workers / "clusters")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, clusters: Clusters) -> Iterator[TestServers]:
    servers = TestServers(tmp_path_factory.mktemp("servers"), clusters)
    yield servers
    servers.close()


@pytest.fixture
def postgres(servers: TestServers) -> Iterator[str]:
    name = servers.new_database()
    yield servers.postgres.url(name)
    servers.give_back(name)


@pytest.fixture
def lone_postgres(servers: TestServers) -> Iterator[str]:
    with servers.lone_database() as name:
        yield servers.postgres.url(name)


@pytest.fixture(scope="module")
def module_postgres(servers: TestServers) -> Iterator[str]:
    name = servers.new_database()
    yield servers.postgres.url(name)
    servers.give_back(name)


@pytest.fixture
def empty_postgres(servers: TestServers) -> Iterator[str]:
    name = servers.empty_database()
    yield servers.postgres.url(name)
    servers.drop_database(name)


@pytest.fixture
def valkey_url(servers: TestServers) -> str:
    return servers.empty_valkey()


@pytest.fixture(scope="session")
def close_with_unit(pytestconfig: pytest.Config) -> Callable[[str, Shared], None]:
    """Have something closed whenever no test of a unit comes next: see `tests.order`."""
    return partial(share, pytestconfig)


@pytest.fixture(scope="session")
def session_kafka(
    tmp_path_factory: pytest.TempPathFactory, close_with_unit: Callable[[str, Shared], None]
) -> Iterator[kafka.TestKafka]:
    server = kafka.TestKafka(tmp_path_factory.mktemp("kafka"))
    close_with_unit(ON_KAFKA, server)
    yield server
    server.close()


@pytest.fixture
def kafka_url(request: pytest.FixtureRequest, session_kafka: kafka.TestKafka) -> str:
    if unit_of(request.node.nodeid) != ON_KAFKA:
        pytest.fail("this test asks for Kafka, and its id does not tell: see tests/order.py")
    return session_kafka.url


@pytest.fixture
def empty_kafka(kafka_url: str, session_kafka: kafka.TestKafka) -> str:
    return session_kafka.empty()


@pytest.fixture(scope="session")
def kafka_jars() -> None:
    kafka.require_jars()


@pytest.fixture
def environment(postgres: str, valkey_url: str) -> dict[str, str]:
    return {
        "PROG_ENV": "test",
        "PROG_DATABASE_URL": postgres,
        "PROG_REDIS_URL": valkey_url,
        "PROG_SECRET_KEYS": "0123456789abcdef" * 4,
    }


def pytest_configure(config: pytest.Config) -> None:
    put_files_into_memory()
    _listen_to_interrupts()
    _tell_errors_plainly()
    config.option.loadscopereorder = False  # xdist would put modules of many tests first, however short these are


def pytest_report_header() -> str:
    return f"depth: {depth.asked_for()} ({depth.VARIABLE}; there are {' and '.join(depth.DEPTHS)})"


def _listen_to_interrupts() -> None:
    """Also where a shell has begun the tests in the background: what they start and interrupt would ignore it, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _tell_errors_plainly() -> None:
    """Without the values of all variables: structlog takes up to a second to show them."""
    *processors, _ = structlog.get_config()["processors"]
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*processors, console])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    garbage.look_at_the_pace_of_the_depth()
    with garbage.put_off(), frames.named():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Dealer | None:
    return Dealer(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    with closing_with_unit(item, nextitem):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("PROG_TEST_NO_SKIP"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, and PROG_TEST_NO_SKIP allows no skip: {reason}"
