-- Keys with somebody waiting, without those that are only dead: a mass of dead letters must cost the search nothing.
CREATE INDEX retries_waiting ON bus.retries (consumer_group, topic, partition_key, position) WHERE state = 'waiting';
-- Where the event log of the last days begins, for a broker that has lost its data.
CREATE INDEX event_log_recorded ON bus.event_log USING brin (recorded_at) WITH (pages_per_range = 32);
