-- A group has a position in each shard and nothing is handed out any more, so that nothing is "delivered and pending".
ALTER TABLE monitoring.lag_samples DROP COLUMN pending;
COMMENT ON COLUMN monitoring.lag_samples.lag IS 'Messages behind the position of the group: not yet handled, or handled and the position not yet kept';
