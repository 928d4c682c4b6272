"""The platform as the chart or the compose files start it, run as plain processes of this machine.

Commands, variables, secret files, order, probes and grace periods are read from the rendered files. Only what must
differ where all share one network and one disk is put in its place: addresses, ports, the folder of secrets.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from prog_infra.servers.kafka.ports import unused_ports
from tests.deploy.toolbox import Manifest, containers, of_kind
from tests.forking import Popen
from tests.waiting import wait_until

HOST = "127.0.0.1"
START_SECONDS = 90.0


_given: set[int] = set()


def new_port() -> int:
    """For one of a fleet's thirty servers, which start later: no two get the same, nor does an outgoing connection."""
    port = next(port for port in iter(lambda: unused_ports(1)[0], None) if port not in _given)
    _given.add(port)
    return port


@dataclass(slots=True)
class Part:
    """One process: `prog ARGUMENTS`."""

    name: str
    arguments: list[str]
    variables: dict[str, str]
    once: bool = False
    ready_path: str | None = None
    port: int = 0
    grace_seconds: float = 0.0
    process: subprocess.Popen[bytes] | None = None

    def move(self, secrets_from: str, secrets: Path) -> None:
        """Gives it ports and paths of this machine."""
        for name, text in self.variables.items():
            if name == "PROG_PRODUCERS_FILE":
                assert text == "/etc/prognetwork/producers/producers.json"
                self.variables[name] = str(secrets.parent / "producers/producers.json")
            elif name.endswith("_FILE"):
                assert text.startswith(secrets_from)
                self.variables[name] = str(secrets / text.removeprefix(secrets_from))
        self.variables |= {"PROG_HOST": HOST, "PROG_PORT": str(new_port()), "PROG_METRICS_PORT": str(new_port())}
        self.port = int(self.variables["PROG_PORT" if self.arguments == ["edge"] else "PROG_METRICS_PORT"])

    def ask(self, path: str) -> httpx.Response | None:
        try:
            return httpx.get(f"http://{HOST}:{self.port}{path}", timeout=10, verify=False)
        except httpx.TransportError:
            return None


@dataclass(slots=True)
class Fleet:
    """Its parts in the order in which they are started, and a folder that is all they may write to."""

    parts: list[Part]
    tmp: Path
    kernels: Path
    """Where compiled kernels are kept: another fleet may have compiled them."""

    forked: bool = False
    """Its processes are forks of one that has imported all: see `tests.forking`."""

    logs: dict[str, Path] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    def start(self) -> None:
        """Those that run to their end one after another, then all the others."""
        for part in self.parts:
            self._start(part)
            if part.once:
                assert part.process is not None
                assert part.process.wait(START_SECONDS) == 0, self.log(part)

    async def wait_ready(self) -> None:
        """Until each answers the readiness probe that its file names."""
        for part in self.parts:
            if part.ready_path is not None:
                ready = partial(self._is_ready, part)
                await wait_until(ready, within_seconds=START_SECONDS, what=f"readiness of {part.name}")

    def _is_ready(self, part: Part) -> bool:
        assert part.process is not None
        assert part.process.poll() is None, self.log(part)
        assert part.ready_path is not None
        answer = part.ask(part.ready_path)
        return answer is not None and answer.status_code == 200

    def stop(self) -> dict[str, int]:
        """SIGTERM to all at once, as a node that is drained gives it; the exit codes."""
        living = [part for part in self.parts if part.process is not None and part.process.poll() is None]
        for part in living:
            assert part.process is not None
            part.process.send_signal(signal.SIGTERM)
        return {part.name: part.process.wait(part.grace_seconds) for part in living if part.process is not None}

    def kill(self) -> None:
        for part in self.parts:
            if part.process is not None and part.process.poll() is None:
                part.process.kill()
                part.process.wait()

    def log(self, part: Part) -> str:
        return self.logs[part.name].read_text(errors="replace")[-4000:]

    def run(self, part: Part, *arguments: str, standard_input: str = "") -> subprocess.CompletedProcess[str]:
        """A command in the place and with the environment of a part, as `kubectl exec` and `docker compose run` do."""
        return subprocess.run(
            [_prog(), *arguments], input=standard_input, capture_output=True, text=True, check=False, timeout=120,
            env=self._environment(part), cwd=self._folder(),
        )  # fmt: skip

    def _start(self, part: Part) -> None:
        self.logs[part.name] = self.tmp / f"{part.name}.log"
        program = [sys.executable, "-m", "prog_infra.cli"] if self.forked else [_prog()]
        begin = Popen if self.forked else subprocess.Popen
        with self.logs[part.name].open("wb") as log:
            part.process = begin(
                [*program, *part.arguments], stdout=log, stderr=log, env=self._environment(part), cwd=self._folder()
            )

    def _environment(self, part: Part) -> dict[str, str]:
        """Nothing of this test's own environment but the path; what the image sets beside PROG_ variables."""
        image = {"HOME": str(self.tmp), "NUMBA_CACHE_DIR": str(self.kernels), "PYTHONDONTWRITEBYTECODE": "1"}
        return {"PATH": os.environ["PATH"], **image, **part.variables}

    def _folder(self) -> Path:
        folder = self.tmp / "root"
        folder.mkdir(exist_ok=True)
        return folder


def of_chart(manifests: Iterable[Manifest], secrets: Path) -> list[Part]:
    """The migration's containers in their order, then one process a Deployment."""
    listed = list(manifests)
    parts = [
        _of_container(container, container["name"], once=True)
        for job in of_kind(listed, "Job")
        for container in containers(job["spec"]["template"])
    ]
    for deployment in of_kind(listed, "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        part = _of_container(container, deployment["metadata"]["labels"]["app.kubernetes.io/component"])
        part.ready_path = container["readinessProbe"]["httpGet"]["path"]
        part.grace_seconds = spec["terminationGracePeriodSeconds"]
        parts.append(part)
    for part in parts:
        part.move("/etc/prognetwork/secrets/", secrets)
    return parts


def _of_container(container: Manifest, name: str, *, once: bool = False) -> Part:
    variables = {}
    for entry in container["env"]:
        if "valueFrom" in entry:
            assert entry["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            variables[entry["name"]] = f"demo-prognetwork-{name}-0"
        else:
            variables[entry["name"]] = entry["value"]
    return Part(name, [*container["command"][1:], *container["args"]], variables, once=once)


def of_compose(project: Mapping[str, Any], secrets: Path) -> list[Part]:
    """Every service of ours, each after those that it depends on."""
    services = {
        name: service for name, service in project["services"].items() if service["image"].startswith("prognetwork-")
    }
    parts: dict[str, Part] = {}

    def add(name: str) -> None:
        service = services[name]
        for other in service.get("depends_on", {}):
            if other in services and other not in parts:
                add(other)
        once = service["restart"] == "no"
        part = Part(name, list(service["command"]), dict(service["environment"]), once=once)
        part.grace_seconds = float(service.get("stop_grace_period", "10s").removesuffix("s"))
        part.move("/run/secrets/", secrets)
        part.ready_path = None if once or name == "mailbox" else "/readyz"
        parts[name] = part

    for name in services:
        if name not in parts:
            add(name)
    return [part for part in parts.values() if part.once] + [part for part in parts.values() if not part.once]


def _prog() -> str:
    return str(Path(sys.executable).with_name("prog"))
