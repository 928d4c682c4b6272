"""What the commands that run one process of production have in common."""

import asyncio
import gc
import inspect
import signal
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import typer


def run_process(entry: str, *arguments: Any) -> None:
    """Run `module:function` (a coroutine function or a plain one) until it ends.

    Refuses first, with an OperatorError or a SettingsError, when the settings are wrong or the database's schema does
    not belong to this version.
    """
    from prog_infra.errors import OperatorError
    from prog_infra.migrations import require_current_schema
    from prog_kit import logging
    from prog_kit.settings import Settings

    settings = Settings.load()
    logging.configure(settings.log_level, settings.process_name)
    asyncio.run(require_current_schema(settings.database_url))
    try:
        _call(entry, arguments)
    except OperatorError:
        raise
    except Exception:  # noqa: BLE001 - the process ends, and its log says where
        traceback.print_exc()
        raise typer.Exit(1) from None


def _call(entry: str, arguments: tuple[Any, ...]) -> None:
    module, _, name = entry.partition(":")
    with no_collection():
        function: Callable[..., Any] = getattr(import_module(module), name)
    if inspect.iscoroutinefunction(function):
        import uvloop

        uvloop.run(_until_told_to_stop(function(*arguments)))
    else:
        function(*arguments)


@contextmanager
def no_collection() -> Iterator[None]:
    """Import without garbage collection, which costs a fifth of the time and finds nothing.

    What was imported stays for ever, so it is kept out of later collections too; a fork then shares its memory longer.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def _until_told_to_stop(work: Coroutine[Any, Any, None]) -> None:
    """SIGTERM cancels the work, unless it brings a way of its own to stop."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
