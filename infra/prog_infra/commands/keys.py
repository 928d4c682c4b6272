"""The keys that sign access and ID tokens: list them, and sign with new ones."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The keys that sign access and ID tokens.")

Data = Annotated[Path | None, typer.Option("--data", help="The data directory of the platform to talk to.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """The keys that are published at /.well-known/jwks.json, newest first."""
    from prog_infra import local
    from prog_infra.local.token_keys import published

    keys = published(local.settings(data))
    if as_json:
        rows: list[dict[str, str | None]] = [
            {
                "kid": key.kid,
                "algorithm": key.algorithm,
                "tokens": "access" if key.algorithm == "EdDSA" else "id",
                "created_at": key.created_at.isoformat(),
                "retired_at": None if key.retired_at is None else key.retired_at.isoformat(),
            }
            for key in keys
        ]
        typer.echo(json.dumps({"data": rows}))
        return
    if not keys:
        typer.echo("There is no key yet: the users worker makes them when it starts.")
    for key in keys:
        tokens = "access tokens" if key.algorithm == "EdDSA" else "ID tokens"
        state = "signs" if key.retired_at is None else f"signs no more since {key.retired_at:%Y-%m-%d %H:%M} UTC"
        typer.echo(f"{key.kid}  {key.algorithm:<6} {tokens:<14} made {key.created_at:%Y-%m-%d %H:%M} UTC, {state}")


@app.command()
def rotate(
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    tokens: Annotated[str, typer.Option(help="Of which tokens: access, id, or all.")] = "all",
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Publish the old keys no more: somebody else may know them.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Sign tokens with new keys from now on.

    The old ones stay published for an hour, so nobody notices. With --withdraw they are good for nobody within half a
    minute: people and apps renew their tokens.

    PROG_SECRET_KEYS, which seal what is kept, are rotated in the settings: see SECURITY.md. Needs the settings of the
    running platform, and the users worker.
    """
    from prog_infra import local
    from prog_infra.local.token_keys import KINDS, rotate

    if tokens not in ("all", *KINDS):
        raise typer.BadParameter(f"{tokens} is none of access, id and all.", param_hint="--tokens")
    settings = local.settings(data)
    done = [rotate(kind, reason, withdraw=withdraw, settings=settings) for kind in KINDS if tokens in ("all", kind)]
    if as_json:
        typer.echo(json.dumps({"ok": True, "keys": done}))
        return
    for each in done:
        gone = "withdrawn" if withdraw else "published for another hour"
        old = f"; before it {', '.join(each['retired'])}, {gone}" if each["retired"] else ""
        typer.echo(f"{each['tokens']} tokens are signed with {each['kid']}{old}.")
