-- How a person wants to be shown things, and what they are shown by.
ALTER TABLE users.users
    ADD COLUMN locale text CHECK (length(locale) <= 64),
    ADD COLUMN time_zone text CHECK (length(time_zone) <= 64),
    ADD COLUMN theme text CHECK (theme IN ('light', 'dark')),
    ADD COLUMN avatar_id text CHECK (avatar_id ~ '^[0-9a-f]{32}$');
COMMENT ON COLUMN users.users.locale IS 'A language tag (BCP 47); NULL where its person has not said, as in the next two';
COMMENT ON COLUMN users.users.time_zone IS 'A name of the IANA database';
COMMENT ON COLUMN users.users.avatar_id IS 'The picture in users.avatars, by which its address differs from that of any other; NULL for none';

CREATE TABLE users.avatars (
    user_id text PRIMARY KEY REFERENCES users.users ON DELETE CASCADE,
    avatar_id text NOT NULL,
    content bytea NOT NULL CHECK (octet_length(content) <= 65536),
    stored_at timestamptz NOT NULL
);
COMMENT ON TABLE users.avatars IS 'global: belongs to a person; a WebP that the edge has drawn anew, shown to whoever knows its address';
ALTER TABLE users.avatars ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.avatars FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.avatars TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_row ON users.avatars FOR SELECT TO prog_edge USING (user_id = (SELECT bus.current_user_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users.avatars TO prog_users;
GRANT SELECT ON users.avatars TO prog_edge;
