-- The secret of a client before the newest works within the rights of whoever held that one, not of whoever rolled it.
ALTER TABLE users.oauth_clients ADD COLUMN previous_held_by text REFERENCES users.users ON DELETE SET NULL;
COMMENT ON COLUMN users.oauth_clients.previous_held_by IS
    'Who had seen the secret before last: with that one the client calls the API within the rights of this person';
CREATE INDEX oauth_clients_previous_holder ON users.oauth_clients (previous_held_by) WHERE previous_held_by IS NOT NULL;
