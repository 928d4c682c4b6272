"""Run the relay: publishes committed messages to the broker."""

import typer

from prog_infra.commands._processes import run_process

app = typer.Typer()


@app.command()
def relay() -> None:
    """Run the relay until SIGTERM. Several may run; one works and the others stand by."""
    run_process("prog_broker.relay:run")
