-- What clients did not hear of is kept for a week, so that an operator can have it sent again.
ALTER TABLE users.logout_notices ADD COLUMN failed_at timestamptz;
COMMENT ON COLUMN users.logout_notices.failed_at IS 'When the client had refused it, or not answered for a day; due_at is when it is dropped then';
COMMENT ON TABLE users.logout_notices IS
    'global: belongs to a person, whose id stays until the client has heard, or a week after it was given up; what is still to be told to clients';
CREATE POLICY operator_reads ON users.logout_notices FOR SELECT TO prog_operator USING (true);
GRANT SELECT (client_tenant, failed_at) ON users.logout_notices TO prog_operator;
