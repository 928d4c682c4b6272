"""Run the consumers of one or more domains."""

from typing import Annotated

import typer

from prog_contracts.topics import DOMAINS
from prog_infra.commands._processes import run_process

app = typer.Typer()


@app.command()
def worker(
    domains: Annotated[list[str], typer.Argument(metavar="DOMAIN", help=f"One or more of: {', '.join(DOMAINS)}.")],
) -> None:
    """Run the consumers of the domains until SIGTERM; they finish the batch in hand first."""
    if unknown := sorted(set(domains) - set(DOMAINS)):
        raise typer.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(DOMAINS)}")
    run_process("prog_workers.process:run", tuple(dict.fromkeys(domains)))
