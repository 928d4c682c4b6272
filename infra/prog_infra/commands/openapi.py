"""Print the HTTP API's contract as OpenAPI."""

import json

import typer

app = typer.Typer()


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the HTTP API as JSON."""
    from prog_edge.process import openapi as document

    typer.echo(json.dumps(document(), indent=2, ensure_ascii=False))
