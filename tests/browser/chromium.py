"""Chromium from the system, started so that it asks nobody on the network for anything.

Best as its headless shell: the same engine without the desktop's browser around it, which takes half the processor.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, suppress
from typing import Final

from playwright.sync_api import Browser, Error, Playwright, sync_playwright

ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
    "--in-process-gpu",
    "--js-flags=--no-opt --no-maglev",  # a page's scripts have run before it pays to compile them well
    "--disable-features=OptimizationHints,MediaRouter,AutofillServerCommunication,InterestFeedContentSuggestions",
)


PROGRAMS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Where Chromium is: `PROG_CHROMIUM`, or the first one on the path."""
    named = os.environ.get("PROG_CHROMIUM")
    if named:
        return named
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    path = executable()
    if path is None:
        raise RuntimeError("Chromium is missing: `apt-get install chromium`, or set PROG_CHROMIUM")
    return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))


class TestChromium:
    """One browser for all tests of a process, from the first that asks for it until `close`.

    While it is there Playwright's loop runs in the main thread, and no other can.
    """

    __test__ = False

    def __init__(self) -> None:
        self._exits = ExitStack()
        self._browser: Browser | None = None

    @property
    def browser(self) -> Browser:
        if self._browser is None or not _answers(self._browser):
            self.close()
            with ExitStack() as exits:
                self._browser = launch(exits.enter_context(sync_playwright()))
                exits.callback(_end, self._browser)
                self._exits = exits.pop_all()
        return self._browser

    def close(self) -> None:
        """End it; the next test that asks for it has another one."""
        self._browser = None
        self._exits.close()


def _answers(browser: Browser) -> bool:
    """Asks it, for Playwright learns of a browser that was killed when it asks something of it."""
    try:
        browser.new_browser_cdp_session().detach()
    except Error:
        return False
    return True


def _end(browser: Browser) -> None:
    with suppress(Error):  # it may be lost
        browser.close()
