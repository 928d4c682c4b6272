"""What `prog up` shows: its progress, where everything is, and what happens later. Colours on a terminal alone."""

import shlex
import shutil
import sys
from pathlib import Path

from prog_infra.local.directory import DEFAULT_DIRECTORY, DataDirectory

_PLACES = (
    ("Site", "/"),
    ("Account", "/account"),
    ("Admin console", "/admin"),
    ("API documentation", "/docs"),
    ("Mailbox", "/dev/mailbox"),
)


class Terminal:
    """Lines on standard output."""

    def __init__(self) -> None:
        self._styled = sys.stdout.isatty()

    def begin(self, phase: str) -> None:
        if self._styled:
            self._write(f"  \x1b[2m… {phase}\x1b[0m\r", end="")

    def done(self, phase: str, seconds: float) -> None:
        self._write(f"{self._clear()}  {self._paint('32', '✓')} {phase:<26}{self._paint('2', f'{seconds:6.2f} s')}")

    def say(self, line: str) -> None:
        self._write(f"{self._clear()}{self._paint('2', 'prog up:')} {line}")

    def ready(self, variables: dict[str, str], directory: DataDirectory, seconds: float) -> None:
        """The addresses, and the first administrator's sign-in."""
        url = variables["PROG_PUBLIC_URL"].rstrip("/")
        administrator = directory.administrator()
        self._write(f"\n{self._paint('1', 'ProgNetwork is ready')} after {seconds:.1f} s\n")
        for name, path in _PLACES:
            self._write(f"  {name:<19}{self._paint('36', url + path)}")
        if (broker := variables.get("PROG_BROKER_URL", "")).startswith("kafka://"):
            self._write(f"  {'Kafka':<19}{broker.removeprefix('kafka://')}")
        self._write(f"\n  Administrator      {self._paint('1', administrator['email'])}")
        self._write(f"  Password           {self._paint('1', administrator['password'])}")
        self._write(f"                     {self._paint('2', f'kept in {directory.administrator_file}')}")
        self._write(f"\n  Data and logs      {directory.path}")
        self._write(
            f"  Next               {_prog()} demo{_where(directory.path)}    stop with {self._paint('1', 'Ctrl-C')}\n"
        )

    def _write(self, line: str, end: str = "\n") -> None:
        try:
            sys.stdout.write(line + end)
            sys.stdout.flush()
        except OSError:  # nobody listens any more; the platform goes on
            return

    def _clear(self) -> str:
        return "\r\x1b[2K" if self._styled else ""

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._styled else text


def _prog() -> str:
    """The command as the person at this terminal can type it."""
    if shutil.which("prog"):
        return "prog"
    installed = Path(sys.executable).with_name("prog")
    try:
        return str(installed.relative_to(Path.cwd()))
    except ValueError:
        return str(installed)


def _where(data: Path) -> str:
    """What a command has to be told to find data that is not where it looks."""
    return "" if data.resolve() == DEFAULT_DIRECTORY.resolve() else f" --data {shlex.quote(str(data))}"
