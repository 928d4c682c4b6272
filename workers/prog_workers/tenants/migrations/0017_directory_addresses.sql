-- The addresses of a directory's users, one a row, by which identity providers ask for them: of what is inside a document
-- no index is asked behind a policy. The database keeps them in step with the documents, whoever writes these.
CREATE TABLE tenants.directory_addresses (
    tenant_id text NOT NULL,
    address text NOT NULL,
    directory_user_id text NOT NULL,
    PRIMARY KEY (tenant_id, address, directory_user_id),
    FOREIGN KEY (tenant_id, directory_user_id) REFERENCES tenants.directory_users ON DELETE CASCADE
);
COMMENT ON COLUMN tenants.directory_addresses.address IS 'The value of one of the e-mail addresses, as it is compared';
CREATE INDEX directory_addresses_user ON tenants.directory_addresses (tenant_id, directory_user_id);

-- The foreign key has locked the table: nobody writes an entry before the triggers are there.
INSERT INTO tenants.directory_addresses (tenant_id, address, directory_user_id)
SELECT DISTINCT u.tenant_id, i ->> 'value', u.directory_user_id
FROM tenants.directory_users AS u CROSS JOIN LATERAL jsonb_array_elements(u.sought -> 'emails') AS i
WHERE i ->> 'value' IS NOT NULL;

CREATE FUNCTION tenants.keep_directory_addresses() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM tenants.directory_addresses
    WHERE tenant_id = NEW.tenant_id AND directory_user_id = NEW.directory_user_id;
    INSERT INTO tenants.directory_addresses (tenant_id, address, directory_user_id)
    SELECT DISTINCT NEW.tenant_id, i ->> 'value', NEW.directory_user_id
    FROM jsonb_array_elements(NEW.sought -> 'emails') AS i WHERE i ->> 'value' IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_addresses AFTER INSERT ON tenants.directory_users FOR EACH ROW
    WHEN (NEW.sought ? 'emails') EXECUTE FUNCTION tenants.keep_directory_addresses();
CREATE TRIGGER keep_changed_addresses AFTER UPDATE OF sought ON tenants.directory_users FOR EACH ROW
    WHEN (OLD.sought -> 'emails' IS DISTINCT FROM NEW.sought -> 'emails')
    EXECUTE FUNCTION tenants.keep_directory_addresses();

ALTER TABLE tenants.directory_addresses ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.directory_addresses FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenants.directory_addresses TO prog_tenants, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON tenants.directory_addresses FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, DELETE ON tenants.directory_addresses TO prog_tenants;
GRANT SELECT ON tenants.directory_addresses TO prog_edge, prog_operator;
