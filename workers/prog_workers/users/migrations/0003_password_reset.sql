-- Links that set a new password.
ALTER TABLE users.link_tokens
    DROP CONSTRAINT link_tokens_purpose_check,
    ADD CONSTRAINT link_tokens_purpose_check CHECK (purpose IN ('verify_email', 'reset_password'));
