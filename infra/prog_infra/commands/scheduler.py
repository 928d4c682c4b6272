"""Run the scheduler: due timers, the cron table and housekeeping."""

import typer

from prog_infra.commands._processes import run_process

app = typer.Typer()


@app.command()
def scheduler() -> None:
    """Run the scheduler until SIGTERM."""
    run_process("prog_scheduler.process:run")
