"""`prog doctor`: what is wrong with a running platform, and what to do about it.

Each check looks at one thing and yields findings; one that cannot look because an earlier thing is broken is left out.
Checks read, they change nothing, and they see the database through the same roles as the platform's processes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from prog_broker.ports import Transport
from prog_broker.redis.connection import OUTAGES, Client, connect
from prog_broker.transport import open_transport
from prog_contracts.topics import DOMAINS, TOPICS
from prog_infra import migrations
from prog_infra.errors import OperatorError
from prog_infra.findings import Finding
from prog_kit.database import DOMAIN_ROLES, ROLES, Connection, Database
from prog_kit.settings import Settings, SettingsError
from prog_workers.monitoring.rules import readers
from prog_workers.users.queries.logouts import unheard_sign_outs

OLDEST_POSTGRES = 170000
MANY_WAITING = 10_000
OLD_SECONDS = 60.0

_TABLES = """
SELECT n.nspname || '.' || c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,
       coalesce(obj_description(c.oid, 'pg_class'), '') LIKE 'global:%' AS global,
       EXISTS (SELECT FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull) AS owned,
       EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS policed
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') ORDER BY 1
"""
_VERSION = "SELECT current_setting('server_version_num')::int, current_setting('server_version')"
_STRONG_ROLES = """
SELECT rolname FROM pg_roles
WHERE rolname = ANY ($1::text[]) AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb) ORDER BY 1
"""
_MEMBERS = "SELECT DISTINCT consumer_group FROM bus.members WHERE seen_until > clock_timestamp()"
_IMPERSONATIONS = """
SELECT count(*) FILTER (WHERE expires_at > clock_timestamp()),
       count(*) FILTER (WHERE expires_at < clock_timestamp() - interval '5 minutes')
FROM users.impersonations WHERE ended_at IS NULL
"""
_DEAD_LETTERS = "SELECT consumer_group, count(*) AS letters FROM bus.dead_letters WHERE state = 'open' GROUP BY 1"
_SUBSCRIPTIONS = "SELECT consumer_group, array_agg(type) AS types FROM bus.subscriptions GROUP BY 1"
_RETRIES = "SELECT count(*) FROM bus.retries"
_CONNECTIONS = """
SELECT coalesce(sum(numbackends), 0)::int AS open, current_setting('max_connections')::int
       - current_setting('superuser_reserved_connections')::int - current_setting('reserved_connections')::int AS most
FROM pg_stat_database
"""


async def examine(environment: Mapping[str, str]) -> list[Finding]:
    """All findings for the platform of these settings, in the order in which things depend on each other."""
    try:
        settings = Settings.load(environment)
    except SettingsError as error:
        remedy = "set it, or name the data of a platform that `prog up` runs with --data"
        return [Finding("settings", "failed", problem, remedy) for problem in error.problems]
    findings = [Finding("settings", "ok", f"complete for {settings.env}")]
    subscriptions: dict[str, list[str]] = {}
    findings += await _database(settings, subscriptions)
    findings += await _redis(settings)
    findings += await _broker(settings, subscriptions)
    return findings


async def _database(settings: Settings, subscriptions: dict[str, list[str]]) -> list[Finding]:
    """Also fills `subscriptions`: the types that each consumer group handles."""
    try:
        await migrations.require_current_schema(settings.database_url, patience_seconds=0)
        async with _edge(settings) as database, database.operator() as connection:
            for row in await connection.fetch(_SUBSCRIPTIONS):
                subscriptions[row["consumer_group"]] = row["types"]
            return [
                await _version(connection),
                await _connections(connection),
                Finding("schema", "ok", f"current: {len(migrations.known())} migrations"),
                *await _isolation(connection),
                *await _workers(connection),
                *await _letters(connection),
                await _support(connection),
                await _unheard(connection),
            ]
    except migrations.SchemaMismatch as error:
        return [Finding("schema", "failed", error.message, error.remedy)]
    except OperatorError as error:
        return [Finding("PostgreSQL", "failed", error.message, error.remedy)]


@asynccontextmanager
async def _edge(settings: Settings) -> AsyncIterator[Database]:
    database = await Database.connect(settings.database_url, "prog_edge", max_size=1)
    try:
        yield database
    finally:
        await database.close()


async def _version(connection: Connection) -> Finding:
    number, name = await connection.fetchrow(_VERSION) or (0, "unknown")
    if number < OLDEST_POSTGRES:
        return Finding("PostgreSQL", "failed", f"version {name} is too old", "use PostgreSQL 17 or newer")
    return Finding("PostgreSQL", "ok", f"version {name} answers")


async def _connections(connection: Connection) -> Finding:
    """Processes that are scaled out open more, and whoever comes when there are none left is refused."""
    opened, most = await connection.fetchrow(_CONNECTIONS) or (0, 1)
    told = f"{opened} of {most} connections are open"
    if opened * 5 >= most * 4:
        remedy = "raise max_connections, or lower PROG_DATABASE_POOL_SIZE (infra/SETTINGS.md)"
        return Finding("connections", "warning", told, remedy)
    return Finding("connections", "ok", told)


async def _isolation(connection: Connection) -> list[Finding]:
    """Row-level security on every table, and no role of ours that could pass it by."""
    tables = await connection.fetch(_TABLES, ["bus", *DOMAIN_ROLES])
    open_tables = [
        table["name"]
        for table in tables
        if not (table["forced"] and table["policed"]) or not (table["owned"] or table["global"])
    ]
    roles = [row["rolname"] for row in await connection.fetch(_STRONG_ROLES, [*ROLES, "prog_operator"])]
    findings = []
    if open_tables:
        told = ", ".join(open_tables)
        remedy = "enable and force row-level security with a policy on the tenant, in a new migration"
        findings.append(Finding("isolation", "failed", f"not isolated by tenant: {told}", remedy))
    if roles:
        remedy = f"ALTER ROLE {roles[0]} NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB"
        findings.append(Finding("isolation", "failed", f"may pass row-level security by: {', '.join(roles)}", remedy))
    return findings or [Finding("isolation", "ok", f"{len(tables)} tables isolate by tenant or say why not")]


async def _workers(connection: Connection) -> list[Finding]:
    alive = {row["consumer_group"] for row in await connection.fetch(_MEMBERS)}
    missing = [domain for domain in DOMAINS if domain not in alive]
    if missing:
        told = f"nobody serves {', '.join(missing)}"
        return [Finding("workers", "failed", told, f"start them: prog worker {' '.join(missing)}")]
    return [Finding("workers", "ok", f"all {len(DOMAINS)} domains are served")]


async def _letters(connection: Connection) -> list[Finding]:
    letters = {row["consumer_group"]: row["letters"] for row in await connection.fetch(_DEAD_LETTERS)}
    retries = await connection.fetchval(_RETRIES)
    waiting = f"{retries} messages wait for another try"
    if letters:
        told = ", ".join(f"{count} of {group}" for group, count in sorted(letters.items()))
        return [Finding("dead letters", "warning", f"{told}; {waiting}", "look at them: prog dead list")]
    return [Finding("dead letters", "ok", f"none; {waiting}")]


async def _support(connection: Connection) -> Finding:
    """Operators who act in somebody's name. That it ends at its limit is the edge's; that this is told, a timer's."""
    active, untold = await connection.fetchrow(_IMPERSONATIONS) or (0, 0)
    if untold:
        told = f"{untold} ended at their limit, and that is in no audit trail yet"
        return Finding("support", "warning", told, "see that timers fire: prog scheduler, prog worker users")
    return Finding("support", "ok", f"{active} operators act in somebody's name" if active else "nobody acts in a name")


async def _unheard(connection: Connection) -> Finding:
    """Sign-outs of which OAuth clients did not hear, and will not: whoever signed out is still in there, perhaps."""
    unheard = await unheard_sign_outs(connection)
    if unheard.count:
        told = f"{unheard.count} sign-outs of the last week did not reach clients, of {unheard.tenants} tenants"
        remedy = "see which: /admin/audit?search=users.logout_notice_failed, and send them again: /admin"
        return Finding("sign-outs", "warning", told, remedy)
    return Finding("sign-outs", "ok", "no client failed to hear of one in the last week")


async def _redis(settings: Settings) -> list[Finding]:
    client = connect(settings.signals_url, max_connections=2)
    try:
        server: dict[str, Any] = await client.info()
        findings = [Finding("Redis", "ok", f"{_server_name(server)} answers")]
        if settings.signals_url == settings.effective_broker_url:
            findings += await _persistence(client)
    except OUTAGES as error:
        return [
            Finding("Redis", "failed", f"does not answer: {error}", "check PROG_REDIS_URL and that the server runs")
        ]
    finally:
        await client.aclose()
    return findings


async def _broker(settings: Settings, subscriptions: Mapping[str, list[str]]) -> list[Finding]:
    """Whether the broker answers, and what waits in it."""
    transport = open_transport(settings)
    findings = []
    try:
        await transport.ping()
        if transport.kind == "kafka":
            findings += await _kafka(settings)
        if subscriptions and all(finding.verdict != "failed" for finding in findings):
            findings += await _lag(transport, readers(subscriptions))
    except transport.outages as error:
        if transport.kind == "redis":
            return []  # told already
        remedy = "check PROG_BROKER_URL and that the servers run"
        return [Finding("Kafka", "failed", f"does not answer: {error}", remedy)]
    finally:
        await transport.close()
    return findings


async def _kafka(settings: Settings) -> list[Finding]:
    """Whether every topic of the table is there, each partition with a leader and all its copies."""
    from prog_broker.kafka.connection import Names
    from prog_broker.kafka.topics import admin

    names = Names.of(settings)
    wanted = [names.topic(topic) for topic in TOPICS.values()]
    async with admin(names) as client:
        cluster = await client.describe_cluster()
        there = set(await client.list_topics()) & set(wanted)
        described = await client.describe_topics(sorted(there)) if there else []
    findings = [Finding("Kafka", "ok", f"{len(cluster['brokers'])} brokers answer")]
    if missing := [name for name in wanted if name not in there]:
        told = f"{len(missing)} topics are missing, {missing[0]} among them"
        return [*findings, Finding("topics", "failed", told, "make them: prog topics sync")]
    partitions = [(row["topic"], partition) for row in described for partition in row["partitions"]]
    if headless := [topic for topic, partition in partitions if partition["leader"] < 0]:
        told = f"{len(headless)} partitions have no leader, of {headless[0]} among others"
        return [*findings, Finding("topics", "failed", told, "start the brokers that are down")]
    if thin := [topic for topic, partition in partitions if len(partition["isr"]) < len(partition["replicas"])]:
        told = f"{len(thin)} of {len(partitions)} partitions lack copies, of {thin[0]} among others"
        return [*findings, Finding("topics", "warning", told, "start the brokers that are down, or wait for them")]
    return [*findings, Finding("topics", "ok", f"{len(wanted)} topics, {len(partitions)} partitions, all copies")]


def _server_name(server: dict[str, Any]) -> str:
    if "valkey_version" in server:
        return f"Valkey {server['valkey_version']}"
    return f"Redis {server.get('redis_version', '')}"


async def _persistence(client: Client) -> list[Finding]:
    """A broker that forgets is filled again from the event log; one that throws messages away goes unnoticed."""
    values = {
        _text(name): _text(value)
        for pattern in ("appendonly", "maxmemory-policy")
        for name, value in (await client.config_get(pattern)).items()
    }
    findings = []
    if values.get("appendonly") != "yes":
        remedy = "CONFIG SET appendonly yes, and set it in the server's configuration"
        findings.append(Finding("persistence", "warning", "the broker keeps nothing over a restart", remedy))
    if values.get("maxmemory-policy", "noeviction") != "noeviction":
        remedy = "CONFIG SET maxmemory-policy noeviction"
        findings.append(Finding("persistence", "failed", "the broker may throw messages away when it is full", remedy))
    return findings or [Finding("persistence", "ok", "append-only, nothing is evicted")]


async def _lag(transport: Transport, read_by: Mapping[str, Sequence[str]]) -> list[Finding]:
    lags = [lag for lag in await transport.lags(read_by) if lag.lag]
    waiting = sum(lag.lag for lag in lags)
    oldest = min((lag.oldest_at for lag in lags if lag.oldest_at is not None), default=None)
    age = 0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds()
    detail = f"{waiting} messages wait, the oldest for {max(age, 0):.1f} s"
    if waiting > MANY_WAITING or age > OLD_SECONDS:
        worst = max(lags, key=lambda lag: lag.lag)
        remedy = f"see the log of the worker of {worst.group}; add workers with: prog worker {worst.group}"
        return [Finding("lag", "warning", f"{detail}; most for {worst.group} on {worst.topic}", remedy)]
    return [Finding("lag", "ok", detail)]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
