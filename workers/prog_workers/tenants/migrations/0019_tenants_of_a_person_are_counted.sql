-- How many tenants a person has, whichever they are; whoever asks next for the same person waits until this transaction
-- ends. So two who make one at once never pass a limit: what is counted behind the lock has a snapshot of its own.
CREATE FUNCTION tenants.count_tenants_of(person text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('tenants of ' || person, 0));
    RETURN (SELECT count(*) FROM tenants.tenants WHERE owner_user_id = person AND status <> 'deleted');
END
$$;
REVOKE ALL ON FUNCTION tenants.count_tenants_of(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants.count_tenants_of(text) TO prog_tenants;
