-- How chunks of samples are converted from now on; no row where the columnstore is off. From TimescaleDB's own table, as
-- its views look up every hypertable of the database by name, which takes rights on the schemas of others.
SELECT coalesce(settings.segmentby, '{}')::text[] AS segment_by,
       ARRAY(SELECT by.name || CASE WHEN by.descending THEN ' DESC' ELSE '' END
               FROM unnest(settings.orderby, settings.orderby_desc) WITH ORDINALITY AS by (name, descending, place)
              ORDER BY by.place)                  AS order_by
  FROM _timescaledb_catalog.compression_settings AS settings
  JOIN pg_class ON pg_class.oid = settings.relid
  JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
 WHERE nspname = $1 AND relname = 'samples'
