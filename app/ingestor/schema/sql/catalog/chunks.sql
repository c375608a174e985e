-- The chunks of samples and of the continuous aggregates of a schema. Rows are an estimate: of a converted chunk they
-- are counted when it is converted, and of one whose points went to the columnstore at once there are up to 1,000 in a
-- batch; of any other they are what was analysed last, or what the statistics counted, or what its size holds at 52
-- bytes each (a header of 24, a line pointer of 4, three columns of 8). Settings come from TimescaleDB's own table, see
-- columnstore.sql; so do counts, but as JSON, so that a column that a version does not have is null: up to 2.28 a chunk
-- has its names there, from 2.29 on its oid, whose text is the same, as its schema is not on the search path.
WITH counted AS (
    SELECT jsonb_object_agg(
               coalesce(chunk ->> 'relid',
                        quote_ident(chunk ->> 'schema_name') || '.' || quote_ident(chunk ->> 'table_name'), ''),
               size -> 'numrows_pre_compression') AS rows
      FROM (SELECT to_jsonb(size) AS size FROM _timescaledb_catalog.compression_chunk_size AS size) AS size
      JOIN (SELECT to_jsonb(chunk) AS chunk FROM _timescaledb_catalog.chunk AS chunk) AS chunk
        ON chunk -> 'id' = size -> 'chunk_id'
)
SELECT coalesce(aggregate.view_name, chunk.hypertable_name)::text    AS relation,
       format('%I.%I', chunk.chunk_schema, chunk.chunk_name)         AS name,
       (extract(epoch FROM chunk.range_start) * 1000000)::bigint     AS start_us,
       (extract(epoch FROM chunk.range_end) * 1000000)::bigint       AS end_us,
       coalesce(nullif(((SELECT rows FROM counted) ->> format('%I.%I', chunk.chunk_schema, chunk.chunk_name))::bigint, 0),
                nullif(pg_stat_get_live_tuples(to_regclass(to_jsonb(used) ->> 'compress_relid')), 0) * 1000,
                CASE WHEN relation.reltuples >= 0 THEN relation.reltuples::bigint END,
                nullif(pg_stat_get_live_tuples(relation.oid), 0),
                pg_relation_size(relation.oid) / 52, 0)::bigint       AS rows,
       chunk.is_compressed                                           AS converted,
       chunk.is_compressed AND used.relid IS NOT NULL
           AND (used.segmentby, used.orderby, used.orderby_desc)
               IS DISTINCT FROM (asked.segmentby, asked.orderby, asked.orderby_desc) AS earlier
  FROM timescaledb_information.chunks AS chunk
  LEFT JOIN timescaledb_information.continuous_aggregates AS aggregate
    ON aggregate.view_schema = $1
   AND aggregate.materialization_hypertable_schema = chunk.hypertable_schema
   AND aggregate.materialization_hypertable_name = chunk.hypertable_name
  LEFT JOIN pg_class AS relation
    ON relation.oid = to_regclass(format('%I.%I', chunk.chunk_schema, chunk.chunk_name))
  LEFT JOIN _timescaledb_catalog.compression_settings AS used ON used.relid = relation.oid
  LEFT JOIN pg_namespace AS place ON place.nspname = chunk.hypertable_schema
  LEFT JOIN pg_class AS hypertable
    ON hypertable.relnamespace = place.oid AND hypertable.relname = chunk.hypertable_name
  LEFT JOIN _timescaledb_catalog.compression_settings AS asked ON asked.relid = hypertable.oid
 WHERE aggregate.view_name IS NOT NULL OR (chunk.hypertable_schema = $1 AND chunk.hypertable_name = 'samples')
 ORDER BY chunk.range_start, chunk.chunk_name
