"""Compare the committed schemas of all messages with the code, or write them anew."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def schemas(
    write: Annotated[bool, typer.Option("--write", help="Write what has changed compatibly.")] = False,
    directory: Annotated[Path, typer.Option(help="Where the schemas are kept.")] = Path("contracts/schemas"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the committed schemas of all messages with the code; exit 1 when they differ.

    A change that another version of the code could not read is not written: give the message a new version. A version
    that was never released may be made anew: delete its file, then write.
    """
    from prog_contracts import schemas as contracts
    from prog_infra.errors import OperatorError

    if not directory.is_dir():
        raise OperatorError(f"there is no directory {directory}", remedy="run this at the root of the sources")
    written = contracts.write(directory) if write else []
    left = contracts.stale(directory)
    if as_json:
        differences = [
            {"name": item.name, "reason": item.reason, "breaking": [str(problem) for problem in item.breaking]}
            for item in left
        ]
        typer.echo(json.dumps({"written": written, "differences": differences}))
    else:
        for name in written:
            typer.echo(f"written  {name}")
        for item in left:
            typer.echo(f"differs  {item.name}: {item.reason}")
            for problem in item.breaking:
                typer.echo(f"         {problem}")
    if left:
        raise typer.Exit(1)
