"""The shape of the house: names inside a domain, the size of files, what the documentation must name."""

from __future__ import annotations

import ast
import gc
import re
from pathlib import Path

import pytest

from prog_contracts.topics import DOMAINS
from prog_kit.settings import documented

ROOT = Path(__file__).parents[2]
ROOMS = ("contracts", "broker", "workers", "edge-api/prog_edge", "scheduler", "infra")
DOMAIN_NAMES = {"app", "handlers", "rules", "store", "queries", "errors", "migrations", "__init__"}
OWN_NAMES = {
    "payments": {"gateway", "pdf", "model"},
    "email": {"branding", "contexts", "delivery", "mailbox", "providers", "render", "templates"},
    "tenants": {"dns", "scim"},
    "users": {
        "ceremonies",
        "links",
        "logout_courier",
        "passwords",
        "signing",
        "strength",
        "tokens",
        "totp",
        "recovery_codes",
    },
    "monitoring": {"lag", "sampling"},
    "events": {"appending", "audit", "forgetting", "schemas"},
}
"""What a domain may have beside the names that all share."""


def sources() -> list[Path]:
    return [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "node_modules" not in path.parts]


def parsed(path: Path) -> ast.Module:
    """The syntax tree. Without collections in between: CPython 3.11 miscounts its depth when one runs (gh-106905)."""
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def test_every_domain_has_the_same_names() -> None:
    for domain in DOMAINS:
        folder = ROOT / "workers/prog_workers" / domain
        names = {path.stem for path in folder.iterdir() if path.name not in ("__pycache__", "py.typed")}
        assert {"app", "handlers", "store", "queries", "migrations"} <= names, domain
        assert names <= DOMAIN_NAMES | OWN_NAMES.get(domain, set()), domain


def test_app_is_wiring_only() -> None:
    """It names the `domain` and at most chooses, at start, what its handlers work with."""
    for domain in DOMAINS:
        text = (ROOT / "workers/prog_workers" / domain / "app.py").read_text()
        assert '"domain"' in text, domain
        assert "SELECT" not in text, domain
        assert text.count("\n") < 60, domain


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_fit_a_reader(path: Path) -> None:
    assert path.read_text().count("\n") <= 450, "make it a folder of the same name, one concept a file"


def test_functions_fit_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources()
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (node.end_lineno or 0) - node.lineno > 70
    ]
    assert long == []


def test_no_module_is_called_utils() -> None:
    vague = {"utils", "helpers", "common", "manager", "data", "info", "misc"}
    assert [path for path in sources() if path.stem in vague] == []


def test_every_package_has_its_init() -> None:
    bare = {
        path.parent
        for path in sources()
        if path.parent.name not in ROOMS and not (path.parent / "__init__.py").exists()
    }
    assert bare == set()


def test_rules_know_no_io_and_no_clock() -> None:
    forbidden = re.compile(
        r"^\s*(?:from|import) (?:asyncpg|redis|httpx|prog_broker|asyncio|time)\b|datetime\.now\(", re.M
    )
    for path in sources():
        if path.stem == "rules" or path.parent.name == "rules":
            assert not forbidden.search(path.read_text()), path


def test_every_setting_is_in_the_readme_or_the_settings_page() -> None:
    text = (ROOT / "infra/SETTINGS.md").read_text()
    assert [name for name, _, _ in documented() if f"`{name}`" not in text] == []
