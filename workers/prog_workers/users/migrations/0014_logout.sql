-- Where a client's people may go when they have signed out by it (OpenID Connect RP-Initiated Logout 1.0).
ALTER TABLE users.oauth_clients ADD COLUMN post_logout_redirect_uris text[] NOT NULL DEFAULT '{}';
