"""Which Python the environment is made with, of those that a machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "infra" / "setup" / "find-python.sh"
BASH = shutil.which("bash") or ""


class Machine:
    """Folders of programs, in the order in which they are looked through."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folders: list[Path] = []

    def python(self, name: str, *, version: tuple[int, int] = (3, 11), built: str = "", prefix: str = "/opt/py") -> str:
        """A Python that says this of itself, in a folder of its own after the others; its path."""
        folder = self._directory / f"bin{len(self._folders)}"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(
            f"import platform, sys, sysconfig\nsys.version_info = {version!r}\nsys.base_prefix = {prefix!r}\n"
            f"sys._base_executable = {str(folder / name)!r}\n"
            f"platform.python_version = lambda: '{version[0]}.{version[1]}'\n"
            f"sysconfig.get_config_var = {{'CONFIG_ARGS': {built!r}}}.get\n"
        )
        program = folder / name
        program.write_text(f'#!{BASH}\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
        program.chmod(0o755)
        self._folders.append(folder)
        return str(program)

    def lacks(self, path: str, module: str) -> None:
        with Path(path).with_name("sitecustomize.py").open("a") as file:
            file.write(f"sys.modules[{module!r}] = None\n")

    def chosen(self, *options: str, asked: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": ":".join(map(str, self._folders)), "PYTHON": asked}
        return subprocess.run(
            [BASH, SCRIPT, *options], env=environment, check=False, capture_output=True, text=True, timeout=30
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


OPTIMISED = "'--prefix=/opt/py' '--enable-optimizations' '--with-lto'"


def test_the_first_on_the_path_serves(machine: Machine) -> None:
    first = machine.python("python3", built=OPTIMISED)
    machine.python("python3.13", built=OPTIMISED)
    chosen = machine.chosen()
    assert (chosen.stdout, chosen.stderr, chosen.returncode) == (f"{first}\n", "", 0)


@pytest.mark.parametrize("other", [{"built": OPTIMISED}, {"prefix": "/usr"}], ids=["by its options", "the system's"])
@pytest.mark.parametrize("name", ["python3", "python3.12"])
def test_one_that_was_built_without_optimisations_makes_room_and_that_is_said(
    machine: Machine, name: str, other: dict[str, str]
) -> None:
    slow = machine.python("python3", built="'--enable-shared'")
    quick = machine.python(name, **other)  # type: ignore[arg-type]
    chosen = machine.chosen()
    assert chosen.stdout == f"{quick}\n"
    assert chosen.stderr.startswith(f"{quick} (3.11) serves: {slow} (3.11) was built without optimisations")
    assert f"rm -rf .venv, and PYTHON={slow}" in chosen.stderr


def test_one_without_optimisations_serves_where_there_is_no_better(machine: Machine) -> None:
    machine.python("python3", version=(3, 10), built=OPTIMISED)
    slow = machine.python("python3.12")
    machine.python("python3.11")
    chosen = machine.chosen()
    assert (chosen.stdout, chosen.stderr) == (f"{slow}\n", "")


def test_one_that_cannot_make_an_environment_by_itself_serves_with_uv_alone(machine: Machine) -> None:
    bare = machine.python("python3", prefix="/usr")
    machine.lacks(bare, "ensurepip")
    whole = machine.python("python3.12", built=OPTIMISED)
    assert machine.chosen().stdout == f"{bare}\n"
    assert machine.chosen("--with-venv").stdout == f"{whole}\n"


@pytest.mark.parametrize("name", ["python3", "python3.14"])
def test_one_that_is_newer_than_what_is_tried_makes_no_other_go(machine: Machine, name: str) -> None:
    slow = machine.python("python3")
    newer = machine.python(name, version=(3, 14), built=OPTIMISED)
    assert machine.chosen().stdout == f"{slow}\n"
    assert machine.chosen(asked=newer).stdout == f"{newer}\n"


def test_a_newer_one_that_comes_first_serves(machine: Machine) -> None:
    newer = machine.python("python3", version=(3, 14), built=OPTIMISED)
    machine.python("python3.13", version=(3, 13), built=OPTIMISED)
    assert machine.chosen().stdout == f"{newer}\n"


def test_of_an_environment_the_python_behind_it_serves(machine: Machine, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    asked = str(environment / "bin" / "python3")
    chosen = machine.chosen(asked=asked).stdout.strip()
    assert Path(chosen).samefile(asked)
    assert not chosen.startswith(str(tmp_path))


def test_who_asks_for_one_has_it(machine: Machine) -> None:
    slow = machine.python("python3")
    machine.python("python3.13", built=OPTIMISED)
    assert machine.chosen(asked=slow).stdout == f"{slow}\n"
    assert machine.chosen(asked="python3").stdout == f"{slow}\n"


@pytest.mark.parametrize("asked", ["python2", "/nowhere/python3"])
def test_who_asks_for_what_does_not_serve_is_told(machine: Machine, asked: str) -> None:
    machine.python("python2", version=(2, 7))
    machine.python("python3", built=OPTIMISED)
    chosen = machine.chosen(asked=asked)
    assert (chosen.stdout, chosen.returncode) == ("", 1)
    assert chosen.stderr == f"PYTHON={asked} is no Python 3.11 or newer\n"


def test_setup_says_no_more_to_who_asks_for_what_does_not_serve(tmp_path: Path) -> None:
    """And makes nothing: it is asked in a copy, which has no environment."""
    setup = tmp_path / "infra" / "setup"
    shutil.copytree(SCRIPT.parent, setup)
    environment = os.environ | {"PYTHON": "/nowhere/python3"}
    done = subprocess.run(
        [BASH, setup / "python.sh"], env=environment, check=False, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == "PYTHON=/nowhere/python3 is no Python 3.11 or newer\n"
    assert not (tmp_path / ".venv").exists()


def test_none_is_found_where_all_are_too_old(machine: Machine) -> None:
    machine.python("python3", version=(3, 10), built=OPTIMISED)
    chosen = machine.chosen()
    assert (chosen.stdout, chosen.stderr, chosen.returncode) == ("", "", 1)
