-- The continuous aggregates of a schema.
SELECT view_name::text                                                             AS name,
       coalesce(obj_description(format('%I.%I', view_schema, view_name)::regclass, 'pg_class'), '') AS comment,
       materialized_only
  FROM timescaledb_information.continuous_aggregates
 WHERE view_schema = $1
 ORDER BY view_name
