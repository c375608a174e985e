-- minimum: 1
-- For people and Grafana: a metric's series in intervals of time, with the caller's own rights. Statements are put
-- together at run time: the rollups differ, and a plan for the very ids of the series is many times faster.

-- The largest rollup that the caller may read and whose buckets make up `width`, else the points. A rollup is a view of
-- the schema's owner with our comment; it may be read once it is filled. Buckets that make up a day make up months.
CREATE FUNCTION :"schema".query_source(width interval) RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $query_source$
    SELECT coalesce(
        (SELECT format('SELECT bucket AS time, series_id, count, sum, min, max, last FROM %I.%I', nspname, relname)
           FROM pg_class
           JOIN pg_namespace ON pg_namespace.oid = relnamespace
          CROSS JOIN LATERAL CAST(substring(
                    obj_description(pg_class.oid, 'pg_class') FROM '^analytics-ingestor: rollup 1 of ([1-9]\d*) s$'
                ) AS numeric) AS bucket_s
          WHERE nspname = :'schema' AND relkind = 'v' AND relowner = nspowner
            AND has_table_privilege(pg_class.oid, 'SELECT')
            AND CASE WHEN extract(year FROM width) = 0 AND extract(month FROM width) = 0
                     THEN extract(epoch FROM width) ELSE 86400 END % bucket_s = 0
          ORDER BY bucket_s DESC
          LIMIT 1),
        'SELECT time, series_id, 1 AS count, value AS sum, value AS min, value AS max, value AS last'
        ' FROM :"schema".samples')
$query_source$;

-- What a query needs to know: TimescaleDB's schema, what to read, which series, and whole intervals around the range.
CREATE FUNCTION :"schema".query_scope(
    service text, metric text, since timestamptz, until timestamptz, width interval, matching jsonb,
    OUT functions text, OUT source text, OUT ids bigint[], OUT first timestamptz, OUT past timestamptz
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $query_scope$
BEGIN
    IF num_nulls(service, metric, since, until, width) > 0 THEN
        RAISE EXCEPTION 'service, metric, since, until and width must be given' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT quote_ident(nspname) INTO STRICT functions
      FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
     WHERE extname = 'timescaledb';
    source := :"schema".query_source(width);
    ids := ARRAY(SELECT series.id FROM :"schema".series
                  WHERE series.service_name = query_scope.service AND series.metric_name = query_scope.metric
                    AND series.labels @> coalesce(matching, '{}'));
    EXECUTE format('SELECT %1$s.time_bucket($3, $1), %1$s.time_bucket($3, $2)', functions)
       INTO first, past USING since, until, width;
    IF past < until THEN
        past := past + width;
    END IF;
END
$query_scope$;

CREATE FUNCTION :"schema".buckets(
    service text, metric text, since timestamptz, until timestamptz, width interval, matching jsonb DEFAULT '{}'
)
RETURNS TABLE (
    "time" timestamptz, labels jsonb,
    count bigint, avg double precision, min double precision, max double precision, last double precision
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $buckets$
DECLARE
    scope record;
BEGIN
    SELECT * INTO scope FROM :"schema".query_scope(service, metric, since, until, width, matching);
    RETURN QUERY EXECUTE format(
        'SELECT bucket.time, series.labels, bucket.count, bucket.sum / bucket.count, bucket.min, bucket.max, bucket.last'
        '  FROM (SELECT %1$s.time_bucket($4, time) AS time, series_id, sum(count)::bigint AS count, sum(sum) AS sum,'
        '               min(min) AS min, max(max) AS max, %1$s.last(last, time) AS last'
        '          FROM (%2$s) AS part WHERE series_id = ANY ($1) AND time >= $2 AND time < $3 GROUP BY 1, 2) AS bucket'
        '  JOIN :"schema".series ON series.id = bucket.series_id ORDER BY 1', scope.functions, scope.source)
    USING scope.ids, scope.first, scope.past, width;
END
$buckets$;
COMMENT ON FUNCTION :"schema".buckets IS
    'Each series of a metric in intervals of a width, from the largest rollup that fits; the intervals are whole ones.';

-- Where the value fell a counter began anew at 0, so the value itself is what it grew by; a first one has grown by
-- nothing. Of a rollup's bucket only the greatest, the least and the last value are known: exact where there is a value
-- before and a counter begins anew once a bucket, not above that value; else less than it grew, never more. Values that
-- are not finite, and a rollup's buckets with such ones, are no part of a counter and left out.
CREATE FUNCTION :"schema".increase(
    service text, metric text, since timestamptz, until timestamptz, width interval, matching jsonb DEFAULT '{}'
)
RETURNS TABLE ("time" timestamptz, labels jsonb, value double precision)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $increase$
DECLARE
    scope record;
BEGIN
    SELECT * INTO scope FROM :"schema".query_scope(service, metric, since, until, width, matching);
    RETURN QUERY EXECUTE format(
        'SELECT bucket.time, series.labels, bucket.value'
        '  FROM (SELECT %1$s.time_bucket($4, time) AS time, series_id,'
        '               sum(CASE WHEN max > last AND before IS NULL THEN last'
        '                        WHEN max > last THEN last + CASE WHEN max < before THEN max ELSE max - before END'
        '                        WHEN min < before THEN last'
        '                        ELSE last - coalesce(before, min) END) AS value'
        '          FROM (SELECT *, lag(last) OVER (PARTITION BY series_id ORDER BY time, last) AS before'
        '                  FROM (%2$s) AS part'
        '                 WHERE series_id = ANY ($1) AND time >= $2 - $4 AND time < $3'
        '                   AND abs(min) < ''Infinity'' AND abs(max) < ''Infinity'') AS part'
        '         WHERE time >= $2 GROUP BY 1, 2) AS bucket'
        '  JOIN :"schema".series ON series.id = bucket.series_id ORDER BY 1', scope.functions, scope.source)
    USING scope.ids, scope.first, scope.past, width;
END
$increase$;
COMMENT ON FUNCTION :"schema".increase IS
    'How much each series of a counter grew in each interval; a fall is a counter that began anew at 0.';

CREATE FUNCTION :"schema".rate(
    service text, metric text, since timestamptz, until timestamptz, width interval, matching jsonb DEFAULT '{}'
)
RETURNS TABLE ("time" timestamptz, labels jsonb, value double precision)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $rate$
    SELECT grown.time, grown.labels,
           grown.value / extract(epoch FROM (grown.time + width) - grown.time)::double precision
      FROM :"schema".increase(service, metric, since, until, width, matching) AS grown
     ORDER BY 1
$rate$;
COMMENT ON FUNCTION :"schema".rate IS 'The increase by the second.';

REVOKE ALL ON FUNCTION
    :"schema".query_source(interval),
    :"schema".query_scope(text, text, timestamptz, timestamptz, interval, jsonb),
    :"schema".buckets(text, text, timestamptz, timestamptz, interval, jsonb),
    :"schema".increase(text, text, timestamptz, timestamptz, interval, jsonb),
    :"schema".rate(text, text, timestamptz, timestamptz, interval, jsonb)
FROM PUBLIC;
