"""Run a benchmark: ours and its reference in one run, and their ratio."""

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prog_infra.bench import Result

app = typer.Typer()


@app.command()
def bench(
    name: Annotated[
        str,
        typer.Argument(
            help="bus: the message core. command: a way through it all. edge: the gateway. isolation: row-level"
            " security. kernels: histograms."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    short: Annotated[bool, typer.Option("--short", help="A minute or so.")] = False,
    long: Annotated[bool, typer.Option("--long", help="As long as good figures take.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Measure the platform that runs on this data.", file_okay=False)
    ] = None,
    url: Annotated[str | None, typer.Option(help="Its address, when it is not the one of --data.")] = None,
    only: Annotated[str | None, typer.Option(help="One part alone, such as `publish` of `bus`.")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time goes, too (bus).")] = False,
) -> None:
    """Measure ours and the reference in turns, in one run, and print the ratio.

    Starts a platform of its own in a temporary directory unless --data names one that runs. A ratio is ours over the
    reference, for times the reference over ours: more is better. Exit code 1 when one is below what it must be.
    """
    from prog_infra.bench import Length, Options, find

    if short and long:
        raise typer.BadParameter("--short and --long exclude each other")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped, and its data goes away
    run = find(name)
    length: Length = "short" if short else "long" if long else "normal"
    result = run(Options(length, data, url, only, profile))
    if as_json:
        typer.echo(json.dumps(result.json()))
    else:
        _show(result)
    if not result.ok:
        raise typer.Exit(1)


def _show(result: "Result") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    about = result.machine
    console.print(f"\n[bold]{result.bench}[/]  {about['cpu']}, {about['cores']} cores, Python {about['python']}\n")
    table = Table(box=None, pad_edge=False)
    for title in ("", "ours", "reference", "unit", "ratio", "at least", "aim", "runs"):
        table.add_column(title, justify="left" if title in ("", "unit") else "right")
    for row in result.rows:
        colour = "red" if not row.ok else "green" if row.ratio >= row.aim else "yellow"
        table.add_row(
            row.path, f"{row.ours:,}", f"{row.reference:,}", row.unit, f"[{colour}]{row.ratio}[/]",
            str(row.at_least), str(row.aim), str(row.runs),
        )  # fmt: skip
    console.print(table)
    for peer in result.peers:
        console.print(f"[dim]{peer.name} {peer.version}, {peer.path}: {peer.value:,} {peer.unit}[/]")
    console.print()
