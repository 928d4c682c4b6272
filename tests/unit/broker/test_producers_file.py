"""The file that says who else may publish commands: what is wrong in it is named, and none of it counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prog_broker.producers import ProducerGate, Rights, read, write
from prog_contracts.ids import new_id
from prog_contracts.signing import PLATFORM_PRODUCER
from prog_kit.settings import SettingsError

SECRET = "0123456789abcdef" * 4
SHOP = Rights(types=("prognetwork.events.*",), tenants=(new_id("tenant"),))


def test_nobody_gets_the_platform_s_own_rights_by_its_name(tmp_path: Path) -> None:
    """Its key would be the platform's, for it follows from the name; and whose rights these are no file says."""
    path = tmp_path / "producers.json"
    write(path, {"shop": SHOP, PLATFORM_PRODUCER: SHOP})
    with pytest.raises(SettingsError) as refused:
        read(path)
    assert refused.value.problems == [f"PROG_PRODUCERS_FILE: {path}: {PLATFORM_PRODUCER} is the platform's own name"]
    with pytest.raises(SettingsError):
        ProducerGate((SECRET,), path)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "producers.json"
    assert read(path) == {}, "no file makes nobody known"
    write(path, {"shop": SHOP})
    assert read(path) == {"shop": SHOP}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"Shop": {"types": ["a"], "tenants": ["*"]}}, "Shop"),
        ({"shop": {"types": [], "tenants": ["*"]}}, "shop.types"),
        ({"shop": {"types": ["a"], "tenants": []}}, "shop.tenants"),
        ({"shop": {"types": ["a"], "tenants": ["*"], "generation": 0}}, "shop.generation"),
        ({"shop": {"types": ["a"], "tenants": ["*"], "key": "x"}}, "shop.key"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, said: object, told: str) -> None:
    path = tmp_path / "producers.json"
    path.write_text(json.dumps(said))
    with pytest.raises(SettingsError) as refused:
        read(path)
    assert told in refused.value.problems[0]
