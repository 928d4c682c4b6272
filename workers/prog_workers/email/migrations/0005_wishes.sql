-- How people want dates, times and amounts written in mails to them, as the users domain told it.
CREATE TABLE email.wishes (
    address text PRIMARY KEY,
    locale text,
    time_zone text
);
COMMENT ON TABLE email.wishes IS 'global: belongs to a person, whichever tenant writes to them';
COMMENT ON COLUMN email.wishes.locale IS 'As Unicode CLDR writes it, such as pt_BR; NULL where its person has not said, as in the next one';
ALTER TABLE email.wishes ENABLE ROW LEVEL SECURITY;
ALTER TABLE email.wishes FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON email.wishes TO prog_email USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON email.wishes TO prog_email;
