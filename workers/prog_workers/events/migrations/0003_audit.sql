-- The audit trail: one chain of entries a tenant, each with the hash of the one before (infra/adr/0019-audit-trail.md).
-- prog_auditor reads what happened and appends to the chains. The events domain's recorder takes it on for one
-- transaction, as the edge does with prog_operator; nobody else writes here.
DO $$
BEGIN
    CREATE ROLE prog_auditor NOLOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
GRANT prog_auditor TO prog_events WITH INHERIT FALSE;
GRANT USAGE ON SCHEMA bus, events TO prog_auditor;

-- ---------------------------------------------------------------------------------------------------------------------
-- What the event log does not tell: refused commands, told in the transaction that refuses them, and what the edge
-- turned away. The recorder moves the rows into the chains, in the order of txid like the log's.
CREATE TABLE bus.audit_intake (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    tenant_id text NOT NULL,
    told_by text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz,
    action text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('failure', 'denial')),
    code text,
    permission text,
    actor_kind text,
    actor text,
    session_id text,
    subject text,
    message_id uuid,
    correlation_id uuid,
    causation_id uuid,
    trace_id text,
    request_id text,
    count bigint NOT NULL DEFAULT 1 CHECK (count > 0),
    client_address text,
    user_agent text
);
COMMENT ON COLUMN bus.audit_intake.told_by IS 'The consumer group that refused a command, or edge';
COMMENT ON COLUMN bus.audit_intake.until IS 'When the last of `count` alike happened; NULL for one';
CREATE INDEX audit_intake_order ON bus.audit_intake (txid, position);
ALTER TABLE bus.audit_intake ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.audit_intake FORCE ROW LEVEL SECURITY;
CREATE POLICY own_group ON bus.audit_intake FOR INSERT TO prog_worker
    WITH CHECK (told_by = (SELECT bus.current_domain()));
CREATE POLICY tenant_isolation ON bus.audit_intake FOR INSERT TO prog_edge
    WITH CHECK (told_by = 'edge' AND tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY auditor_takes ON bus.audit_intake TO prog_auditor USING (true) WITH CHECK (false);
GRANT INSERT ON bus.audit_intake TO prog_worker, prog_edge;
GRANT SELECT, DELETE ON bus.audit_intake TO prog_auditor;

CREATE FUNCTION bus.tell_refusal() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO bus.audit_intake (tenant_id, told_by, action, outcome, code, actor, subject, message_id, correlation_id,
                                  causation_id)
    VALUES (NEW.tenant_id, NEW.consumer_group, NEW.type,
            CASE WHEN NEW.error ->> 'kind' = 'denied' THEN 'denial' ELSE 'failure' END, NEW.error ->> 'code',
            NEW.actor, NEW.subject, NEW.message_id, NEW.correlation_id, NEW.causation_id);
    RETURN NULL;
END
$$;
-- A group handles its own domain's commands; what it could not make of another one's event is no act of anybody.
CREATE TRIGGER tell_refusal AFTER INSERT ON bus.inbox FOR EACH ROW
    WHEN (NEW.status IN ('failed', 'dead') AND split_part(NEW.type, '.', 2) = NEW.consumer_group)
    EXECUTE FUNCTION bus.tell_refusal();
CREATE TRIGGER tell_changed_refusal AFTER UPDATE OF status ON bus.inbox FOR EACH ROW
    WHEN (NEW.status IN ('failed', 'dead') AND OLD.status <> NEW.status
          AND split_part(NEW.type, '.', 2) = NEW.consumer_group)
    EXECUTE FUNCTION bus.tell_refusal();

CREATE POLICY auditor_reads ON bus.event_log FOR SELECT TO prog_auditor USING (kind = 'event');
GRANT SELECT ON bus.event_log TO prog_auditor;

-- ---------------------------------------------------------------------------------------------------------------------
-- The chains.
CREATE TABLE events.audit_entries (
    position bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id text NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    format smallint NOT NULL,
    at timestamptz NOT NULL,
    until timestamptz,
    action text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('success', 'failure', 'denial')),
    code text,
    permission text,
    actor_kind text NOT NULL,
    actor text,
    session_id text,
    subject text,
    message_id uuid,
    correlation_id uuid,
    causation_id uuid,
    trace_id text,
    request_id text,
    count bigint NOT NULL,
    origin_digest bytea,
    previous bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, sequence)
);
COMMENT ON TABLE events.audit_entries IS 'Append-only. Who did what, with which outcome; no field holds a secret, a body or what a person can be found by outside the platform';
COMMENT ON COLUMN events.audit_entries.position IS 'The order in which entries of all tenants were written, for pages; not part of the chain';
COMMENT ON COLUMN events.audit_entries.origin_digest IS 'SHA-256 of the salted address and user agent in audit_origins, which an erasure deletes';
CREATE UNIQUE INDEX audit_entries_position ON events.audit_entries (position DESC);
CREATE INDEX audit_entries_tenant ON events.audit_entries (tenant_id, position DESC);
CREATE INDEX audit_entries_actor ON events.audit_entries (actor, position DESC) WHERE actor IS NOT NULL;
CREATE INDEX audit_entries_subject ON events.audit_entries (subject, position DESC) WHERE subject IS NOT NULL;
CREATE INDEX audit_entries_action ON events.audit_entries (action, position DESC);
CREATE INDEX audit_entries_refused ON events.audit_entries (tenant_id, position DESC) WHERE outcome <> 'success';

CREATE TABLE events.audit_heads (
    tenant_id text PRIMARY KEY,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    signed_sequence bigint NOT NULL DEFAULT 0,
    signed_with text
);
COMMENT ON TABLE events.audit_heads IS 'The last entry of each chain. Its row''s lock lets one writer append at a time';

CREATE TABLE events.audit_checkpoints (
    tenant_id text NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    signed_at timestamptz NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (tenant_id, sequence, key_id)
);
COMMENT ON TABLE events.audit_checkpoints IS 'Append-only. Heads as they once were, signed with a key that the database does not hold';

CREATE TABLE events.audit_origins (
    tenant_id text NOT NULL,
    sequence bigint NOT NULL,
    person text,
    salt bytea NOT NULL,
    client_address text,
    user_agent text,
    PRIMARY KEY (tenant_id, sequence)
);
COMMENT ON TABLE events.audit_origins IS 'Personal: where an entry''s request came from. Rows of a person are deleted when the person is; the chain stays whole';
CREATE INDEX audit_origins_person ON events.audit_origins (person) WHERE person IS NOT NULL;

CREATE TABLE events.audit_notes (
    message_id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    actor_kind text,
    session_id text,
    request_id text,
    client_address text,
    user_agent text,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE events.audit_notes IS 'Where commands came from, as the edge saw it; kept for a day, for the entries about what they did';
CREATE INDEX audit_notes_age ON events.audit_notes USING brin (noted_at);

CREATE TABLE events.audit_cursor (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    txid xid8 NOT NULL DEFAULT '0',
    position bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE events.audit_cursor IS 'global: how far the recorder has read the event log; its lock lets one recorder work at a time';
INSERT INTO events.audit_cursor DEFAULT VALUES;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['entries', 'heads', 'checkpoints', 'origins', 'notes', 'cursor'] LOOP
        EXECUTE format('ALTER TABLE events.audit_%s ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE events.audit_%s FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY auditor_keeps ON events.audit_%s TO prog_auditor USING (true) WITH CHECK (true)', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['entries', 'heads', 'checkpoints', 'origins'] LOOP
        EXECUTE format('CREATE POLICY tenant_isolation ON events.audit_%s FOR SELECT TO prog_edge '
                       'USING (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('CREATE POLICY operator_reads ON events.audit_%s FOR SELECT TO prog_operator USING (true)', name);
        EXECUTE format('GRANT SELECT ON events.audit_%s TO prog_edge, prog_operator', name);
    END LOOP;
END
$$;
CREATE POLICY tenant_isolation ON events.audit_notes FOR INSERT TO prog_edge
    WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
GRANT INSERT ON events.audit_notes TO prog_edge;

GRANT SELECT, INSERT ON events.audit_entries, events.audit_checkpoints TO prog_auditor;
GRANT SELECT, INSERT, UPDATE ON events.audit_heads TO prog_auditor;
GRANT SELECT, INSERT, DELETE ON events.audit_origins TO prog_auditor;
GRANT SELECT, DELETE ON events.audit_notes TO prog_auditor;
GRANT SELECT, UPDATE ON events.audit_cursor TO prog_auditor;

-- Nobody has the right to change or take out an entry. This stops the owner too, unless the trigger is switched off.
CREATE FUNCTION events.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['entries', 'checkpoints'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events.audit_%s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION events.refuse_change()', name);
    END LOOP;
END
$$;
CREATE TRIGGER written_once BEFORE UPDATE OR TRUNCATE ON events.audit_origins
    FOR EACH STATEMENT EXECUTE FUNCTION events.refuse_change();
