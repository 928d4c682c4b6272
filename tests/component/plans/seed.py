"""Rows as a platform has them that has grown, written by SQL: one large tenant, many small ones, and years of history.

`PEOPLE` sizes everything else. People, memberships, mails and the rest hang on one another by number: person 7 is
`user_…07`, is a member of `tenant_of(7)`, and has session, key and mails of that number.
"""

from __future__ import annotations

from typing import Final

import asyncpg

TENANTS: Final = 300
PLATFORM: Final = 1
LARGE: Final = 2
"""More than half of all people are members of this tenant."""
SMALL: Final = 80
"""One of those that `tenant_of` gives people to."""


def named(kind: str, number: int) -> str:
    """The id of an object by its number."""
    return f"{kind}_{number:026d}"


_HELPERS: Final = """
CREATE FUNCTION pg_temp.named(kind text, n bigint) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN kind || '_' || lpad(n::text, 26, '0');
CREATE FUNCTION pg_temp.message(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN ('01930000-' || substr(lpad(to_hex(n), 8, '0'), 1, 4) || '-7' || substr(lpad(to_hex(n), 8, '0'), 5, 3)
            || '-8000-' || lpad(to_hex(n), 12, '0'))::uuid;
CREATE FUNCTION pg_temp.tenant_of(n bigint) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN pg_temp.named('tenant', CASE WHEN n % 5 < 3 THEN 2 ELSE 2 + n % 300 END);
CREATE FUNCTION pg_temp.ago(n bigint, of bigint) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN now() - interval '400 days' * (1 - n::float8 / of);
CREATE FUNCTION pg_temp.email(n bigint) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN 'person' || n || '@company' || n % 300 || '.example';
"""

_ROWS: Final = {
    "tenants.tenants": """
        SELECT tenant_id, name, slug, status, owner_email, member_count, created_at, updated_at FROM (
            SELECT pg_temp.named('tenant', n) AS tenant_id, 'Company ' || n AS name, 'company-' || n AS slug,
                   'active' AS status, pg_temp.email(n) AS owner_email, 10 AS member_count,
                   pg_temp.ago(n, 400) AS created_at, now() AS updated_at
            FROM generate_series(2, 301) AS n) AS rows
    """,
    "users.users": """
        SELECT pg_temp.named('user', n) AS user_id, pg_temp.email(n) AS email, 'Person Number ' || n AS name,
               'active' AS status, pg_temp.ago(n, {people}) AS email_verified_at,
               pg_temp.tenant_of(n) AS home_tenant_id,
               pg_temp.named('mail', n) AS verification_mail_id, pg_temp.ago(n, {people}) AS created_at,
               now() AS updated_at
        FROM generate_series(1, {people}) AS n
    """,
    "tenants.members": """
        SELECT pg_temp.tenant_of(n) AS tenant_id, pg_temp.named('user', n) AS user_id, pg_temp.email(n) AS email,
               'Person Number ' || n AS name, CASE WHEN n % 1000 < 3 THEN 'owner' ELSE 'member' END AS role,
               pg_temp.ago(n, {people}) AS joined_at
        FROM generate_series(1, {people}) AS n
    """,
    "tenants.invitations": """
        SELECT pg_temp.named('invitation', n) AS invitation_id, pg_temp.tenant_of(n) AS tenant_id,
               pg_temp.email(n) AS email, 'member' AS role, 'digest' || n AS token_digest,
               pg_temp.named('user', n % 500) AS invited_by, 'Inviter' AS inviter_name,
               CASE WHEN n % 50 = 0 THEN 'open' ELSE 'accepted' END AS status,
               pg_temp.ago(n, {people}) AS created_at, pg_temp.ago(n, {people}) + interval '7 days' AS expires_at,
               CASE WHEN n % 50 <> 0 THEN pg_temp.ago(n, {people}) END AS settled_at
        FROM generate_series(1, {people}) AS n
    """,
    "tenants.directory_users": """
        SELECT pg_temp.tenant_of(n) AS tenant_id, pg_temp.named('diruser', n) AS directory_user_id,
               pg_temp.email(n) AS name_key, pg_temp.email(n) AS email, true AS active,
               pg_temp.named('user', n) AS user_id, pg_temp.email(n) AS account_email, d.resource, d.resource AS sought,
               pg_temp.ago(n, {people}) AS created_at, now() AS updated_at
        FROM generate_series(1, {people}, 2) AS n CROSS JOIN LATERAL (
            SELECT jsonb_build_object('userName', pg_temp.email(n), 'externalId', 'ext-' || n, 'emails',
                                      jsonb_build_array(jsonb_build_object('value',
                                      pg_temp.email(n)))) AS resource) AS d
    """,
    "tenants.directory_groups": """
        SELECT pg_temp.named('tenant', 2) AS tenant_id, pg_temp.named('dirgroup', n) AS directory_group_id,
               'group ' || n AS name_key, d.resource, d.resource AS sought, now() AS created_at, now() AS updated_at
        FROM generate_series(1, 200) AS n CROSS JOIN LATERAL (
            SELECT jsonb_build_object('displayName', 'Group ' || n, 'externalId', 'ext-' || n) AS resource) AS d
    """,
    "tenants.directory_group_members": """
        SELECT u.tenant_id, pg_temp.named('dirgroup', 1 + row_number() OVER () % 200) AS directory_group_id,
               u.directory_user_id
        FROM tenants.directory_users AS u WHERE u.tenant_id = pg_temp.named('tenant', 2)
    """,
    "users.sessions": """
        SELECT pg_temp.named('session', n) AS session_id, pg_temp.named('user', 1 + n % {people}) AS user_id,
               'password' AS method, pg_temp.ago(n, {people}) AS created_at, pg_temp.ago(n, {people}) AS refreshed_at,
               pg_temp.ago(n, {people}) + interval '14 days' AS idle_until,
               pg_temp.ago(n, {people}) + interval '90 days' AS expires_at
        FROM generate_series(1, {people}) AS n
    """,
    "users.refresh_tokens": """
        SELECT 'refresh' || n AS digest, pg_temp.named('session', n) AS session_id, 0 AS generation, now() AS issued_at
        FROM generate_series(1, {people}) AS n
    """,
    "users.link_tokens": """
        SELECT 'link' || n AS digest, 'verify_email' AS purpose, pg_temp.named('user', n) AS user_id,
               pg_temp.email(n) AS email, pg_temp.ago(n, {people}) AS created_at,
               pg_temp.ago(n, {people}) + interval '1 day' AS expires_at
        FROM generate_series(1, {people}) AS n
    """,
    "users.pending_sign_ins": """
        SELECT 'pending' || n AS digest, pg_temp.named('user', n) AS user_id, 'password' AS method,
               pg_temp.ago(n, {people}) AS created_at, pg_temp.ago(n, {people}) AS expires_at
        FROM generate_series(1, {people}, 4) AS n
    """,
    "users.identities": """
        SELECT pg_temp.named('identity', n) AS identity_id, pg_temp.named('user', n) AS user_id,
               'https://id.example' AS issuer, 'subject' || n AS subject, 'oidc' AS provider, 'Acme' AS title,
               now() AS linked_at
        FROM generate_series(1, {people}, 4) AS n
    """,
    "users.api_keys": """
        SELECT pg_temp.named('apikey', n) AS key_id, pg_temp.tenant_of(n) AS tenant_id, 'Key ' || n AS name,
               md5(n::text) || md5((n + 1)::text) AS digest, 'hint' AS hint, '{{event.read}}'::text[] AS scopes,
               pg_temp.named('user', n) AS created_by, pg_temp.ago(n, {people}) AS created_at,
               CASE WHEN n % 10 > 0 THEN pg_temp.ago(n, {people}) END AS revoked_at
        FROM generate_series(1, {people}, 4) AS n
    """,
    "users.oauth_clients": """
        SELECT pg_temp.named('client', n) AS client_id, pg_temp.named('tenant', 2 + n % 300) AS tenant_id,
               'Client ' || n AS name, '{{}}'::text[] AS redirect_uris, '{{authorization_code}}'::text[] AS grants,
               '{{openid}}'::text[] AS scopes, pg_temp.named('user', n) AS created_by, now() AS created_at,
               now() AS updated_at
        FROM generate_series(1, 1000) AS n
    """,
    "users.oauth_authorizations": """
        SELECT pg_temp.named('authorization', n) AS authorization_id, pg_temp.named('user', n) AS user_id,
               pg_temp.named('client', 1 + n % 1000) AS client_id, pg_temp.named('session', n) AS session_id,
               '{{openid}}'::text[] AS scopes, now() AS authenticated_at, '{{pwd}}'::text[] AS amr,
               pg_temp.ago(n, {people}) AS created_at, pg_temp.ago(n, {people}) AS idle_until,
               pg_temp.ago(n, {people}) + interval '90 days' AS expires_at
        FROM generate_series(1, {people}, 2) AS n
    """,
    "users.oauth_codes": """
        SELECT md5(n::text) || md5((n + 1)::text) AS digest, pg_temp.named('user', n) AS user_id,
               pg_temp.named('client', 1 + n % 1000) AS client_id, pg_temp.named('session', n) AS session_id,
               'https://x.example' AS redirect_uri, '{{openid}}'::text[] AS scopes, 'c' AS code_challenge,
               pg_temp.ago(n, {people}) AS created_at, pg_temp.ago(n, {people}) AS expires_at,
               pg_temp.named('authorization', n) AS authorization_id
        FROM generate_series(1, {people}, 2) AS n
    """,
    "users.oauth_access_tokens": """
        SELECT md5(n::text) || md5((n + 1)::text) AS digest, pg_temp.named('authorization', n) AS authorization_id,
               pg_temp.named('user', n) AS user_id, '{{openid}}'::text[] AS scopes, pg_temp.ago(n,
               {people}) AS issued_at,
               pg_temp.ago(n, {people}) + interval '1 hour' AS expires_at
        FROM generate_series(1, {people}, 2) AS n
    """,
    "users.oauth_refresh_tokens": """
        SELECT 'oauth' || n AS digest, pg_temp.named('authorization', n) AS authorization_id,
               pg_temp.named('user', n) AS user_id, 0 AS generation, now() AS issued_at
        FROM generate_series(1, {people}, 2) AS n
    """,
    "users.oauth_consents": """
        SELECT pg_temp.named('user', n) AS user_id, pg_temp.named('client', 1 + n % 1000) AS client_id,
               'x' AS client_tenant, 'x' AS client_name, '{{openid}}'::text[] AS scopes, now() AS given_at
        FROM generate_series(1, {people}, 2) AS n
    """,
    "users.recovery_codes": """
        SELECT pg_temp.named('user', 1 + n / 10) AS user_id, 'hash' || n AS hash, 'salt' AS salt, now() AS made_at
        FROM generate_series(1, {people}) AS n
    """,
    "users.impersonations": """
        SELECT pg_temp.named('impersonation', n) AS impersonation_id, pg_temp.named('user', 1000 + n) AS user_id,
               pg_temp.named('user', 1 + n % 20) AS operator_id, pg_temp.named('session', n) AS by_session_id,
               'Support' AS reason, pg_temp.ago(n, {people}) AS began_at,
               pg_temp.ago(n, {people}) + interval '15 minutes' AS expires_at, pg_temp.ago(n, {people}) AS ended_at,
               'by_hand' AS end_reason
        FROM generate_series(1, {people}, 10) AS n
    """,
    "email.mails": """
        SELECT pg_temp.named('mail', n) AS mail_id,
               CASE WHEN n % 2 = 0 THEN pg_temp.named('tenant', 1) ELSE pg_temp.tenant_of(n) END AS tenant_id,
               CASE WHEN n % 3 = 0 THEN 'invitation' ELSE 'verify_email' END AS template, pg_temp.email(n) AS recipient,
               'Subject' AS subject_line, '{{"inviter_name": "Inviter"}}'::jsonb AS data, '{{}}'::jsonb AS sealed_data,
               CASE WHEN n % 1000 = 0 THEN 'failed' ELSE 'sent' END AS status, pg_temp.message(n) AS message_id,
               pg_temp.message(n / 3) AS correlation_id, pg_temp.ago(n, {people}) AS queued_at,
               pg_temp.ago(n, {people}) AS settled_at, pg_temp.ago(n, {people}) AS recorded_at,
               pg_temp.named('user', n) AS asked_by
        FROM generate_series(1, {people}) AS n
    """,
    "email.mail_events": """
        SELECT pg_temp.named('mail', 1 + n / 2) AS mail_id, pg_temp.tenant_of(n) AS tenant_id, 'sent' AS status,
               1 AS attempt, pg_temp.ago(n, {people} * 2) AS occurred_at
        FROM generate_series(1, {people} * 2 - 2) AS n
    """,
    "email.suppressions": """
        SELECT pg_temp.tenant_of(n) AS tenant_id, pg_temp.email(n) AS address, 'bounced' AS reason,
               now() AS suppressed_at
        FROM generate_series(1, {people}, 5) AS n
    """,
    "email.customers": """
        SELECT pg_temp.named('customer', n) AS customer_id, pg_temp.named('tenant', n) AS tenant_id, 'Name' AS name,
               pg_temp.email(n) AS address
        FROM generate_series(2, 301) AS n
    """,
    "email.leads": """
        SELECT pg_temp.named('lead', n) AS lead_id, pg_temp.named('tenant', 1) AS tenant_id,
               pg_temp.email(n) AS address, 'site' AS source, pg_temp.ago(n, {people}) AS captured_at
        FROM generate_series(1, {people}, 5) AS n
    """,
    "email.wishes": """
        SELECT pg_temp.email(n) AS address, 'de' AS locale FROM generate_series(1, {people}, 5) AS n
    """,
    "payments.customers": """
        SELECT pg_temp.named('customer', n) AS id, pg_temp.named('tenant', n) AS tenant_id, 'Company ' || n AS company,
               'Name' AS name, pg_temp.email(n) AS email, now() AS created_at
        FROM generate_series(2, 301) AS n
    """,
    "payments.payment_methods": """
        SELECT pg_temp.named('method', n) AS id, pg_temp.named('tenant', n) AS tenant_id,
               pg_temp.named('customer', n) AS customer_id, 'sandbox' AS gateway, 'ref' || n AS gateway_reference,
               'visa' AS brand, '4242' AS last4, 1 AS expiry_month, 2030 AS expiry_year, true AS is_default,
               now() AS created_at
        FROM generate_series(2, 301) AS n
    """,
    "payments.subscriptions": """
        SELECT pg_temp.named('subscription', n) AS id, pg_temp.named('tenant', 2 + n % 300) AS tenant_id,
               pg_temp.named('customer', 2 + n % 300) AS customer_id,
               (SELECT id FROM payments.prices LIMIT 1) AS price_id, 'plans' AS family,
               CASE WHEN n <= 300 THEN 'active' ELSE 'canceled' END AS status, 1 AS quantity,
               pg_temp.ago(n, {people}) AS anchor, 0 AS period_index, pg_temp.ago(n, {people}) AS current_period_start,
               pg_temp.ago(n, {people}) + interval '30 days' AS current_period_end, pg_temp.ago(n,
               {people}) AS created_at
        FROM generate_series(1, {people} / 10) AS n
    """,
    "payments.invoices": """
        SELECT pg_temp.named('invoice', n) AS id, t.tenant_id, replace(t.tenant_id, 'tenant',
               'customer') AS customer_id,
               pg_temp.named('subscription', 1 + n % 300) AS subscription_id, 'subscription' AS kind,
               'INV-' || n AS number, CASE WHEN n % 500 = 0 THEN 'open' ELSE 'paid' END AS status, 'Starter' AS plan,
               'USD' AS currency, 1900 AS total_minor, 0 AS amount_due_minor, pg_temp.ago(n, {people}) AS period_start,
               pg_temp.ago(n, {people}) + interval '30 days' AS period_end, pg_temp.ago(n, {people}) AS issued_at,
               'Company ' || n % 300 AS customer_company, 'Name' AS customer_name, pg_temp.email(n) AS customer_email
        FROM generate_series(1, {people}) AS n CROSS JOIN LATERAL (SELECT pg_temp.tenant_of(n) AS tenant_id) AS t
    """,
    "payments.invoice_lines": """
        SELECT pg_temp.tenant_of(n) AS tenant_id, pg_temp.named('invoice', n) AS invoice_id, 1 AS position,
               'Starter' AS description, 1 AS quantity, 1900 AS unit_amount_minor, 1900 AS amount_minor,
               now() AS period_start, now() + interval '30 days' AS period_end
        FROM generate_series(1, {people}) AS n
    """,
    "payments.payments": """
        SELECT pg_temp.named('payment', n) AS id, t.tenant_id, replace(t.tenant_id, 'tenant',
               'customer') AS customer_id,
               pg_temp.named('invoice', n) AS invoice_id, replace(t.tenant_id, 'tenant', 'method') AS payment_method_id,
               1900 AS amount_minor, 'USD' AS currency,
               CASE WHEN n % 500 = 0 THEN 'failed' ELSE 'succeeded' END AS status,
               'initial' AS trigger, 0 AS attempt, 'key' || n AS idempotency_key, pg_temp.message(n) AS message_id,
               'sandbox' AS gateway, pg_temp.ago(n, {people}) AS started_at
        FROM generate_series(1, {people}) AS n CROSS JOIN LATERAL (SELECT pg_temp.tenant_of(n) AS tenant_id) AS t
    """,
    "bus.event_log": """
        SELECT pg_temp.message(n) AS message_id, 'event' AS kind, 'prog.users.events' AS topic,
               'users' AS source_domain,
               CASE WHEN n % 100 = 1 THEN 'prognetwork.tenants.member_joined'
                    WHEN n % 5 = 4 THEN 'com.acme.order.placed'
                    WHEN n % 2 = 0 THEN 'prognetwork.users.user_authenticated'
                    ELSE 'prognetwork.email.email_sent' END AS type,
               1 AS schema_version,
               CASE WHEN n % 5 < 2 THEN pg_temp.named('tenant', 1) ELSE pg_temp.tenant_of(n) END AS tenant_id,
               pg_temp.named('user', n % {people}) AS partition_key, pg_temp.named('user', n % {people}) AS subject,
               pg_temp.named('user', n % {people}) AS actor, pg_temp.message(n / 3) AS correlation_id,
               pg_temp.message(n / 3) AS causation_id, pg_temp.ago(n, {people} * 2) AS occurred_at,
               pg_temp.ago(n, {people} * 2) AS recorded_at,
               convert_to('{{"user_id": "' || pg_temp.named('user', n % {people}) || '"}}', 'UTF8') AS data,
               CASE WHEN n % 5 = 4 THEN '/shop' END AS source, CASE WHEN n % 5 = 4 THEN n::text END AS source_id,
               CASE WHEN n % 5 = 4 THEN 'order-' || n / 50 END AS stream,
               CASE WHEN n % 5 = 4 THEN n % 50 END AS stream_version
        FROM generate_series(1, {people} * 2) AS n
    """,
    "bus.inbox": """
        SELECT CASE WHEN n % 4 = 0 THEN 'users' ELSE 'email' END AS consumer_group, pg_temp.message(n) AS message_id,
               CASE WHEN n % 5 < 2 THEN pg_temp.named('tenant', 1) ELSE pg_temp.tenant_of(n) END AS tenant_id,
               CASE WHEN n % 4 = 0 THEN 'prognetwork.users.authenticate' END AS type,
               CASE WHEN n % 4 = 0 THEN pg_temp.named('user', n % {people}) END AS subject,
               CASE WHEN n % 4 = 0 THEN pg_temp.message(n / 3) END AS correlation_id,
               now() AS sent_at, now() - interval '60 days' * (1 - n::float8 / {people} / 2) AS handled_at,
               CASE WHEN n % 1000 = 0 THEN 'pending' WHEN n % 1000 = 4 THEN 'failed' ELSE 'succeeded' END AS status
        FROM generate_series(1, {people} * 2) AS n
    """,
    "bus.command_outbox": """
        SELECT pg_temp.message(n) AS message_id, pg_temp.named('tenant', 1) AS tenant_id,
               'prog.users.commands' AS topic,
               'k' AS partition_key, '{{}}' AS attributes, ''::bytea AS data, now() AS recorded_at,
               now() - interval '14 days' * (1 - n::float8 / {people}) AS published_at
        FROM generate_series(1, {people}, 5) AS n
    """,
    "bus.retries": """
        SELECT 'email' AS consumer_group, pg_temp.message(n) AS message_id, pg_temp.tenant_of(n) AS tenant_id,
               'prog.users.events' AS topic, n % 4 AS partition, 'key' || n AS partition_key, 8 AS attempts,
               CASE WHEN n % 100 = 1 THEN 'retry' ELSE 'dead' END AS state, now() + interval '1 minute' AS due_at,
               '{{}}' AS attributes, ''::bytea AS data
        FROM generate_series(1, {people}, 10) AS n
    """,
    "bus.dead_letters": """
        SELECT pg_temp.message(n) AS id, 'email' AS consumer_group, pg_temp.tenant_of(n) AS tenant_id,
               pg_temp.message(n) AS message_id, 'prognetwork.users.user_created' AS type, 'prog.users.events' AS topic,
               n % 4 AS partition, 8 AS attempts, 'defect' AS code, 'broken' AS reason,
               'cause' || n % 20 AS fingerprint,
               ''::bytea AS attributes, ''::bytea AS data,
               CASE WHEN n % 100 = 1 THEN 'open' ELSE 'dropped' END AS state,
               pg_temp.ago(n, {people}) AS recorded_at, pg_temp.ago(n, {people}) AS decided_at
        FROM generate_series(1, {people}, 10) AS n
    """,
    "bus.timers": """
        SELECT pg_temp.tenant_of(n) AS tenant_id, 'tenants' AS domain, 'timer' || n AS name,
               now() + interval '30 days' * (n::float8 / {people}) AS due_at, 'prog.tenants.commands' AS topic,
               pg_temp.message(n) AS message_id, '{{}}' AS attributes, ''::bytea AS data
        FROM generate_series(1, {people}, 5) AS n
    """,
    "bus.idempotency_keys": """
        SELECT pg_temp.tenant_of(n) AS tenant_id, pg_temp.named('user', n) AS actor, 'POST /v1/events' AS route,
               'key' || n AS key, 'digest' AS body_digest, pg_temp.message(n) AS message_id,
               now() - interval '26 hours' * (1 - n::float8 / {people}) AS recorded_at
        FROM generate_series(1, {people}, 2) AS n
    """,
    "bus.published_events": """
        SELECT pg_temp.tenant_of(n) AS tenant_id, '/shop' AS source, n::text AS source_id,
               pg_temp.message(n) AS message_id, n AS position, ''::bytea AS digest,
               now() - interval '40 days' * (1 - n::float8 / {people}) AS recorded_at
        FROM generate_series(1, {people}) AS n
    """,
    "bus.event_types": """
        SELECT pg_temp.named('tenant', 2 + n % 300) AS tenant_id, 'com.acme.type' || n AS type
        FROM generate_series(1, 3000) AS n
    """,
    "bus.tenant_usage": """
        SELECT pg_temp.named('tenant', 2 + n % 300) AS tenant_id, '2024-01-01'::date + (n / 300)::int * 31 AS month,
               1000 AS events
        FROM generate_series(1, 6000) AS n
    """,
    "events.subjects": """
        SELECT pg_temp.named('user', n % {people}) AS object_id, pg_temp.message(n) AS message_id,
               pg_temp.tenant_of(n) AS tenant_id, pg_temp.message(n / 3) AS correlation_id,
               pg_temp.ago(n, {people} * 2) AS occurred_at
        FROM generate_series(1, {people} * 2) AS n
    """,
    "events.audit_entries": """
        SELECT tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY n) AS sequence, 1 AS format, at, action,
               outcome, actor_kind, actor, subject, message_id, 1 AS count, ''::bytea AS previous, ''::bytea AS hash
        FROM (
            SELECT n, CASE WHEN n % 5 < 2 THEN pg_temp.named('tenant', 1) ELSE pg_temp.tenant_of(n) END AS tenant_id,
                   pg_temp.ago(n, {people} * 2) AS at,
                   CASE WHEN n % 1000 = 3 THEN 'tenants.tenant_deleted' WHEN n % 2 = 0 THEN 'users.user_authenticated'
                        ELSE 'tenants.member_joined' END AS action,
                   CASE WHEN n % 20 = 3 THEN 'denial' ELSE 'success' END AS outcome,
                   CASE WHEN n % 5 = 1 THEN 'api_key' ELSE 'person' END AS actor_kind,
                   CASE WHEN n % 5 = 1 THEN pg_temp.named('user', 1) || '/' || pg_temp.named('apikey', n / 5 % 40)
                        ELSE pg_temp.named('user', n % {people}) END AS actor,
                   pg_temp.named('user', (n + 7) % {people}) AS subject,
                   pg_temp.message(n) AS message_id
            FROM generate_series(1, {people} * 2) AS n) AS rows ORDER BY n
    """,
    "events.audit_origins": """
        SELECT tenant_id, sequence, actor AS person, ''::bytea AS salt, '192.0.2.1' AS client_address,
               'T' AS user_agent, at AS noted_at
        FROM events.audit_entries ORDER BY position
    """,
    "events.audit_heads": """
        SELECT tenant_id, max(sequence) AS sequence, ''::bytea AS hash, max(sequence) AS signed_sequence
        FROM events.audit_entries GROUP BY tenant_id
    """,
    "events.audit_notes": """
        SELECT pg_temp.message(n) AS message_id, pg_temp.named('tenant', 1) AS tenant_id, '192.0.2.1' AS client_address,
               now() - interval '26 hours' * (1 - n::float8 / {people}) AS noted_at
        FROM generate_series(1, {people}, 5) AS n
    """,
}
"""By table, what is selected into the columns of the same names."""


async def grow(url: str, people: int) -> None:
    """Fills a fresh database as for so many people. Foreign keys and triggers look at none of it."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        await connection.execute(_HELPERS)
        for table, query in _ROWS.items():
            await _fill(connection, table, query.format(people=people))
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _fill(connection: asyncpg.Connection[asyncpg.Record], table: str, query: str) -> None:
    prepared = await connection.prepare(query)
    columns = ", ".join(attribute.name for attribute in prepared.get_attributes())
    await connection.execute(f"INSERT INTO {table} ({columns}) {query}")
