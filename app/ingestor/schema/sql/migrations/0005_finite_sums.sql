-- minimum: 1
-- Sums that no value can break: what is summed up are the values from -1e290 to 1e290, whatever else is stored. Of as many
-- as there can be (1e18) the sum is finite, and what an average or a rate is divided by leaves it a number.

-- As before, but for two kinds of rollup. Those of definition 2 have such values alone. Those of definition 1 have all:
-- their buckets with others are odd and read from the points. Where a rollup has to be summed up yet, odd buckets are left
-- out before that, as the condition is one on the grouped columns, so that no sum overflows; and OFFSET 0 has points looked
-- up bucket by bucket. The text takes the series' ids as $1, and a range of whole buckets as $2 and $3.
CREATE OR REPLACE FUNCTION :"schema".query_source(width interval) RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $query_source$
    SELECT coalesce(
        (SELECT CASE WHEN definition = '2'
                THEN format('SELECT bucket AS time, series_id, count, sum, min, max, last FROM %s', name)
                ELSE format(
                    'WITH odd AS MATERIALIZED ('
                    '    SELECT series_id, bucket FROM %1$s'
                    '     WHERE series_id = ANY ($1) AND bucket >= $2 AND bucket < $3'
                    '       AND NOT (abs(min) <= 1e290 AND abs(max) <= 1e290))'
                    ' SELECT bucket AS time, series_id, count, sum, min, max, last FROM %1$s'
                    '  WHERE ROW(series_id, bucket) <> ALL (ARRAY(SELECT ROW(odd.series_id, odd.bucket) FROM odd))'
                    ' UNION ALL'
                    ' SELECT point.time, odd.series_id, 1, point.value, point.value, point.value, point.value'
                    '   FROM odd CROSS JOIN LATERAL ('
                    '        SELECT time, value FROM :"schema".samples'
                    '         WHERE series_id = odd.series_id AND abs(value) <= 1e290'
                    '           AND time >= odd.bucket AND time < odd.bucket + interval ''%2$s s'' OFFSET 0) AS point',
                    name, bucket_s)
                END
           FROM pg_class
           JOIN pg_namespace ON pg_namespace.oid = relnamespace
          CROSS JOIN LATERAL format('%I.%I', nspname, relname) AS name
          CROSS JOIN LATERAL regexp_match(
                    obj_description(pg_class.oid, 'pg_class'), '^analytics-ingestor: rollup ([12]) of ([1-9]\d*) s$'
                ) AS found
          CROSS JOIN LATERAL CAST(found[1] AS text) AS definition
          CROSS JOIN LATERAL CAST(found[2] AS numeric) AS bucket_s
          WHERE nspname = :'schema' AND relkind = 'v' AND relowner = nspowner
            AND has_table_privilege(pg_class.oid, 'SELECT')
            AND CASE WHEN extract(year FROM width) = 0 AND extract(month FROM width) = 0
                     THEN extract(epoch FROM width) ELSE 86400 END % bucket_s = 0
          ORDER BY bucket_s DESC
          LIMIT 1),
        'SELECT time, series_id, 1 AS count, value AS sum, value AS min, value AS max, value AS last'
        ' FROM :"schema".samples WHERE abs(value) <= 1e290')
$query_source$;

-- As before, but that an average of nearly nothing is 0: PostgreSQL refuses a quotient that is too small for a number.
CREATE OR REPLACE FUNCTION :"schema".buckets(
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
        'SELECT bucket.time, series.labels, bucket.count,'
        '       CASE WHEN abs(bucket.sum) < 1e-290 THEN 0 ELSE bucket.sum / bucket.count END,'
        '       bucket.min, bucket.max, bucket.last'
        '  FROM (SELECT %1$s.time_bucket($4, time) AS time, series_id, sum(count)::bigint AS count, sum(sum) AS sum,'
        '               min(min) AS min, max(max) AS max, %1$s.last(last, time) AS last'
        '          FROM (%2$s) AS part WHERE series_id = ANY ($1) AND time >= $2 AND time < $3 GROUP BY 1, 2) AS bucket'
        '  JOIN :"schema".series ON series.id = bucket.series_id ORDER BY 1', scope.functions, scope.source)
    USING scope.ids, scope.first, scope.past, width;
END
$buckets$;

-- As before, but that the interval before the first one, from which a counter's last value is taken, begins at a constant:
-- TimescaleDB finds no chunks for an infinite time that it has to compute.
CREATE OR REPLACE FUNCTION :"schema".increase(
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
        '                  FROM (%2$s) AS part WHERE series_id = ANY ($1) AND time >= $2 AND time < $3) AS part'
        '         WHERE time >= $5 GROUP BY 1, 2) AS bucket'
        '  JOIN :"schema".series ON series.id = bucket.series_id ORDER BY 1', scope.functions, scope.source)
    USING scope.ids, scope.first - width, scope.past, width, scope.first;
END
$increase$;

-- As before, but that a rate of nearly nothing is 0, as an average is.
CREATE OR REPLACE FUNCTION :"schema".rate(
    service text, metric text, since timestamptz, until timestamptz, width interval, matching jsonb DEFAULT '{}'
)
RETURNS TABLE ("time" timestamptz, labels jsonb, value double precision)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $rate$
    SELECT grown.time, grown.labels,
           CASE WHEN abs(grown.value) < 1e-290 THEN 0
                ELSE grown.value / extract(epoch FROM (grown.time + width) - grown.time)::double precision END
      FROM :"schema".increase(service, metric, since, until, width, matching) AS grown
     ORDER BY 1
$rate$;
