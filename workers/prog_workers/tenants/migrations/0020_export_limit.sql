-- An export that grows beyond what the settings allow ends: what was collected is deleted, and its row says why.
ALTER TABLE tenants.exports ADD COLUMN end_reason text CHECK (end_reason IN ('too_large'));
COMMENT ON COLUMN tenants.exports.end_reason IS 'Why it came to no file, of one that has expired without having been ready';
GRANT SELECT (end_reason) ON tenants.exports TO prog_exporter;
