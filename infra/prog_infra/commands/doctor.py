"""Check settings, servers, schema, isolation and lag: what is wrong, and the remedy."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

_SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="The data directory of the platform to examine.")] = None,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Examine the platform of the environment's settings, or the one that `prog up` runs here.

    Changes nothing. Exit code 1 when a check has failed; warnings alone leave it 0.
    """
    from prog_infra import local
    from prog_infra.doctor import examine

    findings = asyncio.run(examine(local.environment(data)))
    failed = any(finding.verdict == "failed" for finding in findings)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "findings": [dataclasses.asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            sign, colour = _SIGNS[finding.verdict]
            typer.echo(f"  {typer.style(sign, fg=colour)} {finding.check:<13} {finding.detail}")
            if finding.remedy:
                typer.echo(f"    {'':<13} → {finding.remedy}")
    if failed:
        raise typer.Exit(1)
