"""Drive the whole customer story over the HTTP API of a running platform."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

app = typer.Typer()

_WIDTH: Final = 160


@app.command()
def demo(
    data: Annotated[
        Path | None, typer.Option(help="Where the platform's data is; .prog when not given.", file_okay=False)
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of the platform, when it is not the one of --data.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """From a visitor's address to a paying tenant: sign-up, mails, plan, renewal, a failing card, recovery.

    Needs a platform that runs (prog up). Makes new people and a new tenant at each run. Exit code 1 when a step fails,
    a mail came twice or not at all, or a message became a dead letter.
    """
    from rich.console import Console

    from prog_infra.demo.client import Api
    from prog_infra.demo.report import show, tell
    from prog_infra.demo.sign_in import find_platform
    from prog_infra.demo.story import Story

    platform = find_platform(data, url)
    api = Api(platform.url)
    try:
        api.hello()
        # Where nobody's window ends, no line has to.
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH
        console = Console(quiet=as_json, highlight=False, width=width)
        console.print(f"\n[bold]ProgNetwork demo[/]  {platform.url}\n")
        result = tell(Story(api, platform.email, platform.password), console)
        if as_json:
            typer.echo(result.json())
        elif result.ok:
            show(result, platform.url, console)
        else:
            typer.echo(f"prog demo: {result.error}", err=True)
    finally:
        api.close()
    if not result.ok:
        raise typer.Exit(1)
