"""A platform to measure: the one that runs, or one of our own in a directory that goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from prog_infra import local
from prog_infra.bench import Options
from prog_infra.demo.sign_in import find_platform
from prog_infra.errors import OperatorError
from prog_infra.servers import free_port
from prog_infra.servers.process import Launch

START_SECONDS = 120.0
STOP_SECONDS = 40.0
SIGN_IN = "/v1/auth/login"


@dataclass(frozen=True, slots=True)
class Target:
    """A platform that runs. `environment` has the PROG_… variables of its processes."""

    url: str
    email: str
    password: str
    environment: Mapping[str, str]

    @property
    def database_url(self) -> str:
        """The administrator's address of the database."""
        if file := self.environment.get("PROG_DATABASE_URL_FILE"):
            return Path(file).read_text(encoding="utf-8").strip()
        return self.environment["PROG_DATABASE_URL"]

    def token(self) -> str:
        """An access token of the first administrator. Raises OperatorError when the platform refuses."""
        answer = httpx.post(self.url + SIGN_IN, json={"email": self.email, "password": self.password}, timeout=30)
        if answer.status_code != 200:
            raise OperatorError(
                f"signing in at {self.url} failed: {answer.status_code} {answer.text[:200]}", remedy="see its logs"
            )
        return str(answer.json()["access_token"])


@contextmanager
def target(options: Options, **settings: str) -> Iterator[Target]:
    """The platform that the options name, else one of our own with these settings, which is gone afterwards.

    Raises OperatorError when it cannot be found or does not start.
    """
    if options.data is not None or options.url is not None:
        yield _target(options.data, options.url)
        return
    with tempfile.TemporaryDirectory(prefix="prog-bench-", ignore_cleanup_errors=True) as folder:
        data, port = Path(folder) / "data", free_port()
        Path(folder).chmod(0o711)  # root's servers run as another user, who has to pass
        command = ["prog_infra.cli", "up", "--with-parent", "--data", str(data), "--port", str(port)]
        with running(command, {**_clean_environment(), **settings}) as child:
            _await(f"http://127.0.0.1:{port}/readyz", child, until=data / "platform.json")
            yield _target(data, None)


@contextmanager
def running(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m ARGUMENTS`, stopped by SIGINT at the end, and by SIGTERM when this process is killed: a Python that is
    importing may lose an interrupt, and no other would come."""
    argv = (sys.executable, "-m", *arguments)
    with tempfile.TemporaryFile() as output:
        launch = Launch(argv, environment, death_signal=signal.SIGTERM, working_directory=Path.cwd())
        child = launch.start(output=output.fileno())
        try:
            yield child
        except OperatorError as error:
            output.seek(0)
            said = output.read()[-2000:].decode("utf-8", "replace").strip()
            raise OperatorError(f"{error.message}\n{said}", remedy=error.remedy) from error
        finally:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextmanager
def second_edge(target: Target, module: str) -> Iterator[str]:
    """`python -m module` with the platform's settings on a port of its own, ready; yields its address."""
    port = free_port()
    environment = {
        **os.environ,
        **target.environment,
        "PROG_PORT": str(port),
        "PROG_PROCESS_NAME": "bench-edge",
        "PROG_METRICS_PORT": "0",
    }
    url = f"http://127.0.0.1:{port}"
    with running([module], environment) as child:
        _await(f"{url}/readyz", child)
        yield url


def _target(data: Path | None, url: str | None) -> Target:
    found = find_platform(data, url)
    return Target(found.url, found.email, found.password, local.environment(data))


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PROG_")}


def _await(url: str, child: subprocess.Popen[bytes], until: Path | None = None) -> None:
    """Waits until `url` answers 200 and the file `until` is there."""
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=5) as client:
        while child.poll() is None and time.monotonic() < deadline:
            try:
                if (until is None or until.exists()) and client.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
    raise OperatorError("the platform to be measured did not start", remedy="see what it said")
