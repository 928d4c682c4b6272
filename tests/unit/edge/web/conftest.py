"""The pages with sample data behind them, as a browser without JavaScript sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from prog_edge.web.ports import WebServices
from prog_edge.web.ui import rendering
from prog_edge.web.ui.assets import Assets
from tests.unit.edge.web.sample_app import sample_app
from tests.unit.edge.web.sample_backend import sample_services


class Browser:
    """Keeps cookies, follows nothing by itself."""

    def __init__(self, app: FastAPI) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000")

    @property
    def headers(self) -> httpx.Headers:
        return self._client.headers

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def get(self, address: str, **more: Any) -> httpx.Response:
        return self._loop.run_until_complete(self._client.get(address, **more))

    def post(self, address: str, **more: Any) -> httpx.Response:
        return self._loop.run_until_complete(self._client.post(address, **more))

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()


Browse = Callable[..., Browser]


@pytest.fixture(autouse=True)
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests need no build: names stand for themselves."""
    names = ("app.css", "site.js", "account.js", "console.js", "icon.svg", "geist-latin-wght-normal.woff2")
    built = tmp_path / "built"
    built.mkdir()
    (built / "manifest.json").write_text("{" + ",".join(f'"{name}": "{name}"' for name in names) + "}")
    assets = Assets(built)
    monkeypatch.setitem(rendering.ENVIRONMENT.globals, "asset", assets.url)
    monkeypatch.setattr("prog_edge.web.site.routes.ASSETS", assets)


@pytest.fixture
def browse() -> Iterator[Browse]:
    """`browse("ada")` is a signed-in browser; `browse(None, services)` an anonymous one over other data."""
    opened: list[Browser] = []

    def open_browser(who: str | None = None, services: WebServices | None = None) -> Browser:
        browser = Browser(sample_app(services or sample_services()))
        if who:
            browser.cookies.set("prog_session", who, domain="127.0.0.1")
        opened.append(browser)
        return browser

    yield open_browser
    for browser in opened:
        browser.close()
