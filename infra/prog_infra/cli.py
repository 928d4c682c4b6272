"""The `prog` command: finds its commands in `prog_infra.commands`, and tells errors in one line.

Nothing but the command that was asked for is imported, so that `prog --help` answers at once. Exit codes: 0 done, 1
failed, 2 used wrongly. With `--json` an error is an object on standard output, else a line on standard error.
"""

import ast
import difflib
import inspect
import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from prog_infra import commands
from prog_infra.errors import OperatorError

# What a newcomer needs comes first; commands that are not named here follow by the alphabet.
_ORDER = (
    "up", "demo", "doctor", "env", "publish", "tail", "dead", "replay", "audit", "events", "producers", "admin", "keys",
    "migrate", "topics", "edge", "worker", "relay", "scheduler", "mailbox", "openapi", "asyncapi", "schemas", "bench",
)  # fmt: skip
_HELP = ["-h", "--help"]


class _Commands(TyperGroup):
    """The modules of `prog_infra.commands`. Help shows the first line of each; only the one that runs is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = {name: place for place, name in enumerate(_ORDER)}
        return sorted(_modules(), key=lambda name: (order.get(name, len(order)), name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        path = _modules().get(cmd_name)
        return None if path is None else TyperCommand(cmd_name, help=_first_line(path))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in _modules():
            near = difflib.get_close_matches(args[0], _modules(), n=2, cutoff=0.5)
            meant = f"Did you mean {' or '.join(near)}?" if near else "prog --help lists them."
            ctx.fail(f"There is no command {args[0]}. {meant}")
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        module = import_module(f"{commands.__name__}.{name.replace('-', '_')}")
        module.app._add_completion = False  # typer would offer it for each command by itself
        command = typer.main.get_command(module.app)
        command.name = name
        _flow(command)
        return name, command, rest


def _flow(command: Any) -> None:
    """Let the paragraphs of a command's help be as wide as the window, not as the line in its source, and flags look
    like what they are: typer says `<bool>` behind them, as if they took a value."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    flags = [param for param in command.params if getattr(param, "is_flag", False)]
    for flag in (*flags, command.get_help_option(typer.Context(command, help_option_names=_HELP))):
        flag.metavar = ""
    for other in getattr(command, "commands", {}).values():
        _flow(other)


_app = typer.Typer(
    cls=_Commands,
    name="prog",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": _HELP},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(metadata.version("prognetwork"))
        raise typer.Exit


@_app.callback()
def _prog(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    """ProgNetwork: the backbone of a multi-tenant SaaS business.

    `prog up` runs everything on this machine; `prog COMMAND --help` tells what a command does.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Errors that a person can mend are told in one line."""
    try:
        command = typer.main.get_command(_app)
        _flow(command)
        result = command.main(list(arguments), prog_name="prog", standalone_mode=False)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last one who can tell the person at the terminal
        return _tell(error, arguments)
    return result if isinstance(result, int) else 0


def _tell(error: Exception, arguments: Sequence[str]) -> int:
    if hasattr(error, "exit_code"):  # typer's own: wrong usage, aborted
        if hasattr(error, "show"):
            error.show()
        return int(error.exit_code)
    message, remedy = _explain(error, _data_in(arguments))
    details = error.details if isinstance(error, OperatorError) else ()
    if "--json" in arguments:
        told = {"details": details} if details else {}
        typer.echo(json.dumps({"ok": False, "error": message, **told, "remedy": remedy}))
    else:
        head = f"{typer.style('prog:', fg='red', bold=True)} {message}"
        if details:
            typer.echo("\n  ".join((f"{head}:", *details)), err=True)
            typer.echo(remedy, err=True)
        else:
            typer.echo(f"{head}{f' - {remedy}' if remedy else ''}", err=True)
    if os.environ.get("PROG_LOG_LEVEL") == "debug":
        sys.excepthook(type(error), error, error.__traceback__)
    return 1


def _data_in(arguments: Sequence[str]) -> Path | None:
    """What stands behind `--data`."""
    for place, argument in enumerate(arguments):
        name, given, value = argument.partition("=")
        if name == "--data":
            return Path(value) if given else Path(*arguments[place + 1 : place + 2])
    return None


def _explain(error: Exception, data: Path | None) -> tuple[str, str]:
    if isinstance(error, OperatorError):
        return error.message, error.remedy
    if isinstance(error, typer.Abort):
        return "a question got no answer", "nothing was done"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or str(error)).lower()}", "check the path, and whether it is yours"
    kind = type(error)
    if isinstance(error, OSError) or (kind.__name__ == "ConnectionError" and kind.__module__.startswith("redis")):
        return _no_answer(error, data)
    if kind.__name__ == "SettingsError" or kind.__module__ == "prog_contracts.errors":
        return str(error), ""
    return f"{kind.__name__}: {error}", "PROG_LOG_LEVEL=debug shows where it comes from"


def _no_answer(error: Exception, data: Path | None) -> tuple[str, str]:
    """A server is away: the whole platform of the data directory, or something that doctor knows better."""
    from prog_infra.local import DEFAULT_DIRECTORY, DataDirectory

    directory = DataDirectory(data or DEFAULT_DIRECTORY)
    if directory.is_stopped():
        return f"the platform in {directory.path} does not run", "start it with `prog up`"
    return f"a server does not answer: {error}", "`prog doctor` tells which one, and what to do"


@cache
def _modules() -> dict[str, Path]:
    """Command name to file."""
    folder = Path(commands.__path__[0])
    return {file.stem.replace("_", "-"): file for file in folder.glob("*.py") if not file.stem.startswith("_")}


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    return docstring.partition("\n")[0]


if __name__ == "__main__":
    main()
