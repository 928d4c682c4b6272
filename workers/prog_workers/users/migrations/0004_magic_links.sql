-- Links that sign in, and sessions that they opened.
ALTER TABLE users.link_tokens
    DROP CONSTRAINT link_tokens_purpose_check,
    ADD CONSTRAINT link_tokens_purpose_check CHECK (purpose IN ('verify_email', 'reset_password', 'magic_link'));
ALTER TABLE users.sessions
    DROP CONSTRAINT sessions_method_check,
    ADD CONSTRAINT sessions_method_check CHECK (method IN ('password', 'magic_link'));
