"""`prog doctor isolation`: proves on the live database that tenants are apart.

The catalogue is read: every table with rows of tenants has row-level security enabled and forced, with policies that
bind whoever answers tenants' requests to the tenant of the transaction; the platform's roles own nothing and cannot
pass it by; views use the rights of who asks. Then each table is tried: rows of two tenants are inserted, and the roles
that work for tenants look for them with one tenant set, with the other, and with none. All of it is rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final

import asyncpg

from prog_contracts.ids import new_id, new_message_id
from prog_infra import migrations
from prog_infra.errors import OperatorError
from prog_infra.findings import Finding
from prog_kit.database import DOMAIN_ROLES, ROLES
from prog_kit.settings import Settings, SettingsError

SCHEMAS: Final = ("bus", *DOMAIN_ROLES)
OURS: Final = (*ROLES, "prog_operator", "prog_worker")
SAFE_VERSIONS: Final = {16: 160010, 17: 170006}
"""The first versions whose statistics do not show rows that a policy hides (CVE-2025-8713); later majors are safe."""

_TABLES: Final = """
SELECT c.oid, n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS name, c.relrowsecurity AS enabled,
       c.relforcerowsecurity AS forced, pg_get_userbyid(c.relowner) AS owner, c.relispartition AS partition,
       coalesce(obj_description(c.oid, 'pg_class'), '') LIKE 'global:%' AS global,
       EXISTS (SELECT FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS owned
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') ORDER BY 3
"""
_POLICIES: Final = """
SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name, policyname, permissive,
       roles::text[] AS roles, cmd, qual, with_check
FROM pg_policies WHERE schemaname = ANY ($1::text[])
"""
_ROLES: Final = """
SELECT r.rolname AS name, r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb AS strong,
       (SELECT string_agg(o.rolname, ', ') FROM pg_roles o
        WHERE (o.rolsuper OR o.rolbypassrls OR o.rolname = ANY ($2::text[]))
          AND o.rolname <> r.rolname AND pg_has_role(r.oid, o.oid, 'MEMBER')) AS becomes
FROM pg_roles r WHERE r.rolname LIKE 'prog\\_%' OR r.rolname = ANY ($1::text[]) ORDER BY 1
"""
_VIEWS: Final = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind = 'm' AS kept,
       coalesce(c.reloptions, '{}')
           && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1'] AS invoker
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('v', 'm') ORDER BY 1
"""
_COLUMNS: Final = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
       a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '' AS filled,
       (SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k
        WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)) AS checks
FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_BINDS: Final = ("current_tenant()", "current_user_id()")
_SIMPLE: Final = {"boolean": "false", "jsonb": "{}", "bytea": "\\x00", "xid8": "3", "date": "2027-01-01"}
_REMEDY: Final = "mend it in a new migration, as the policies of tenants.members are written"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the platform, with its policies."""

    oid: int
    name: str
    schema: str
    enabled: bool
    forced: bool
    owner: str
    owned: bool
    told_global: bool
    policies: Sequence[Mapping[str, Any]]


async def examine(environment: Mapping[str, str]) -> list[Finding]:
    """A finding for the server, for each role and view that is open, and one for each table."""
    try:
        settings = Settings.load(environment)
    except SettingsError as error:
        remedy = "set it, or name the data of a platform that `prog up` runs with --data"
        return [Finding("settings", "failed", problem, remedy) for problem in error.problems]
    try:
        await migrations.require_current_schema(settings.database_url, patience_seconds=0)
        connection = await migrations.connect(settings.database_url)
    except migrations.SchemaMismatch as error:
        return [Finding("schema", "failed", error.message, error.remedy)]
    except OperatorError as error:
        return [Finding("PostgreSQL", "failed", error.message, error.remedy)]
    try:
        return await examine_database(connection)
    finally:
        await connection.close()


async def examine_database(connection: asyncpg.Connection[Any]) -> list[Finding]:
    """The same over a connection of the administrator, who can take on every role."""
    tables = await _tables(connection)
    findings = [_version(connection), *await _roles(connection, tables), *await _views(connection)]
    for table in tables:
        if open_by := _open_by(table):
            findings.append(Finding(table.name, "failed", "; ".join(open_by), _REMEDY))
        elif not table.owned:
            findings.append(Finding(table.name, "ok", "holds no tenant's rows, and says so"))
        else:
            findings.append(await _probed(connection, table))
    return findings


def _version(connection: asyncpg.Connection[Any]) -> Finding:
    version = connection.get_server_version()
    number = version.major * 10000 + version.minor
    if number < SAFE_VERSIONS.get(version.major, 170006 if version.major < 17 else 0):
        detail = f"{version.major}.{version.minor} shows hidden rows in its statistics (CVE-2025-8713)"
        return Finding("PostgreSQL", "failed", detail, "update it to the newest minor version")
    return Finding("PostgreSQL", "ok", f"{version.major}.{version.minor}")


async def _tables(connection: asyncpg.Connection[Any]) -> list[Table]:
    policies: dict[str, list[Mapping[str, Any]]] = {}
    for policy in await connection.fetch(_POLICIES, list(SCHEMAS)):
        policies.setdefault(policy["name"], []).append(dict(policy))
    return [
        Table(
            row["oid"], row["name"], row["schema"], row["enabled"], row["forced"], row["owner"], row["owned"],
            row["global"], policies.get(row["name"], []),
        )
        for row in await connection.fetch(_TABLES, list(SCHEMAS))
    ]  # fmt: skip


async def _roles(connection: asyncpg.Connection[Any], tables: Sequence[Table]) -> list[Finding]:
    owners = sorted({table.owner for table in tables})
    rows = await connection.fetch(_ROLES, list(OURS), owners)
    findings = []
    for row in rows:
        name = row["name"]
        if row["strong"]:
            remedy = f"ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB"
            findings.append(Finding(name, "failed", "is a superuser, or may pass row-level security by", remedy))
        if row["becomes"]:
            remedy = f"REVOKE {row['becomes']} FROM {name}"
            findings.append(Finding(name, "failed", f"can become {row['becomes']}, whom no policy binds", remedy))
        if name in owners:
            owned = [table.name for table in tables if table.owner == name]
            remedy = f"ALTER TABLE {owned[0]} OWNER TO the administrator"
            findings.append(Finding(name, "failed", f"owns {', '.join(owned)}", remedy))
    return findings or [Finding("roles", "ok", f"{len(rows)} roles own nothing and cannot pass row-level security by")]


async def _views(connection: asyncpg.Connection[Any]) -> list[Finding]:
    findings = []
    for view in await connection.fetch(_VIEWS, list(SCHEMAS)):
        if view["kept"]:
            detail, remedy = "a materialized view has no policies", "make it a table with row-level security"
            findings.append(Finding(view["name"], "failed", detail, remedy))
        elif not view["invoker"]:
            remedy = f"ALTER VIEW {view['name']} SET (security_invoker = true)"
            findings.append(Finding(view["name"], "failed", "shows what its owner sees, whoever asks", remedy))
        else:
            findings.append(Finding(view["name"], "ok", "shows what who asks may see"))
    return findings


def _open_by(table: Table) -> list[str]:
    """What the catalogue says is open about a table."""
    found = []
    if not table.enabled:
        found.append("row-level security is not enabled")
    elif not table.forced:
        found.append("row-level security is not forced, so its owner passes it by")
    if not table.owned and not table.told_global and table.schema != "bus":
        found.append("it has no tenant_id, and no comment that begins with `global:` and says why not")
    if not table.policies and not table.enabled:
        found.append("no policy")
    if table.owned:
        found += [problem for policy in table.policies if (problem := _loose(policy))]
    return found


def _loose(policy: Mapping[str, Any]) -> str | None:
    """What is wrong with a policy that serves tenants' requests: one for the edge, or for everybody."""
    if policy["permissive"] != "PERMISSIVE" or not {"prog_edge", "public"} & set(policy["roles"]):
        return None
    name, reads, writes = policy["policyname"], policy["qual"], policy["with_check"]
    shared = policy["cmd"] == "SELECT" and "platform_tenant()" in (reads or "")
    if policy["cmd"] != "INSERT" and not shared and not _bound(reads):
        return f"the policy {name} has a USING that does not bind rows to the tenant"
    if policy["cmd"] in ("INSERT", "UPDATE", "ALL") and not _bound(
        writes or (reads if policy["cmd"] != "INSERT" else "")
    ):
        return f"the policy {name} has no WITH CHECK that binds rows to the tenant"
    return None


def _bound(expression: str | None) -> bool:
    return any(word in (expression or "") for word in _BINDS)


# -- the probe ---------------------------------------------------------------------------------------------------------


class _Cannot(Exception):
    """The table cannot be tried: rows of that kind cannot be made up."""


async def _probed(connection: asyncpg.Connection[Any], table: Table) -> Finding:
    roles = await _serving(connection, table)
    if not roles:
        return Finding(table.name, "ok", "forced; no role that works for one tenant may read it")
    transaction = connection.transaction()
    await transaction.start()
    try:
        tenants = (new_id("tenant"), new_id("tenant"))
        for tenant_id in tenants:
            await _insert(connection, table, tenant_id)
        problems = [problem for role in roles for problem in await _look(connection, table, role, tenants)]
    except _Cannot as error:
        remedy = "look at its policies by eye, and teach prog_infra.isolation to fill its columns"
        return Finding(table.name, "warning", f"in order by its catalogue, but not tried: {error}", remedy)
    finally:
        await transaction.rollback()
    if problems:
        return Finding(table.name, "failed", "; ".join(problems), _REMEDY)
    return Finding(table.name, "ok", f"forced; two tenants see nothing of each other as {', '.join(roles)}")


async def _serving(connection: asyncpg.Connection[Any], table: Table) -> list[str]:
    """The roles that touch this table for one tenant at a time: the edge, and the domain that owns it."""
    candidates = ["prog_edge"] if table.schema == "bus" else ["prog_edge", f"prog_{table.schema}"]
    query = (
        "SELECT has_schema_privilege($1, $3, 'USAGE') AND (has_table_privilege($1, $2::oid, 'SELECT')"
        " OR has_column_privilege($1, $2::oid, 'tenant_id', 'SELECT'))"
    )
    return [role for role in candidates if await connection.fetchval(query, role, table.oid, table.schema)]


async def _look(connection: asyncpg.Connection[Any], table: Table, role: str, tenants: tuple[str, str]) -> list[str]:
    """What a role sees, and could change, of two tenants' rows."""
    problems = []
    for mine, theirs in (tenants, tenants[::-1]):
        seen = await _as(
            connection, role, mine, f"SELECT tenant_id FROM {table.name} WHERE tenant_id = ANY ($1)", [mine, theirs]
        )
        if isinstance(seen, str):
            return [f"{role} could not look: {seen}"]
        if theirs in {row["tenant_id"] for row in seen}:
            problems.append(f"{role} sees rows of another tenant")
        for verb, statement in (
            ("changes", f"UPDATE {table.name} SET tenant_id = tenant_id WHERE tenant_id = $1 RETURNING 1 AS one"),
            ("deletes", f"DELETE FROM {table.name} WHERE tenant_id = $1 RETURNING 1 AS one"),
        ):
            done = await _as(connection, role, mine, statement, theirs)
            if done and not isinstance(done, str):
                problems.append(f"{role} {verb} rows of another tenant")
    unset = await _as(
        connection, role, "", f"SELECT tenant_id FROM {table.name} WHERE tenant_id = ANY ($1)", list(tenants)
    )
    if unset and not isinstance(unset, str):
        problems.append(f"{role} sees rows without a tenant set")
    return sorted(set(problems))


async def _as(
    connection: asyncpg.Connection[Any], role: str, tenant_id: str, statement: str, *values: Any
) -> list[Any] | str:
    """A statement's rows as a role in a tenant, undone at once; the error's text where it was refused."""
    point = connection.transaction()
    await point.start()
    try:
        await connection.execute(
            "SELECT set_config('prog.tenant_id', $1, true), set_config('prog.user_id', '', true)", tenant_id
        )
        await connection.execute(f"SET LOCAL ROLE {role}")
        return list(await connection.fetch(statement, *values))
    except asyncpg.PostgresError as error:
        return str(error)
    finally:
        await point.rollback()


async def _insert(connection: asyncpg.Connection[Any], table: Table, tenant_id: str) -> None:
    """A row of the tenant, with made-up values. Keys to other tables are not looked at, and no trigger runs.

    The administrator has to be one whom row-level security does not bind: a superuser, as elsewhere in migrations.
    """
    names: list[str] = []
    values: list[str | None] = []
    casts: list[str] = []
    for column in await connection.fetch(_COLUMNS, table.oid):
        if column["name"] == "tenant_id":
            value: str | None = tenant_id
        elif column["filled"] or not column["required"]:
            continue
        else:
            value = _made_up(column, len(names))
        names.append(f'"{column["name"]}"')
        values.append(value)
        casts.append(f"${len(values)}::text::{column['type']}")
    point = connection.transaction()
    await point.start()
    try:
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(casts)})", *values)
        await connection.execute("SET LOCAL session_replication_role = origin")
    except asyncpg.PostgresError as error:
        await point.rollback()
        raise _Cannot(str(error)) from None
    await point.commit()


def _made_up(column: Mapping[str, Any], place: int) -> str:
    """A value for a column, as text, that its checks let in; a later `place` has a later time."""
    kind, checks, name = column["type"], column["checks"] or "", re.escape(column["name"])
    for pattern in (rf"{name}\"?\)? = ANY \(\(?ARRAY\['([^']*)'", rf"\({name} = '([^']*)'"):
        if found := re.search(pattern, checks):
            return found[1]
    if kind == "text":
        lengths = {"{4}": "1234", "{3}": "USD", "{64}": token_hex(32)}
        return next((value for length, value in lengths.items() if length in checks), None) or new_id("probe")
    if kind.startswith("timestamp"):
        return f"2027-01-01T00:00:{place:02}Z"
    return _SIMPLE.get(kind) or ("{1}" if kind.endswith("[]") else str(new_message_id()) if kind == "uuid" else "1")
