-- Rows, as the last ANALYZE counted them, and bytes of the tables in $2, their chunks included; uncounted says that
-- a part with data was never counted.
WITH wanted AS (
    SELECT oid, relname::text AS name
      FROM pg_class
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relname = ANY ($2::text[])
), part AS (
    SELECT name, oid FROM wanted
    UNION ALL
    SELECT wanted.name, pg_inherits.inhrelid FROM wanted JOIN pg_inherits ON pg_inherits.inhparent = wanted.oid
)
SELECT part.name,
       sum(greatest(relation.reltuples, 0))::bigint                             AS rows,
       bool_or(relation.reltuples < 0 AND pg_relation_size(relation.oid) > 0)   AS uncounted,
       sum(pg_total_relation_size(relation.oid))::bigint                        AS bytes
  FROM part
  JOIN pg_class AS relation ON relation.oid = part.oid
 GROUP BY part.name
 ORDER BY bytes DESC, part.name
