"""What a person sees at the end of a run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.faults.rig.running import Result


def summary(console: Console, result: Result) -> None:
    """The counts, the faults, and what went wrong."""
    table = Table(
        title=f"Fault rig, seed {result.seed}, {result.form} form, {result.seconds:.0f} s", title_justify="left"
    )
    table.add_column("")
    table.add_column("", justify="right")
    fields = result.json()
    for name in ("messages", "applied", "refused", "dead", "redriven", "outside_calls"):
        table.add_row(name.replace("_", " "), f"{fields[name]:,}")
    table.add_section()
    for name in ("lost", "duplicated", "reordered"):
        table.add_row(name, f"[{'green' if fields[name] == 0 else 'red'}]{fields[name]:,}[/]")
    table.add_section()
    for kind, count in result.faults.items():
        table.add_row(kind.replace("_", " "), str(count))
    table.add_section()
    longest = result.recovery
    told = "none measured" if longest is None else f"{longest.seconds:.2f} s"
    table.add_row("longest recovery", told)
    console.print(table)
    if longest is not None:
        console.print(f"Longest recovery: {longest.shard} after {longest.outage.kind} of {longest.outage.target}")
    for line in result.samples():
        console.print(f"[red]{line}[/]", highlight=False)
    console.print("[green]Nothing was lost, doubled or reordered.[/]" if result.ok else "[red]Failed.[/]")
