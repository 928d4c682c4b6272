"""Print the topics and messages as AsyncAPI."""

import json

import typer

app = typer.Typer()


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document of all topics and messages as JSON."""
    from prog_contracts.asyncapi import document

    typer.echo(json.dumps(document(), indent=2, ensure_ascii=False))
