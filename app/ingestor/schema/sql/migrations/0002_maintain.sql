-- minimum: 1
-- The chores that need the owner's rights, for the writer to call about once a minute from any number of pods.
CREATE FUNCTION :"schema".maintain(
    OUT rejects_deleted integer, OUT beats_deleted integer, OUT chunk_made boolean
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $maintain$
DECLARE
    chunk_interval interval;
    boundary       timestamptz;
    probe          bigint;
BEGIN
    rejects_deleted := 0;
    beats_deleted := 0;
    chunk_made := false;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('analytics-ingestor/maintain/' || :'schema', 0)) THEN
        RETURN;
    END IF;

    DELETE FROM :"schema".rejects
     WHERE ctid = ANY (ARRAY(
        SELECT old.ctid FROM :"schema".rejects AS old
         WHERE old.at < now() - interval '7 days' ORDER BY old.at LIMIT 5000));
    GET DIAGNOSTICS rejects_deleted = ROW_COUNT;

    DELETE FROM :"schema".ledger_beat
     WHERE at IN (
        SELECT old.at FROM :"schema".ledger_beat AS old
         WHERE old.at < now() - interval '30 days' ORDER BY old.at LIMIT 5000);
    GET DIAGNOSTICS beats_deleted = ROW_COUNT;

    SELECT dimension.time_interval INTO chunk_interval
      FROM timescaledb_information.dimensions AS dimension
     WHERE dimension.hypertable_schema = :'schema' AND dimension.hypertable_name = 'samples'
       AND dimension.column_name = 'time';
    SELECT chunk.range_end INTO boundary
      FROM timescaledb_information.chunks AS chunk
     WHERE chunk.hypertable_schema = :'schema' AND chunk.hypertable_name = 'samples'
       AND chunk.range_start <= now() AND now() < chunk.range_end;
    IF boundary IS NULL OR chunk_interval IS NULL
       OR boundary - now() > least(chunk_interval, greatest(chunk_interval / 10, interval '1 hour'))
    THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM timescaledb_information.chunks AS chunk
         WHERE chunk.hypertable_schema = :'schema' AND chunk.hypertable_name = 'samples'
           AND chunk.range_start <= boundary AND boundary < chunk.range_end)
    THEN
        RETURN;
    END IF;

    -- A row that comes and goes in one transaction makes the chunk and is never seen. Its series id is random, so
    -- that no row of a user can be deleted with it. A table that refuses the row loses nothing but the head start.
    BEGIN
        probe := ('x' || substr(md5(random()::text || clock_timestamp()::text), 1, 16))::bit(64)::bigint;
        INSERT INTO :"schema".samples (time, series_id, value) VALUES (boundary, probe, 0);
        DELETE FROM :"schema".samples WHERE time = boundary AND series_id = probe;
        chunk_made := true;
    EXCEPTION WHEN OTHERS THEN
        RAISE DEBUG 'the next chunk was not made ahead of time: %', SQLERRM;
    END;
END
$maintain$;
REVOKE ALL ON FUNCTION :"schema".maintain() FROM PUBLIC;
