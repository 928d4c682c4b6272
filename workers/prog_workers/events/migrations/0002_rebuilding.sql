-- A replay that rebuilds the index empties it first: of one tenant, under the policy on the tenant, or of all.
GRANT TRUNCATE, DELETE ON events.subjects TO prog_events;
GRANT SELECT (tenant_id) ON events.subjects TO prog_events;
