"""What `prog publish --dry-run` checks, and what the filters of `prog tail` let through."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prog_broker.ports import Delivery
from prog_contracts.envelope import wrap
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.tenants import RenameTenant
from prog_contracts.users import ResendVerification
from prog_infra import cli
from prog_infra.commands._instants import past
from prog_infra.commands.publish import app as publish
from prog_infra.commands.publish import tenant_of
from prog_infra.commands.tail import Wanted
from prog_infra.errors import OperatorError

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
TENANT = new_id("tenant")
BODY = json.dumps({"tenant_id": TENANT, "name": "Acme"})


def test_a_message_belongs_to_the_tenant_that_it_names_else_to_the_platform() -> None:
    assert tenant_of(RenameTenant(tenant_id=TENANT, name="Acme")) == TENANT
    assert tenant_of(ResendVerification(email="ada@example.com")) == PLATFORM_TENANT_ID


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


def test_each_thing_that_is_wrong_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["publish", RenameTenant.TYPE, '{"tenant_id": 7}', "--dry-run"]

    assert cli.run(words) == 1
    head, *details, remedy = capsys.readouterr().err.splitlines()
    assert head == f"prog: the body breaks the schema of {RenameTenant.TYPE}:"
    assert [line.partition(":")[0] for line in details] == ["  tenant_id", "  name"]
    assert remedy.startswith("fields: tenant_id")

    assert cli.run([*words, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == f"the body breaks the schema of {RenameTenant.TYPE}"
    assert told["details"] == [line.strip() for line in details]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("2d", NOW - timedelta(days=2)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:30", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        ("2026-03-01T12:30+02:00", datetime(2026, 3, 1, 10, 30, tzinfo=UTC)),
        ("2026-03-05T12:00Z", NOW),
    ],
)
def test_a_beginning_is_a_time_or_so_long_ago(text: str, at: datetime) -> None:
    assert past(text, NOW) == at


@pytest.mark.parametrize("text", ["", "soon", "-5m", "5w", "999999999d", "2026-13-01", "2026-03-05T12:00:01Z"])
def test_a_beginning_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match=r"no time|to come"):
        past(text, NOW)


def test_two_beginnings_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tail", "--since", "5m", "--from-start"]) == 1
    assert "two beginnings" in capsys.readouterr().err


def test_nothing_to_follow_and_no_beginning_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tail", "--no-follow", "--count", "3"]) == 1
    assert "add --from-start or --since" in capsys.readouterr().err


def test_a_misspelt_topic_is_answered_with_those_that_look_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tail", "prog.tenant.event"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("prog: there is no topic prog.tenant.event - did you mean prog.tenants.events")
    assert told.count("prog.") <= 4


@pytest.mark.parametrize(
    ("words", "see"), [(["tail", "?"], "prog.users.events"), (["publish", "?", "--dry-run"], "`prog asyncapi`")]
)
def test_a_name_that_looks_like_none_is_answered_with_where_they_are(
    words: list[str], see: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(words) == 1
    assert see in capsys.readouterr().err


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


def test_a_field_that_the_message_does_not_have_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Consumers would pass over it in silence, and a misspelt field with it."""
    body = '{"tenant_id": "tenant_01jd7z4c8nf3ktv9q2m6x0r5we", "name": "Acme", "nmae": "Acme"}'
    assert cli.run(["publish", RenameTenant.TYPE, body, "--dry-run"]) == 1
    assert "nmae: there is no such field" in capsys.readouterr().err
