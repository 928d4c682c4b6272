"""The clients' build: pinned, without addresses, nothing built in the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from prog_edge.web.ui.assets import Assets, AssetsNotBuilt

FRONTEND = Path(__file__).parents[4] / "edge-api" / "frontend"


def test_the_lock_file_records_no_addresses() -> None:
    assert "://" not in (FRONTEND / "package-lock.json").read_text()


def test_every_dependency_is_pinned() -> None:
    package = json.loads((FRONTEND / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}

    assert all(version[0].isdigit() for version in versions.values()), versions


def test_every_package_of_the_lock_file_has_a_checksum() -> None:
    packages = json.loads((FRONTEND / "package-lock.json").read_text())["packages"]
    bundled = {name for name, entry in packages.items() if entry.get("inBundle")}

    assert [name for name, entry in packages.items() if name and name not in bundled and "integrity" not in entry] == []


def test_a_new_build_is_noticed(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"app.css": "app-1.css"}')
    assets = Assets(tmp_path)
    assert assets.url("app.css") == "/static/built/app-1.css"

    manifest.with_suffix(".new").write_text('{"app.css": "app-2.css"}')
    os.utime(manifest.with_suffix(".new"), ns=(1, 1))
    manifest.with_suffix(".new").replace(manifest)

    assert assets.url("app.css") == "/static/built/app-2.css"


def test_a_missing_build_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(AssetsNotBuilt, match="task setup"):
        Assets(tmp_path).url("app.css")
