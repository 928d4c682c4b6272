"""Run the edge: the HTTP API, the gateway and the web clients."""

import typer

from prog_infra.commands._processes import run_process

app = typer.Typer()


@app.command()
def edge() -> None:
    """Run the edge until SIGTERM. It listens on PROG_HOST and PROG_PORT."""
    run_process("prog_edge.process:run")
