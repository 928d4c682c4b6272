-- How many batches of stored commands the relay has published. The broker's own note has the same number, so a broker
-- that comes back without its latest writes is known by it also when these held commands alone.
ALTER TABLE bus.relay_cursors ADD COLUMN commands bigint NOT NULL DEFAULT 0;
