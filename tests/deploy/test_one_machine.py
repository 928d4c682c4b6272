"""What chart and compose files start really works: the same commands and variables, as processes, on real servers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from prog_contracts.topics import DOMAINS, TOPICS
from prog_infra.demo.client import Api
from prog_infra.demo.report import tell
from prog_infra.demo.story import Story
from prog_kernels.engine import cache_directory
from prog_workers.monitoring.rules import readers
from prog_workers.process import load
from tests.deploy.fleet import HOST, Fleet, new_port, of_chart, of_compose
from tests.deploy.toolbox import CHART, COMPOSE, Toolbox, of_kind
from tests.depth import by_depth
from tests.waiting import wait_until

pytestmark = pytest.mark.slow(20)

EMAIL, PASSWORD = "operator@example.com", "correct horse battery staple"
SERIES = re.compile(r'^prog_consumer_lag\{group="(\w+)",partition="(\d+)",topic="([\w.]+)"\} \d', re.M)


@pytest.fixture
def tmp(tmp_path: Path) -> Path:
    place = tmp_path / "tmp"
    place.mkdir()
    return place


@pytest.fixture(scope="module")
def kernels() -> Path:
    """The user's own: to compile them takes as long as a fleet does, and other tests have done it."""
    return cache_directory()


def make_operator(fleet: Fleet) -> None:
    done = fleet.run(
        fleet["edge"], "admin", "create-user", EMAIL, "--password-file", "-", "--json", standard_input=f"{PASSWORD}\n"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ok": True, "email": EMAIL}


FIGURES = {
    "edge": (r"prog_http_requests_total\{.+\} [1-9]",),
    "relay": ("prog_outbox_pending 0",),
    "scheduler": (r"prog_jobs_total\{.+\} [1-9]",),
} | {
    f"worker-{domain}": (r'prog_messages_total\{outcome="succeeded",topic=.+\} [1-9]', "prog_batch_size_count [1-9]")
    for domain in DOMAINS
}
"""What each process tells of itself once the story was told."""


def missing_figures(fleet: Fleet) -> list[str]:
    """What is not told yet: of each process its own, and by one of them the lag that autoscalers ask for."""
    told = {name: answer.text if (answer := fleet[name].ask("/metrics")) else "" for name in FIGURES}
    missing = [
        f"{name}: {figure}"
        for name, figures in FIGURES.items()
        for figure in figures
        if not re.search(f"^{figure}", told[name], re.M)
    ]
    lags = {(group, topic, int(partition)) for group, partition, topic in SERIES.findall(told["worker-monitoring"])}
    handled = {domain.name: list(domain.registrations) for domain in load(DOMAINS)}
    wanted = {
        (group, topic, partition)
        for topic, groups in readers(handled).items()
        for group in groups
        for partition in range(TOPICS[topic].partitions)
    }
    return missing + [f"lag of {each}" for each in sorted(wanted - lags)]


class TestCompose:
    @pytest.fixture
    def fleet(self, tools: Toolbox, tmp: Path, kernels: Path, empty_postgres: str, valkey_url: str) -> Iterator[Fleet]:
        folder = tmp.parent / "checkout/infra/compose"
        shutil.copytree(COMPOSE, folder, ignore=shutil.ignore_patterns("secrets", ".env"))
        port = new_port()
        example = (folder / ".env.example").read_text()
        (folder / ".env").write_text(example.replace(f"http://{HOST}:8000", f"http://{HOST}:{port}"))
        subprocess.run([folder / "secrets.sh"], check=True, capture_output=True)
        done = tools.run("compose-config", cwd=folder, environment={})
        assert done.returncode == 0, done.stderr
        secrets = folder / "secrets"
        smtp_port = new_port()
        (secrets / "database_url").write_text(empty_postgres)
        (secrets / "redis_url").write_text(valkey_url)
        (secrets / "smtp_url").write_text(f"smtp://{HOST}:{smtp_port}\n")
        # Programs from nothing take two seconds of processor each: usually those of `prog up` are enough (test_up).
        forked = by_depth(usual=True, thorough=False)
        fleet = Fleet(of_compose(json.loads(done.stdout), secrets), tmp, kernels, forked=forked)
        fleet["edge"].variables["PROG_PORT"] = str(port)
        fleet["edge"].port = port
        fleet["mailbox"].variables["PROG_SMTP_LISTEN_PORT"] = str(smtp_port)
        yield fleet
        fleet.kill()

    async def test_it_tells_the_whole_story(self, fleet: Fleet) -> None:
        fleet.start()
        await fleet.wait_ready()
        make_operator(fleet)
        api = Api(fleet["edge"].variables["PROG_PUBLIC_URL"])
        result = tell(Story(api, EMAIL, PASSWORD), Console(quiet=True))
        api.close()
        assert result.ok, result.error
        assert result.account.dead_letters == 0
        await wait_until(lambda: not missing_figures(fleet), within_seconds=60, what="every figure")
        codes = fleet.stop()
        assert {code for name, code in codes.items() if name != "mailbox"} == {0}
        assert list((fleet.tmp / "root").iterdir()) == []


@pytest.fixture(params=by_depth(usual=["redis"], thorough=["redis", "kafka"]))
def broker(request: pytest.FixtureRequest) -> list[str]:
    """The chart's values for one of the two brokers."""
    if request.param == "redis":
        return []
    servers = request.getfixturevalue("empty_kafka").removeprefix("kafka://").split(",")
    return ['broker.kind="kafka"', f"broker.kafka.servers={json.dumps(servers)}"]


class TestChart:
    @pytest.fixture
    def fleet(
        self, tools: Toolbox, tmp: Path, kernels: Path, empty_postgres: str, valkey_url: str, broker: list[str]
    ) -> Iterator[Fleet]:
        secrets = tmp.parent / "secrets"
        secrets.mkdir()
        texts = {"database-url": empty_postgres, "redis-url": valkey_url, "secret-keys": "0123456789abcdef" * 4}
        for name, text in (texts | {"smtp-url": f"smtp://{HOST}:{new_port()}"}).items():
            (secrets / name).write_text(f"{text}\n")
        parts = of_chart(tools.manifests(CHART / "ci/development.yaml", sets=broker), secrets)
        fleet = Fleet(parts, tmp, kernels, forked=True)
        yield fleet
        fleet.kill()

    async def test_it_serves_tells_and_stops(self, tools: Toolbox, fleet: Fleet) -> None:
        fleet.start()
        await fleet.wait_ready()
        for part in fleet.parts:
            if not part.once:
                answer = part.ask("/healthz")
                assert answer is not None
                assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        make_operator(fleet)
        edge = f"http://{HOST}:{fleet['edge'].port}"
        async with httpx.AsyncClient(base_url=edge, timeout=60, verify=False) as client:
            answer = await client.post("/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
        doctor = fleet.run(fleet["edge"], "doctor", "--json")
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr

        def every_group_is_told() -> bool:
            answer = fleet["worker-monitoring"].ask("/metrics")
            return answer is not None and {found[0] for found in SERIES.findall(answer.text)} == set(DOMAINS)

        await wait_until(every_group_is_told, within_seconds=60, what="the lag of every group")
        asked = of_kind(tools.manifests(CHART / "ci/kafka.yaml"), "ScaledObject")
        groups = {re.findall(r'group="(\w+)"', each["spec"]["triggers"][0]["metadata"]["query"])[0] for each in asked}
        assert groups == set(DOMAINS)
        assert set(fleet.stop().values()) == {0}
        assert list((fleet.tmp / "root").iterdir()) == []
