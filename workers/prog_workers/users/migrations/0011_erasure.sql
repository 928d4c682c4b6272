-- The end of a person's account: a grace period, then the row goes, and with it all that refers to it
-- (infra/adr/0025-end-of-an-account.md).

-- What names a person who is erased is taken out by the domain that has it, in a transaction that says whom it erases.
-- A statement that forgets to say so changes nothing of other tenants.
CREATE FUNCTION bus.erased_person() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('prog.erased_person', true), '');
COMMENT ON FUNCTION bus.erased_person() IS 'The person whom this transaction erases, NULL in every other transaction';

ALTER TABLE users.users
    ADD COLUMN exported_at timestamptz,
    ADD COLUMN erase_at timestamptz,
    ADD COLUMN status_before text CHECK (status_before IN ('active', 'disabled')),
    ADD CONSTRAINT users_leaving CHECK (status_before IS NULL OR (erase_at IS NOT NULL AND status = 'disabled'));
COMMENT ON COLUMN users.users.exported_at IS 'When its person took their data along last';
COMMENT ON COLUMN users.users.erase_at IS 'When the grace period of the account''s deletion ends; NULL for one that is not to be deleted';
COMMENT ON COLUMN users.users.status_before IS 'Set when that is over and nobody gets in any more: what the account becomes again if it has to stay';
CREATE POLICY erased_alone ON users.users AS RESTRICTIVE FOR DELETE TO prog_users
    USING (user_id = (SELECT bus.erased_person()));
GRANT DELETE ON users.users TO prog_users;

-- Keys are their tenant's: they end with their maker's membership, and stay to tell what they were.
ALTER TABLE users.api_keys DROP CONSTRAINT api_keys_created_by_fkey;
