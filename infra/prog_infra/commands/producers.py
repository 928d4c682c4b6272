"""Who else may publish commands: add, list, remove, and make keys."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from prog_broker.producers import Rights

app = typer.Typer(no_args_is_help=True, help="Producers outside the platform, and what each may publish.")

DATA = typer.Option(None, "--data", help="The data directory of the platform to talk to.")
AS_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command()
def add(
    name: str = typer.Argument(metavar="NAME", help="A letter, then a-z, 0-9 and '-'."),
    types: list[str] = typer.Option(["prognetwork.events.*"], "--type", help="A pattern of message types; repeatable."),
    tenants: list[str] = typer.Option(["*"], "--tenant", help="An id, * for every customer's, platform; repeatable."),
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """Make a producer known, or change what it may do, and print its key. Workers hear of it within a second."""
    producers, path = _kept(data)
    generation = producers[name].generation if name in producers else 1
    _save(path, producers, name, types, tenants, generation)
    _print_key(name, generation, data, as_json)


@app.command()
def renew(name: str = typer.Argument(metavar="NAME"), data: Path = DATA, as_json: bool = AS_JSON) -> None:
    """Take the producer's key back, as when somebody else knows it, and print a new one."""
    producers, path = _kept(data)
    rights = _known(producers, name)
    _save(path, producers, name, list(rights.types), list(rights.tenants), rights.generation + 1)
    _print_key(name, rights.generation + 1, data, as_json)


@app.command()
def key(name: str = typer.Argument(metavar="NAME"), data: Path = DATA, as_json: bool = AS_JSON) -> None:
    """Print the producer's key, which follows from PROG_SECRET_KEYS and is stored nowhere."""
    producers, _ = _kept(data)
    _print_key(name, _known(producers, name).generation, data, as_json)


@app.command()
def remove(name: str = typer.Argument(metavar="NAME"), data: Path = DATA) -> None:
    """Forget the producer: what it sends from now on becomes a dead letter."""
    from prog_broker.producers import write

    producers, path = _kept(data)
    _known(producers, name)
    write(path, {other: rights for other, rights in producers.items() if other != name})
    typer.echo(f"{name} is forgotten.")


@app.command("list")
def list_producers(data: Path = DATA, as_json: bool = AS_JSON) -> None:
    """The producers, and what each may publish for whom."""
    producers, _ = _kept(data)
    if as_json:
        rows = [{"name": name, **rights.model_dump()} for name, rights in sorted(producers.items())]
        typer.echo(json.dumps({"data": rows}))
        return
    if not producers:
        typer.echo("The platform alone publishes commands.")
    for name, rights in sorted(producers.items()):
        typer.echo(f"{name:<24}{', '.join(rights.types)}  for {', '.join(rights.tenants)}")


def _kept(data: Path | None) -> "tuple[dict[str, Rights], Path]":
    from prog_broker.producers import read
    from prog_infra import local
    from prog_infra.errors import OperatorError

    name = local.settings(data).producers_file
    if name is None:
        raise OperatorError("no file of producers is named", remedy="set PROG_PRODUCERS_FILE for every process")
    return read(Path(name)), Path(name)


def _save(
    path: Path, producers: "dict[str, Rights]", name: str, types: list[str], tenants: list[str], generation: int
) -> None:
    from pydantic import TypeAdapter, ValidationError

    from prog_broker.producers import ProducerName, Rights, write
    from prog_contracts.ids import TenantId
    from prog_contracts.signing import PLATFORM_PRODUCER
    from prog_infra.errors import OperatorError

    for adapter, value, what in [
        (TypeAdapter(ProducerName), name, "name"),
        *((TypeAdapter(TenantId), tenant, "tenant") for tenant in tenants if tenant not in ("*", "platform")),
    ]:
        try:
            adapter.validate_python(value)
        except ValidationError:
            raise OperatorError(f"{value!r} is no {what}", remedy="see `prog producers add --help`") from None
    if name == PLATFORM_PRODUCER:
        raise OperatorError(f"{name} is the platform's own name", remedy="choose another one")
    rights = Rights(types=tuple(types), tenants=tuple(tenants), generation=generation)
    write(path, producers | {name: rights})


def _known(producers: "dict[str, Rights]", name: str) -> "Rights":
    from prog_infra.errors import OperatorError

    if name not in producers:
        raise OperatorError(f"there is no producer {name}", remedy="see `prog producers list`")
    return producers[name]


def _print_key(name: str, generation: int, data: Path | None, as_json: bool) -> None:
    from prog_infra import local
    from prog_kit.secrets import producer_keys

    secret = producer_keys(local.settings(data).secret_keys, name, generation)[0]
    typer.echo(json.dumps({"name": name, "key": secret}) if as_json else f"{name}  {secret}")
