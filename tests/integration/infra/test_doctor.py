"""`prog doctor`: a finding for each thing that is wrong, with a remedy, and nothing changed."""

import json
import os

import asyncpg
import pytest
import redis

from prog_broker.transport import open_transport
from prog_contracts.topics import TOPICS
from prog_infra import cli, doctor
from prog_infra.doctor import examine
from prog_infra.findings import Finding
from prog_infra.servers import free_port
from prog_kit.settings import Settings
from tests import kafka
from tests.running import run
from tests.waiting import wait_until


def verdicts(findings: list[Finding]) -> dict[str, str]:
    assert all(finding.remedy for finding in findings if finding.verdict != "ok")
    return {finding.check: finding.verdict for finding in findings}


async def test_a_platform_in_order_has_all_but_its_workers(environment: dict[str, str]) -> None:
    found = verdicts(await examine(environment))
    for check in ("settings", "PostgreSQL", "connections", "schema", "isolation", "dead letters", "support", "Redis"):
        assert found[check] == "ok", check
    assert found["workers"] == "failed"


async def test_a_server_with_hardly_a_connection_left_is_told(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_CONNECTIONS", "SELECT 80, 100")
    [finding] = [finding for finding in await examine(environment) if finding.check == "connections"]
    assert (finding.verdict, finding.detail) == ("warning", "80 of 100 connections are open")
    assert "PROG_DATABASE_POOL_SIZE" in finding.remedy


async def test_wrong_settings_are_all_told(environment: dict[str, str]) -> None:
    del environment["PROG_REDIS_URL"]
    environment["PROG_SECRET_KEYS"] = "short"
    findings = await examine(environment)
    assert verdicts(findings) == {"settings": "failed"}
    assert len(findings) == 2


async def test_servers_that_are_away_are_told_with_what_to_check(environment: dict[str, str]) -> None:
    environment["PROG_DATABASE_URL"] = "postgresql://postgres@/postgres?host=/nonexistent"
    environment["PROG_REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    assert verdicts(await examine(environment)) == {"settings": "ok", "PostgreSQL": "failed", "Redis": "failed"}


async def test_a_table_open_to_all_tenants_is_named(environment: dict[str, str], postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    await connection.execute("CREATE TABLE users.open_to_all (tenant_id text NOT NULL)")
    await connection.close()
    [finding] = [finding for finding in await examine(environment) if finding.check == "isolation"]
    assert finding.verdict == "failed"
    assert "users.open_to_all" in finding.detail


async def test_support_whose_end_nobody_has_told_is_told(environment: dict[str, str], postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    await connection.execute(
        """
        WITH person AS (
            INSERT INTO users.users (user_id, email, name, created_at, updated_at)
            VALUES ('user_a', 'a@example.com', 'A', now(), now()) RETURNING user_id
        )
        INSERT INTO users.impersonations (impersonation_id, user_id, operator_id, by_session_id, reason, began_at,
                                          expires_at)
        SELECT 'impersonation_a', user_id, 'user_b', 'session_b', 'Ticket', now() - interval '1 hour', now() FROM person
        """
    )
    assert verdicts(await examine(environment))["support"] == "ok", "it is over just now"
    await connection.execute(
        "UPDATE users.impersonations"
        " SET began_at = began_at - interval '6 minutes', expires_at = expires_at - interval '6 minutes'"
    )
    await connection.close()
    assert verdicts(await examine(environment))["support"] == "warning"


async def test_sign_outs_that_clients_have_not_heard_of_are_told(environment: dict[str, str], postgres: str) -> None:
    assert verdicts(await examine(environment))["sign-outs"] == "ok"
    connection = await asyncpg.connect(postgres)
    await connection.execute("SET session_replication_role = replica")  # the clients are not there
    await connection.execute(
        """
        INSERT INTO users.logout_notices (client_id, client_tenant, user_id, sid, correlation_id, causation_id,
                                          noted_at, due_at, failed_at)
        SELECT 'client_a', 'tenant_' || n, 'user_a', 'session_' || n, gen_random_uuid(), gen_random_uuid(),
               now(), now(), CASE WHEN n > 1 THEN now() END FROM generate_series(1, 3) AS n
        """
    )
    await connection.close()
    [finding] = [finding for finding in await examine(environment) if finding.check == "sign-outs"]
    assert (finding.verdict, finding.detail[:28]) == ("warning", "2 sign-outs of the last week")


async def test_a_role_that_passes_isolation_by_is_named(environment: dict[str, str], postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    await connection.execute("ALTER ROLE prog_payments BYPASSRLS")
    try:
        [finding] = [finding for finding in await examine(environment) if finding.check == "isolation"]
    finally:
        await connection.execute("ALTER ROLE prog_payments NOBYPASSRLS")
        await connection.close()
    assert finding.verdict == "failed"
    assert "prog_payments" in finding.detail


async def test_an_older_schema_names_the_command_to_run(environment: dict[str, str], empty_postgres: str) -> None:
    environment["PROG_DATABASE_URL"] = empty_postgres
    [finding] = [finding for finding in await examine(environment) if finding.check == "schema"]
    assert finding.verdict == "failed"
    assert "prog migrate" in finding.remedy


async def test_a_broker_that_may_evict_messages_is_a_failure(environment: dict[str, str], valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert verdicts(await examine(environment))["persistence"] == "failed"
        finally:
            client.config_set("maxmemory-policy", "noeviction")


async def test_missing_topics_of_kafka_name_the_command_that_makes_them(
    environment: dict[str, str], empty_kafka: str
) -> None:
    environment |= {"PROG_BROKER_URL": empty_kafka, "PROG_KAFKA_TOPIC_PREFIX": "doctor."}
    found = await examine(environment)
    assert verdicts(found)["topics"] == "failed"
    [missing] = [finding for finding in found if finding.check == "topics"]
    assert missing.remedy == "make them: prog topics sync"
    assert not await kafka.topics(empty_kafka), "examining makes none"
    settings = Settings.load(environment)
    transport = open_transport(settings)
    assert await transport.ensure(TOPICS.values()) == len(TOPICS)
    await transport.close()

    async def in_order() -> bool:
        return verdicts(await examine(environment))["topics"] == "ok"

    await wait_until(in_order, within_seconds=60, what="each partition to have a leader")


async def test_a_kafka_that_is_away_is_told_with_what_to_check(environment: dict[str, str]) -> None:
    environment["PROG_BROKER_URL"] = f"kafka://127.0.0.1:{free_port()}"
    found = verdicts(await examine(environment))
    assert (found["Kafka"], found["Redis"]) == ("failed", "ok")


def test_the_command_ends_with_1_and_prints_one_object(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("PROG_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["doctor", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is False
    assert {"check": "workers", "verdict": "failed"}.items() <= next(
        finding for finding in shown["findings"] if finding["check"] == "workers"
    ).items()


def test_examining_changes_nothing(environment: dict[str, str], valkey_url: str) -> None:
    run(examine(environment))
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
