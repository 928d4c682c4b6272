"""The compose files, read by Compose's own loader as a person's `docker compose config` would."""

import json
import re
import shutil
import stat
import subprocess
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from prog_broker import producers
from prog_contracts.topics import DOMAINS
from prog_infra.cli import _modules
from prog_kit.settings import documented
from tests.deploy.test_image import stages
from tests.deploy.toolbox import COMPOSE, ROOT, Toolbox

PROCESSES = {"edge", "relay", "scheduler", *(f"worker-{domain}" for domain in DOMAINS)}
JOBS = {"migrate", "topics"}
BASE = "compose.yaml"
KAFKA, DEVELOPMENT, MONITORING = (f"compose.{name}.yaml" for name in ("kafka", "development", "monitoring"))
ALL = [(BASE,), (BASE, KAFKA), (BASE, DEVELOPMENT), (BASE, MONITORING), (BASE, KAFKA, DEVELOPMENT, MONITORING)]
SETTINGS = {name for name, _, _ in documented()}

Project = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of infra/compose in which a person has followed the README: .env made, secrets written."""
    copy = tmp_path_factory.mktemp("checkout") / "infra/compose"
    shutil.copytree(COMPOSE, copy, ignore=shutil.ignore_patterns("secrets", ".env"))
    shutil.copy(copy / ".env.example", copy / ".env")
    subprocess.run([copy / "secrets.sh"], check=True, capture_output=True)
    return copy


def project(tools: Toolbox, folder: Path, files: tuple[str, ...]) -> Project:
    """What Compose makes of these files; each caller gets a project of its own."""
    loaded: Project = json.loads(_loaded(tools, folder, files))
    return loaded


@cache
def _loaded(tools: Toolbox, folder: Path, files: tuple[str, ...]) -> str:
    environment = {"PATH": "/usr/bin:/bin", "COMPOSE_FILE": ":".join(files)}
    done = tools.run("compose-config", cwd=folder, environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


every_choice = pytest.mark.parametrize("files", ALL, ids="+".join)


def platform(loaded: Project) -> dict[str, Any]:
    return {name: service for name, service in loaded["services"].items() if name in PROCESSES | JOBS}


@every_choice
def test_compose_takes_it(tools: Toolbox, folder: Path, files: tuple[str, ...]) -> None:
    loaded = project(tools, folder, files)
    assert loaded["name"] == "prognetwork"
    assert set(loaded["services"]) >= PROCESSES | JOBS


def test_compose_would_refuse_what_is_misspelt(tools: Toolbox, folder: Path) -> None:
    bad = yaml.safe_load((folder / BASE).read_text())
    bad["services"]["edge"]["helthcheck"] = {}
    (folder / "bad.yaml").write_text(yaml.safe_dump(bad))
    done = tools.run("compose-config", cwd=folder, environment={"COMPOSE_FILE": "bad.yaml"})
    assert done.returncode != 0
    assert "helthcheck" in done.stderr


def test_the_example_environment_chooses_a_trial(tools: Toolbox, folder: Path) -> None:
    done = tools.run("compose-config", cwd=folder, environment={})
    assert done.returncode == 0, done.stderr
    assert "mailbox" in json.loads(done.stdout)["services"]


def test_without_an_address_it_says_what_to_do(tools: Toolbox, folder: Path) -> None:
    done = tools.run("compose-config", cwd=folder, environment={"COMPOSE_FILE": BASE, "PROG_PUBLIC_URL": ""})
    assert done.returncode != 0
    assert "PROG_PUBLIC_URL" in done.stderr
    assert "set it in .env" in done.stderr


def test_every_variable_of_the_example_is_used(folder: Path) -> None:
    names = set(re.findall(r"^([A-Z_]+)=", (folder / ".env.example").read_text(), re.M)) - {"COMPOSE_FILE"}
    used = {name for file in folder.glob("compose*.yaml") for name in re.findall(r"\$\{([A-Z_]+)", file.read_text())}
    assert names <= used


@every_choice
def test_every_process_is_a_service_that_runs_its_command(tools: Toolbox, folder: Path, files: tuple[str, ...]) -> None:
    for name, service in platform(project(tools, folder, files)).items():
        command, *arguments = service["command"]
        assert command in _modules()
        if name.startswith("worker-"):
            assert [command, *arguments] == ["worker", name.removeprefix("worker-")]
        elif name in PROCESSES:
            assert [command, *arguments] == [name]
        if "build" in service:
            assert service["build"]["target"] in stages()
            assert (ROOT / service["build"]["dockerfile"]).exists()
            assert service["image"].startswith(f"prognetwork-{service['build']['target']}:")


@every_choice
def test_every_image_is_built_here_or_named_with_its_version(
    tools: Toolbox, folder: Path, files: tuple[str, ...]
) -> None:
    services = project(tools, folder, files)["services"]
    built = {service["image"] for service in services.values() if "build" in service}
    for service in services.values():
        assert service["image"] in built or re.search(r":v?\d+\.\d+", service["image"])


@every_choice
def test_every_variable_is_a_setting_and_every_file_a_secret_of_the_service(
    tools: Toolbox, folder: Path, files: tuple[str, ...]
) -> None:
    loaded = project(tools, folder, files)
    for name, service in loaded["services"].items():
        given = {key: text for key, text in service.get("environment", {}).items() if key.startswith("PROG_")}
        assert (name in PROCESSES | JOBS | {"mailbox"}) is bool(given)
        assert {key.removesuffix("_FILE") for key in given if key not in SETTINGS} <= SETTINGS
        mounted = {secret["target"]: secret["source"] for secret in service.get("secrets", [])}
        for key, text in given.items():
            if key.endswith("_FILE") and key not in SETTINGS:
                assert Path(loaded["secrets"][mounted[text]]["file"]).exists()
                assert key.removesuffix("_FILE") not in given


@every_choice
def test_everything_that_lives_on_is_asked_how_it_is_and_has_bounds(
    tools: Toolbox, folder: Path, files: tuple[str, ...]
) -> None:
    for name, service in project(tools, folder, files)["services"].items():
        assert service["deploy"]["resources"]["limits"]["memory"]
        assert service["deploy"]["resources"]["limits"]["cpus"]
        if name not in JOBS:
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
            assert service["restart"] == "unless-stopped"
        assert "no-new-privileges:true" in service["security_opt"]


@every_choice
def test_every_probe_asks_a_port_that_the_process_has(tools: Toolbox, folder: Path, files: tuple[str, ...]) -> None:
    for name, service in platform(project(tools, folder, files)).items():
        if name in PROCESSES:
            setting, path = ("PROG_PORT", "/readyz") if name == "edge" else ("PROG_METRICS_PORT", "/healthz")
            assert f"http://127.0.0.1:{service['environment'][setting]}{path}" in service["healthcheck"]["test"][-1]
            compile(service["healthcheck"]["test"][-1], name, "exec")


@every_choice
def test_processes_have_no_root_no_capability_and_nothing_to_write(
    tools: Toolbox, folder: Path, files: tuple[str, ...]
) -> None:
    loaded = project(tools, folder, files)
    for name, service in loaded["services"].items():
        if name in PROCESSES | JOBS | {"mailbox"}:
            assert service["user"] == "10001:10001"
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["tmpfs"][0].startswith("/tmp:size=")
        assert not service.get("privileged")
        assert "docker.sock" not in json.dumps(service)


@every_choice
def test_each_waits_for_what_it_needs(tools: Toolbox, folder: Path, files: tuple[str, ...]) -> None:
    services = project(tools, folder, files)["services"]
    done, healthy = "service_completed_successfully", "service_healthy"
    for name in PROCESSES:
        assert services[name]["depends_on"]["topics"]["condition"] == done
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == healthy
    waits = {name: each["condition"] for name, each in services["topics"]["depends_on"].items()}
    brokers = {"valkey": healthy} | ({"kafka": healthy} if KAFKA in files else {})
    assert waits == {"migrate": done} | brokers


@every_choice
def test_servers_are_on_a_network_without_an_outside(tools: Toolbox, folder: Path, files: tuple[str, ...]) -> None:
    loaded = project(tools, folder, files)
    assert loaded["networks"]["data"]["internal"] is True
    outside = {name for name, each in loaded["services"].items() if "outside" in each.get("networks", {})}
    assert outside - {"prometheus", "grafana"} == {"edge", "worker-users", "worker-payments", "worker-email"}
    published = {name for name, each in loaded["services"].items() if each.get("ports")}
    assert published - {"prometheus", "grafana"} == {"balancer"}
    for each in loaded["services"].values():
        assert all(port["host_ip"] == "127.0.0.1" for port in each.get("ports", []))


def test_a_process_is_given_longer_than_its_drain(tools: Toolbox, folder: Path) -> None:
    for name, service in platform(project(tools, folder, (BASE,))).items():
        variables = service["environment"]
        drain = int(variables["PROG_DRAIN_SECONDS"]) + int(variables.get("PROG_DRAIN_NOTICE_SECONDS", 0))
        assert int(service["stop_grace_period"].removesuffix("s")) > drain, name


def test_edges_stand_behind_a_balancer_that_notices_before_they_close(tools: Toolbox, folder: Path) -> None:
    loaded = project(tools, folder, (BASE,))
    balancer, edge = loaded["services"]["balancer"], loaded["services"]["edge"]
    assert edge["deploy"]["replicas"] >= 2
    assert not edge.get("ports"), "several containers of one service cannot share a port of the host"
    [mounted] = balancer["volumes"]
    assert Path(mounted["source"]).read_text() == (COMPOSE / "haproxy.cfg").read_text()
    probe = re.search(r"inter (\d+)s fastinter (\d+)ms downinter \d+ms fall 1 ", Path(mounted["source"]).read_text())
    assert probe is not None
    assert int(edge["environment"]["PROG_DRAIN_NOTICE_SECONDS"]) > 2 * int(probe[1])


def test_edges_believe_the_balancer_and_nobody_else_in_its_network(tools: Toolbox, folder: Path) -> None:
    loaded = project(tools, folder, (BASE,))
    address = ip_address(loaded["services"]["balancer"]["networks"]["front"]["ipv4_address"])
    trusted = loaded["services"]["edge"]["environment"]["PROG_TRUSTED_PROXIES"].strip(",")
    assert ip_network(trusted) == ip_network(address)
    [pool] = loaded["networks"]["front"]["ipam"]["config"]
    assert address in ip_network(pool["subnet"])
    assert address not in ip_network(pool["ip_range"]), "no other container is ever given it"
    assert {name for name, each in loaded["services"].items() if "front" in each["networks"]} == {"balancer", "edge"}


def test_production_is_what_nobody_has_to_ask_for(tools: Toolbox, folder: Path) -> None:
    for files, environment in (((BASE,), "production"), ((BASE, DEVELOPMENT), "development")):
        for service in platform(project(tools, folder, files)).values():
            assert service["environment"]["PROG_ENV"] == environment


def test_kafka_is_the_broker_of_every_process_or_of_none(tools: Toolbox, folder: Path) -> None:
    for files, url in (((BASE,), None), ((BASE, KAFKA), "kafka://kafka:9092")):
        loaded = project(tools, folder, files)
        assert {each["environment"].get("PROG_BROKER_URL") for each in platform(loaded).values()} == {url}
        assert ("kafka" in loaded["services"]) is (url is not None)
    kafka = project(tools, folder, (BASE, KAFKA))["services"]["kafka"]["environment"]
    assert kafka["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://kafka:9092"
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_workers_read_who_else_may_publish(tools: Toolbox, folder: Path) -> None:
    for name, service in platform(project(tools, folder, (BASE,))).items():
        if name.startswith("worker-"):
            (volume,) = service["volumes"]
            file = service["environment"]["PROG_PRODUCERS_FILE"]
            assert file == f"{volume['target']}/producers.json"
            assert producers.read(Path(volume["source"]) / "producers.json") == {}
            assert volume["read_only"] is True


def test_the_mailbox_is_where_the_sender_looks_for_it(tools: Toolbox, folder: Path) -> None:
    loaded = project(tools, folder, (BASE, DEVELOPMENT))
    mailbox = loaded["services"]["mailbox"]
    assert mailbox["network_mode"] == "service:worker-email"
    url = Path(loaded["secrets"]["smtp_url"]["file"]).read_text().strip()
    assert url == f"smtp://127.0.0.1:{mailbox['environment']['PROG_SMTP_LISTEN_PORT']}"


class TestSecrets:
    def test_they_are_written_once(self, folder: Path) -> None:
        before = {path.name: path.read_text() for path in (folder / "secrets").iterdir()}
        subprocess.run([folder / "secrets.sh"], check=True, capture_output=True)
        assert {path.name: path.read_text() for path in (folder / "secrets").iterdir()} == before

    def test_nobody_else_on_the_host_reaches_them_and_the_containers_user_does(self, folder: Path) -> None:
        assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
        for path in (folder / "secrets").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def test_they_fit_together(self, folder: Path) -> None:
        read = {path.name: path.read_text().strip() for path in (folder / "secrets").iterdir()}
        assert read["database_url"] == f"postgresql://prognetwork:{read['postgres_password']}@postgres/prognetwork"
        assert read["redis_url"] == f"redis://:{read['valkey_auth'].removeprefix('requirepass ')}@valkey:6379/0"
        assert len({read["postgres_password"], read["secret_keys"], read["valkey_auth"].split()[1]}) == 3
        assert all(len(read[name]) == 64 for name in ("postgres_password", "secret_keys", "grafana_password"))

    def test_every_one_that_is_mounted_is_written(self, tools: Toolbox, folder: Path) -> None:
        for secret in project(tools, folder, (BASE, MONITORING))["secrets"].values():
            assert Path(secret["file"]).exists()

    def test_git_does_not_see_them(self) -> None:
        for name in ("infra/compose/secrets/secret_keys", "infra/compose/.env"):
            assert subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False).returncode == 0
