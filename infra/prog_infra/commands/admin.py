"""Break-glass operations: what must work when nobody can sign in."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from prog_infra.errors import OperatorError

app = typer.Typer(no_args_is_help=True)

Data = Annotated[Path | None, typer.Option("--data", help="The data directory of the platform to talk to.")]


@app.callback()
def admin() -> None:
    """Break-glass operations: what must work when nobody can sign in."""


@app.command("create-user")
def create_user(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The address to sign in with.")],
    name: Annotated[str, typer.Option(help="How the person is called.")] = "Administrator",
    password_file: Annotated[
        Path | None, typer.Option(help="File with the password, or - for standard input; asked for when not given.")
    ] = None,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make an operator of the platform, verified at once. One with this address stays as it is.

    Needs the settings of the running platform, and the users worker.
    """
    from prog_infra import local
    from prog_infra.local.administrator import ensure

    settings = local.settings(data)  # before anything is asked
    ensure(email, _password(password_file), name=name, settings=settings)
    typer.echo(json.dumps({"ok": True, "email": email}) if as_json else f"{email} is an operator of the platform.")


@app.command("reset-mfa")
def reset_mfa(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The address that the person signs in with.")],
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Take the second factor of somebody away who has lost app and recovery codes: an operator too, when none is left.

    Their sessions end, and a mail tells them. Needs the settings of the running platform, and the users worker.
    """
    from prog_infra import local
    from prog_infra.local.administrator import reset_second_factor

    reset_second_factor(email, reason, settings=local.settings(data))
    typer.echo(
        json.dumps({"ok": True, "email": email}) if as_json else f"{email} signs in without a second factor now."
    )


def _password(file: Path | None) -> str:
    if file is None:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        return (sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")).strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(
            f"{file} cannot be read: {error}", remedy="give a file with the password in UTF-8"
        ) from None
