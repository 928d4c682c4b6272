"""Run the local mailbox: an SMTP server that keeps every mail for you to read."""

import typer

from prog_infra.commands._processes import run_process

app = typer.Typer()


@app.command()
def mailbox() -> None:
    """Run the development mailbox until SIGTERM. It listens on PROG_SMTP_LISTEN_PORT of the loopback."""
    run_process("prog_workers.email.mailbox:run")
