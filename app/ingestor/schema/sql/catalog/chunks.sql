-- The chunks of samples and of the continuous aggregates of a schema. Rows are an estimate: of a converted chunk they
-- are counted when it is converted, and of one whose points went to the columnstore at once there are up to 1,000 in a
-- batch; of any other they are what was analysed last, or what the statistics counted, or what its size holds at 52
-- bytes each (a header of 24, a line pointer of 4, three columns of 8). What no view tells is read from TimescaleDB's
-- own tables, see columnstore.sql, and as JSON, so that a column that a version does not have is null: up to 2.28 a
-- chunk has its names there, from 2.29 on its oid.
WITH counted AS (
    SELECT to_jsonb(chunk) AS chunk, nullif((to_jsonb(size) ->> 'numrows_pre_compression')::bigint, 0) AS rows
      FROM _timescaledb_catalog.compression_chunk_size AS size
      JOIN _timescaledb_catalog.chunk AS chunk ON to_jsonb(chunk) -> 'id' = to_jsonb(size) -> 'chunk_id'
), setting AS (
    SELECT one ->> 'relid' AS relation, one ->> 'compress_relid' AS batches,
           ARRAY[one -> 'segmentby', one -> 'orderby', one -> 'orderby_desc'] AS columns
      FROM _timescaledb_catalog.compression_settings AS settings, to_jsonb(settings) AS one
)
SELECT coalesce(aggregate.view_name, chunk.hypertable_name)::text    AS relation,
       format('%I.%I', chunk.chunk_schema, chunk.chunk_name)         AS name,
       (extract(epoch FROM chunk.range_start) * 1000000)::bigint     AS start_us,
       (extract(epoch FROM chunk.range_end) * 1000000)::bigint       AS end_us,
       coalesce(by_oid.rows, by_name.rows, nullif(pg_stat_get_live_tuples(to_regclass(used.batches)), 0) * 1000,
                CASE WHEN relation.reltuples >= 0 THEN relation.reltuples::bigint END,
                nullif(pg_stat_get_live_tuples(relation.oid), 0),
                pg_relation_size(relation.oid) / 52, 0)::bigint       AS rows,
       chunk.is_compressed                                           AS converted,
       chunk.is_compressed AND used.columns IS NOT NULL
           AND used.columns IS DISTINCT FROM asked.columns           AS earlier
  FROM timescaledb_information.chunks AS chunk
  LEFT JOIN timescaledb_information.continuous_aggregates AS aggregate
    ON aggregate.view_schema = $1
   AND aggregate.materialization_hypertable_schema = chunk.hypertable_schema
   AND aggregate.materialization_hypertable_name = chunk.hypertable_name
  LEFT JOIN pg_class AS relation
    ON relation.oid = to_regclass(format('%I.%I', chunk.chunk_schema, chunk.chunk_name))
  LEFT JOIN counted AS by_oid ON by_oid.chunk ->> 'relid' = relation.oid::regclass::text
  LEFT JOIN counted AS by_name
    ON by_name.chunk ->> 'schema_name' = chunk.chunk_schema AND by_name.chunk ->> 'table_name' = chunk.chunk_name
  LEFT JOIN setting AS used ON used.relation = relation.oid::regclass::text
  LEFT JOIN pg_namespace AS place ON place.nspname = chunk.hypertable_schema
  LEFT JOIN pg_class AS hypertable
    ON hypertable.relnamespace = place.oid AND hypertable.relname = chunk.hypertable_name
  LEFT JOIN setting AS asked ON asked.relation = hypertable.oid::regclass::text
 WHERE aggregate.view_name IS NOT NULL OR (chunk.hypertable_schema = $1 AND chunk.hypertable_name = 'samples')
 ORDER BY chunk.range_start, chunk.chunk_name
