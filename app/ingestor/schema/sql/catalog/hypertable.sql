-- samples as TimescaleDB sees it; no row where it is a plain table. A chunk dropped meanwhile has no size. That new
-- points go to the columnstore at once (from 2.29 on) is told by a bit of its own table alone, see chunks.sql.
SELECT array_agg(dimension.column_name::text ORDER BY dimension.dimension_number) AS dimensions,
       (extract(epoch FROM max(dimension.time_interval)) * 1000000)::bigint AS interval_us,
       (SELECT count(*) FROM timescaledb_information.chunks
         WHERE hypertable_schema = $1 AND hypertable_name = 'samples') AS chunks,
       (SELECT coalesce(sum(pg_total_relation_size(relation.oid)), 0)::bigint
          FROM timescaledb_information.chunks AS chunk
          JOIN pg_namespace AS namespace ON namespace.nspname = chunk.chunk_schema
          JOIN pg_class AS relation
            ON relation.relname = chunk.chunk_name AND relation.relnamespace = namespace.oid
         WHERE chunk.hypertable_schema = $1 AND chunk.hypertable_name = 'samples') AS size_bytes,
       coalesce((SELECT (to_jsonb(hypertable) ->> 'status')::int & 8 <> 0
                   FROM _timescaledb_catalog.hypertable AS hypertable
                  WHERE hypertable.schema_name = $1 AND hypertable.table_name = 'samples'), false) AS direct
  FROM timescaledb_information.dimensions AS dimension
 WHERE dimension.hypertable_schema = $1 AND dimension.hypertable_name = 'samples'
HAVING count(*) > 0
