"""What `prog publish --dry-run` checks, and what the filters of `prog tail` let through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prog_broker.ports import Delivery
from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant
from prog_infra.commands.publish import app as publish
from prog_infra.commands.tail import Wanted

TENANT = new_id("tenant")
BODY = json.dumps({"tenant_id": TENANT, "name": "Acme"})


def test_a_dry_run_checks_and_publishes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text(BODY)
    for body, given in ((BODY, None), ("-", BODY), (f"@{file}", None)):
        result = CliRunner().invoke(publish, [RenameTenant.TYPE, body, "--dry-run", "--json"], input=given)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == {
            "status": "valid", "type": RenameTenant.TYPE, "version": 1, "partitionkey": TENANT}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([RenameTenant.TYPE, '{"tenant_id": 7}'], ("tenant_id", "name")),
        (["prognetwork.tenants.rename_tenants", "{}"], ("prognetwork.tenants.rename_tenant",)),
        ([RenameTenant.TYPE, "@/nowhere/body.json"], ("cannot be read",)),
    ],
)
def test_all_that_is_wrong_is_named(words: list[str], told: tuple[str, ...]) -> None:
    result = CliRunner().invoke(publish, [*words, "--dry-run"])
    assert result.exit_code == 1
    assert all(word in str(result.exception) for word in told), result.exception


def test_filters_let_through_what_they_name() -> None:
    envelope = wrap(RenameTenant(tenant_id=TENANT, name="Acme"), tenant_id=TENANT, source="/test")
    delivery, broken = Delivery(b"", envelope.attributes(), envelope.data), Delivery(b"", b"?", b"?")
    assert Wanted().allows(delivery)
    assert Wanted().allows(broken)
    assert Wanted(frozenset({RenameTenant.TYPE}), TENANT, TENANT).allows(delivery)
    assert not Wanted(frozenset({"prognetwork.tenants.create_tenant"})).allows(delivery)
    assert not Wanted(tenant_id=new_id("tenant")).allows(delivery)
    assert not Wanted(subject="user_1").allows(delivery)
    assert not Wanted(tenant_id=TENANT).allows(broken)
