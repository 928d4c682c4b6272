-- As before, but a few answers are kept one by one. Together they are joined with the inbox, and before that has statistics
-- the join reads every row of a consumer group: of a new installation's inbox, for each command.
CREATE OR REPLACE FUNCTION bus.finish(document bytea) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    batch CONSTANT jsonb := convert_from(document, 'UTF8')::jsonb;
    consumer CONSTANT text := batch ->> 'group';
    few CONSTANT int := 20;
    answer jsonb;
BEGIN
    INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                               subject, actor, correlation_id, causation_id, traceparent, occurred_at, data)
    SELECT u.message_id, u.kind, u.topic, consumer, u.type, u.schema_version, u.tenant_id, u.partition_key,
           u.subject, u.actor, u.correlation_id, u.causation_id, u.traceparent, u.occurred_at, convert_to(u.data, 'UTF8')
    FROM ROWS FROM (jsonb_to_recordset(batch -> 'messages') AS (
             message_id uuid, kind text, topic text, type text, schema_version smallint, tenant_id text,
             partition_key text, subject text, actor text, correlation_id uuid, causation_id uuid, traceparent text,
             occurred_at timestamptz, data text
         )) WITH ORDINALITY
         AS u (message_id, kind, topic, type, schema_version, tenant_id, partition_key, subject, actor, correlation_id,
               causation_id, traceparent, occurred_at, data, ordinality)
    ORDER BY u.ordinality;
    IF jsonb_array_length(batch -> 'answers') <= few THEN
        FOR answer IN SELECT jsonb_array_elements(batch -> 'answers') LOOP
            UPDATE bus.inbox
            SET status = answer ->> 'status', result = (answer ->> 'result')::jsonb,
                sealed_result = answer ->> 'sealed_result', error = (answer ->> 'error')::jsonb,
                handler_microseconds = coalesce((answer ->> 'handler_microseconds')::bigint, inbox.handler_microseconds)
            WHERE inbox.consumer_group = consumer AND inbox.message_id = (answer ->> 'message_id')::uuid;
        END LOOP;
    ELSE
        UPDATE bus.inbox
        SET status = u.status, result = u.result::jsonb, sealed_result = u.sealed_result, error = u.error::jsonb,
            handler_microseconds = coalesce(u.handler_microseconds, inbox.handler_microseconds)
        FROM jsonb_to_recordset(batch -> 'answers')
             AS u (message_id uuid, status text, result text, sealed_result text, error text, handler_microseconds bigint)
        WHERE inbox.consumer_group = consumer AND inbox.message_id = u.message_id;
    END IF;
END
$$;
