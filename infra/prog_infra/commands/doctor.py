"""Check settings, servers, schema, isolation and lag: what is wrong, and the remedy."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prog_infra.findings import Finding

app = typer.Typer(invoke_without_command=True)

_SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}

Data = Annotated[Path | None, typer.Option(help="The data directory of the platform to examine.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback()
def doctor(context: typer.Context, data: Data = None, as_json: AsJson = False) -> None:
    """Examine the platform of the environment's settings, or the one that `prog up` runs here.

    Changes nothing. Exit code 1 when a check has failed; warnings alone leave it 0.
    """
    if context.invoked_subcommand is not None:
        return
    from prog_infra import local
    from prog_infra.doctor import examine
    from prog_infra.findings import Finding

    findings = asyncio.run(examine(local.known_environment(data)))
    directory = local.DataDirectory(data or local.DEFAULT_DIRECTORY)
    if any(finding.verdict == "failed" for finding in findings) and directory.is_stopped():
        findings.insert(0, Finding("platform", "failed", f"that in {directory.path} does not run", "start it: prog up"))
    _tell(findings, as_json, width=13)


@app.command()
def isolation(data: Data = None, as_json: AsJson = False) -> None:
    """Prove that tenants are apart in the database: every table, with a probe of two tenants that is rolled back.

    Exit code 1 when anything is open; the remedy is told with it.
    """
    from prog_infra import local
    from prog_infra.isolation import examine

    _tell(asyncio.run(examine(local.known_environment(data))), as_json, width=32)


def _tell(findings: "list[Finding]", as_json: bool, *, width: int) -> None:
    failed = any(finding.verdict == "failed" for finding in findings)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "findings": [dataclasses.asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            sign, colour = _SIGNS[finding.verdict]
            typer.echo(f"  {typer.style(sign, fg=colour)} {finding.check:<{width}} {finding.detail}")
            if finding.remedy:
                typer.echo(f"    {'':<{width}} → {finding.remedy}")
    if failed:
        raise typer.Exit(1)
