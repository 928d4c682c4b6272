-- The replay to ask is the one that is not over. A rebuild that failed before its reset holds nothing and stays in the
-- table for good; a shard that was new while a later one ran took it for the answer, and handled what was left to that.
CREATE OR REPLACE FUNCTION bus.hold_new_shard() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    -- FOR SHARE waits for a rebuild that is just beginning or ending, and has not seen this row, and reads what it wrote.
    SELECT CASE WHEN holds_live THEN id END INTO NEW.replay_id FROM bus.replays
    WHERE consumer_group = NEW.consumer_group AND rebuild
      AND (state IN ('pending', 'running', 'paused') OR (state = 'failed' AND holds_live))
    FOR SHARE;
    RETURN NEW;
END
$$;
