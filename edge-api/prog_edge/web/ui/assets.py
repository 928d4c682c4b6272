"""The built CSS, JS and fonts, by logical name. Names carry content hashes, so browsers may keep them for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

BUILT: Final = Path(__file__).parent.parent / "static" / "built"
URL_PREFIX: Final = "/static/built"


class AssetsNotBuilt(RuntimeError):
    """The clients have not been built. `task setup` does it."""


class Assets:
    """Reads the build's manifest, and again whenever a new build has replaced it."""

    def __init__(self, directory: Path = BUILT) -> None:
        self.directory = directory
        self._names: dict[str, str] = {}
        self._stamp = -1

    def url(self, name: str) -> str:
        """The address of a built file, such as `url("app.css")`."""
        names = self._manifest()
        if name not in names:
            raise AssetsNotBuilt(f"{name} is not in {self.directory / 'manifest.json'}; run `task setup` to build it")
        return f"{URL_PREFIX}/{names[name]}"

    def _manifest(self) -> dict[str, str]:
        path = self.directory / "manifest.json"
        try:
            stamp = path.stat().st_mtime_ns
            if stamp != self._stamp:
                self._names = json.loads(path.read_text(encoding="utf-8"))
                self._stamp = stamp
        except FileNotFoundError:
            raise AssetsNotBuilt(f"{path} is missing; run `task setup` to build the clients") from None
        return self._names


class BuiltFiles(StaticFiles):
    """Serves the built files with a year of caching."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
            response.headers["X-Content-Type-Options"] = "nosniff"
        return response
