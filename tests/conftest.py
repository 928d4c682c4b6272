"""Fixtures that every room's tests share: real servers, and a rule about skipped tests.

`postgres`       address of a fresh, migrated database, with the administrator's rights; one for each test
`module_postgres` the same, one for each test module: for read-mostly tests
`empty_postgres` address of a database without any schema
`valkey_url`     address of an empty Valkey; emptied for each test
`environment`    the `PROG_…` variables of a process that runs on these two

With PROG_TEST_NO_SKIP set, as in CI, a skipped test fails.
"""

import os
from collections.abc import Generator, Iterator

import pytest

from tests.servers import TestServers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServers]:
    servers = TestServers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()


@pytest.fixture
def postgres(servers: TestServers) -> Iterator[str]:
    name = servers.new_database()
    yield servers.postgres.url(name)
    servers.drop_database(name)


@pytest.fixture(scope="module")
def module_postgres(servers: TestServers) -> Iterator[str]:
    name = servers.new_database()
    yield servers.postgres.url(name)
    servers.drop_database(name)


@pytest.fixture
def empty_postgres(servers: TestServers) -> Iterator[str]:
    name = servers.empty_database()
    yield servers.postgres.url(name)
    servers.drop_database(name)


@pytest.fixture
def valkey_url(servers: TestServers) -> str:
    return servers.empty_valkey()


@pytest.fixture
def environment(postgres: str, valkey_url: str) -> dict[str, str]:
    return {
        "PROG_ENV": "test",
        "PROG_DATABASE_URL": postgres,
        "PROG_REDIS_URL": valkey_url,
        "PROG_SECRET_KEYS": "0123456789abcdef" * 4,
    }


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
