-- What a batch leaves behind, as one document: the messages that it caused, and the answers to its own. The carrier
-- calls it in the same round trip as its COMMIT, where a statement can have no parameters.
CREATE FUNCTION bus.finish(document bytea) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    batch CONSTANT jsonb := convert_from(document, 'UTF8')::jsonb;
BEGIN
    INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                               subject, actor, correlation_id, causation_id, traceparent, occurred_at, data)
    SELECT u.message_id, u.kind, u.topic, batch ->> 'group', u.type, u.schema_version, u.tenant_id, u.partition_key,
           u.subject, u.actor, u.correlation_id, u.causation_id, u.traceparent, u.occurred_at, convert_to(u.data, 'UTF8')
    FROM ROWS FROM (jsonb_to_recordset(batch -> 'messages') AS (
             message_id uuid, kind text, topic text, type text, schema_version smallint, tenant_id text,
             partition_key text, subject text, actor text, correlation_id uuid, causation_id uuid, traceparent text,
             occurred_at timestamptz, data text
         )) WITH ORDINALITY
         AS u (message_id, kind, topic, type, schema_version, tenant_id, partition_key, subject, actor, correlation_id,
               causation_id, traceparent, occurred_at, data, ordinality)
    ORDER BY u.ordinality;
    UPDATE bus.inbox
    SET status = u.status, result = u.result::jsonb, sealed_result = u.sealed_result, error = u.error::jsonb,
        handler_microseconds = coalesce(u.handler_microseconds, inbox.handler_microseconds)
    FROM jsonb_to_recordset(batch -> 'answers')
         AS u (message_id uuid, status text, result text, sealed_result text, error text, handler_microseconds bigint)
    WHERE inbox.consumer_group = batch ->> 'group' AND inbox.message_id = u.message_id;
END
$$;
REVOKE ALL ON FUNCTION bus.finish(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bus.finish(bytea) TO prog_worker;
