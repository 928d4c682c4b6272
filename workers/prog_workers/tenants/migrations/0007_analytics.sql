-- prog_analyst counts tenants by a few of their properties. It reads no name, no address and no id, and nothing of another
-- table; the edge takes it on for one transaction (Database.analyst), and what it counts is disclosed by rule alone.
DO $$
BEGIN
    CREATE ROLE prog_analyst NOLOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object THEN
    NULL;
END
$$;
GRANT prog_analyst TO prog_edge WITH INHERIT FALSE;
GRANT USAGE ON SCHEMA tenants TO prog_analyst;
GRANT SELECT (status, plan, member_count, created_at) ON tenants.tenants TO prog_analyst;
CREATE POLICY analyst_counts ON tenants.tenants FOR SELECT TO prog_analyst
    USING (status <> 'deleted' AND slug <> 'platform');
