"""Kafka's own jars: resolved by Maven from the pinned `infra/kafka/pom.xml`, once, into the user's cache.

Each file is compared with the SHA-256 that is committed beside the pom. The cache's folder is named after those two
files, so a new version gets a new folder, and it appears whole or not at all: who looks for it finds a complete one or
none. Several processes may ask at the same time; one works, the others wait.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import prog_infra
from prog_infra.errors import OperatorError
from prog_infra.servers.kafka.java import Java, find_java, find_maven

RESOLVE_SECONDS = 900.0
_GOAL = "dependency:copy-dependencies"
_OFFLINE_SIGNS = ("Unknown host", "Could not transfer", "Connection refused", "timed out", "unreachable")
_REACH = "connect to the network, or name a mirror of Maven Central in ~/.m2/settings.xml"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A complete Kafka: its folder in the cache, and the Java to run it with."""

    folder: Path
    java: Java

    @property
    def classpath(self) -> str:
        """All jars in one fixed order, which the class data archive depends on."""
        return os.pathsep.join(str(jar) for jar in sorted((self.folder / "jars").glob("*.jar")))

    @property
    def features(self) -> Path:
        """What a new node's storage begins with is here, or would be: see `storage.py`."""
        return self.folder / "bootstrap.checkpoint"

    @property
    def class_data(self) -> Path:
        """Where the archive of loaded classes for this very Java is, or would be: see `class_data.py`."""
        build = hashlib.sha256(self.java.banner.encode()).hexdigest()[:12]
        return self.folder / f"classes-{self.java.version}-{build}.jsa"

    @property
    def has_class_data(self) -> bool:
        """Whether there is one; an empty file says that this Java makes none."""
        return self.class_data.exists() and self.class_data.stat().st_size > 0


def resolve(say: Callable[[str], None]) -> Distribution:
    """Kafka's jars, brought from Maven Central if this user has none yet; `say` is told before it takes long.

    Raises OperatorError: no Java or one too old, no Maven, no network, a file that is not the pinned one.
    """
    java = find_java()
    folder = cache_folder()
    if not folder.exists():
        maven = find_maven()
        with held(folder):
            if not folder.exists():
                say("fetching Kafka from Maven Central, about 45 MB, once; this takes a minute or two")
                _fetch(folder, maven, java)
    return Distribution(folder, java)


def cache_folder() -> Path:
    """The folder of this Kafka in the user's cache."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    pinned = hashlib.sha256(_pom().read_bytes() + _checksums().read_bytes()).hexdigest()[:16]
    return Path(caches).absolute() / "prognetwork" / "kafka" / pinned


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; the kernel lets go of it for one that is killed."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f"{folder.name}.lock").open("w")
    except OSError as error:
        raise OperatorError(
            f"the cache {folder.parent} cannot be written: {(error.strerror or str(error)).lower()}",
            remedy="set XDG_CACHE_HOME to a directory of your own",
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path, maven: Path, java: Java) -> None:
    _forget_partials(folder)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _run_maven(maven, java, partial / "jars")
        verify(partial / "jars", _checksums())
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _forget_partials(folder: Path) -> None:
    """What a killed process left half done; nobody works on it, since we hold the lock."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _run_maven(maven: Path, java: Java, into: Path) -> None:
    environment = dict(os.environ)
    if not environment.get("JAVA_HOME") and shutil.which("java") is None:
        environment["JAVA_HOME"] = str(java.home)
    command = [str(maven), "--batch-mode", "--quiet", "--strict-checksums", "--file", str(_pom()), _GOAL]
    with subprocess.Popen(
        [*command, f"-DoutputDirectory={into}"],
        env=environment,
        cwd=into.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=RESOLVE_SECONDS)
        except subprocess.TimeoutExpired:
            raise OperatorError(f"Maven had no answer for {RESOLVE_SECONDS:.0f} s", remedy=_REACH) from None
        finally:
            if process.poll() is None:  # out of time, or Ctrl-C: mvn is a script, and its Java a child of it
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise _maven_error(output.decode(errors="replace"))


def _maven_error(said: str) -> OperatorError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("[ERROR]").strip() for line in lines if line.startswith("[ERROR]")] or lines[-1:]
    reason = (errors or ["it said nothing"])[0]
    if any(sign in said for sign in _OFFLINE_SIGNS):
        return OperatorError(f"Maven cannot reach Maven Central: {reason}", remedy=_REACH)
    return OperatorError(f"Maven could not resolve Kafka: {reason}", remedy=f"see: mvn -f {_pom()} {_GOAL}")


def verify(jars: Path, checksums: Path) -> None:
    """Compare a folder with the list of its files. Raises OperatorError when one is missing, more, or different."""
    lines = [line.split() for line in checksums.read_text(encoding="ascii").splitlines()]
    expected = {name: checksum for checksum, name in lines}
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in jars.glob("*")}
    if wrong := sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)):
        raise OperatorError(
            f"Maven brought another Kafka than the pinned one: {', '.join(wrong[:3])}{' …' if wrong[3:] else ''}",
            remedy="remove org/apache/kafka from ~/.m2/repository and try again; check ~/.m2/settings.xml",
        )


def _pom() -> Path:
    return _pinned("pom.xml")


def _checksums() -> Path:
    return _pinned("jars.sha256")


def _pinned(name: str) -> Path:
    """A file of `infra/kafka`: beside the package in the source tree, inside it in a wheel."""
    package = Path(prog_infra.__file__).parent
    beside, inside = package.parent / "kafka" / name, package / "servers" / "kafka" / name
    return beside if beside.exists() else inside
