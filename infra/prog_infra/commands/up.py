"""Run everything on this machine: servers, processes, web clients."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


class Broker(StrEnum):
    redis = "redis"
    kafka = "kafka"


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="Where data, logs and sign-ins live.", file_okay=False)] = Path(".prog"),
    port: Annotated[
        int, typer.Option(help="The port of the site, the consoles and the API.", min=1, max=65535, envvar="PROG_PORT")
    ] = 8000,
    broker: Annotated[
        Broker | None,
        typer.Option(
            help="What carries the messages. By default as the last time, at first redis.", show_default=False
        ),
    ] = None,
    edges: Annotated[int, typer.Option(help="How many edges share that port.", min=1, max=64)] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget all data first.")] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", help="Stop when whoever started it ends.")] = False,
) -> None:
    """Run PostgreSQL, Valkey and every process of the platform under one supervisor.

    Prints the addresses and the first administrator's sign-in. Ctrl-C stops all of it; data stays in --data.
    Settings that the environment gives (PROG_DATABASE_URL, PROG_REDIS_URL, …) are used; the rest is filled in.
    """
    from prog_infra.local.platform import Options, Platform
    from prog_infra.local.terminal import Terminal

    host = os.environ.get("PROG_HOST", "127.0.0.1")
    Platform(
        Options(data, host, port, fresh=fresh, broker=broker, with_parent=with_parent, edges=edges), Terminal()
    ).up()
