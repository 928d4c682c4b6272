-- A tenant takes its data along (infra/adr/0030-a-tenant-takes-its-data-along.md).
--
-- prog_exporter reads the rows of the transaction's tenant, of each table those columns that it was granted, and nothing
-- else. The tenants domain takes it on for one transaction. A column that holds a secret is not granted: no query, right
-- or wrong, brings it into an export.
DO $$
BEGIN
    CREATE ROLE prog_exporter NOLOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
GRANT prog_exporter TO prog_tenants WITH INHERIT FALSE;
GRANT USAGE ON SCHEMA bus, users, tenants TO prog_exporter;

-- What a migration calls for each table with tenants' rows that it makes: all columns but those named go into exports, of
-- the rows of which `rows_where` is true. A column that comes later is granted by the migration that adds it.
CREATE FUNCTION bus.let_tenants_export(exported regclass, withheld text[] DEFAULT '{}', rows_where text DEFAULT 'true')
    RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text[];
    columns text;
BEGIN
    SELECT array_agg(name) INTO unknown FROM unnest(withheld) AS name
    WHERE name NOT IN (SELECT attname FROM pg_attribute WHERE attrelid = exported AND attnum > 0 AND NOT attisdropped);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION '% has no column %', exported, unknown;
    END IF;
    SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
    WHERE attrelid = exported AND attnum > 0 AND NOT attisdropped AND attname <> ALL (withheld);
    EXECUTE format('GRANT SELECT (%s) ON %s TO prog_exporter', columns, exported);
    EXECUTE format('CREATE POLICY tenant_export ON %s FOR SELECT TO prog_exporter
        USING (tenant_id = (SELECT bus.current_tenant()) AND (%s))', exported, rows_where);
END
$$;
REVOKE ALL ON FUNCTION bus.let_tenants_export(regclass, text[], text) FROM PUBLIC;

SELECT bus.let_tenants_export('bus.event_log', '{txid,kind,topic,source_domain,partition_key,traceparent}',
    $only$type NOT LIKE 'prognetwork.%' OR type = 'prognetwork.events.event_published'$only$);
SELECT bus.let_tenants_export('bus.event_schemas');
SELECT bus.let_tenants_export('bus.event_types');
SELECT bus.let_tenants_export('bus.streams');
SELECT bus.let_tenants_export('bus.tenant_clocks', '{operation_id,operation_attributes}');
SELECT bus.let_tenants_export('users.api_keys', '{digest}');
SELECT bus.let_tenants_export('users.oauth_clients', '{secret_digest,previous_secret_digest}');
SELECT bus.let_tenants_export('tenants.config_versions');
SELECT bus.let_tenants_export('tenants.configs');
SELECT bus.let_tenants_export('tenants.directories');
SELECT bus.let_tenants_export('tenants.directory_group_members');
SELECT bus.let_tenants_export('tenants.directory_groups', '{sought}');
SELECT bus.let_tenants_export('tenants.directory_users', '{sought}');
SELECT bus.let_tenants_export('tenants.domain_claims');
SELECT bus.let_tenants_export('tenants.invitations', '{token_digest}');
SELECT bus.let_tenants_export('tenants.limits');
SELECT bus.let_tenants_export('tenants.logos');
SELECT bus.let_tenants_export('tenants.members');
SELECT bus.let_tenants_export('tenants.proven_domains');
SELECT bus.let_tenants_export('tenants.provisioning_steps');
SELECT bus.let_tenants_export('tenants.sign_on', '{sealed_client_secret,sealed_under}');
SELECT bus.let_tenants_export('tenants.tenants');
SELECT bus.let_tenants_export('tenants.usage_marks');

-- An export, and how far it has come: rows of tables whose names come before `at_table`, and of that one those up to the
-- key `after`, are in its parts. A part is some lines of JSON of one table.
CREATE TABLE tenants.exports (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    export_id text NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'ready', 'expired')),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    schema_versions jsonb NOT NULL,
    at_table text NOT NULL DEFAULT '',
    after text[],
    tables_done integer NOT NULL DEFAULT 0,
    tables_all integer NOT NULL DEFAULT 0,
    part_count integer NOT NULL DEFAULT 0,
    row_count bigint NOT NULL DEFAULT 0,
    byte_count bigint NOT NULL DEFAULT 0,
    moved_at timestamptz NOT NULL,
    ready_at timestamptz,
    expires_at timestamptz,
    fetched_at timestamptz,
    PRIMARY KEY (tenant_id, export_id),
    CHECK ((ready_at IS NULL) = (expires_at IS NULL)),
    CHECK (status <> 'ready' OR ready_at IS NOT NULL)
);
COMMENT ON COLUMN tenants.exports.moved_at IS 'On the machine''s clock: when it came on last, so that one that stands still is told';
CREATE UNIQUE INDEX exports_live ON tenants.exports (tenant_id) WHERE status <> 'expired';

CREATE TABLE tenants.export_parts (
    tenant_id text NOT NULL,
    export_id text NOT NULL,
    number integer NOT NULL,
    table_name text NOT NULL,
    row_count integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (tenant_id, export_id, number),
    FOREIGN KEY (tenant_id, export_id) REFERENCES tenants.exports ON DELETE CASCADE
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['exports', 'export_parts'] LOOP
        EXECUTE format('ALTER TABLE tenants.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE tenants.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON tenants.%I TO prog_tenants, prog_edge
            USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tenants.%I TO prog_tenants', name);
        EXECUTE format('GRANT SELECT ON tenants.%I TO prog_edge', name);
        -- An export that names a person who is erased ends, whichever tenant's it is.
        EXECUTE format('CREATE POLICY erasure_reads ON tenants.%I FOR SELECT TO prog_tenants
            USING ((SELECT bus.erased_person()) IS NOT NULL)', name);
    END LOOP;
END
$$;
CREATE POLICY erasure_changes ON tenants.exports FOR UPDATE TO prog_tenants
    USING ((SELECT bus.erased_person()) IS NOT NULL) WITH CHECK ((SELECT bus.erased_person()) IS NOT NULL);
CREATE POLICY erasure_deletes ON tenants.export_parts FOR DELETE TO prog_tenants
    USING ((SELECT bus.erased_person()) IS NOT NULL);
SELECT bus.let_tenants_export('tenants.exports', '{schema_versions,at_table,after,tables_all,tables_done,part_count,moved_at}');
