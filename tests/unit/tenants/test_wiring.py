"""What the settings say holds in the domain once its worker has started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from prog_kit.settings import Settings
from prog_workers.tenants import app, dns
from prog_workers.tenants.handlers import custom_domains, exporting, lifecycle


async def test_the_limits_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (dns, "resolver"),
        (custom_domains, "platform"),
        (lifecycle, "most_a_person"),
        (exporting, "largest_bytes"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))  # as they were, afterwards
    settings = Settings(
        database_url="postgresql://nobody/x",
        redis_url="redis://nobody:1/0",
        secret_keys=("0123456789abcdef" * 4,),
        tenants_per_person=3,
        tenant_export_mib=5,
    )
    await app.prepare(cast("Any", SimpleNamespace(settings=settings)))
    assert (lifecycle.most_a_person, exporting.largest_bytes) == (3, 5 << 20)


def test_without_a_setting_there_is_a_limit() -> None:
    assert 0 < lifecycle.most_a_person < 100
    assert exporting.largest_bytes == 10 << 30
