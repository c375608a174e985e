-- How chunks of samples are converted from now on; no row where the columnstore is off.
SELECT array_agg(attname::text ORDER BY segmentby_column_index)
           FILTER (WHERE segmentby_column_index IS NOT NULL)  AS segment_by,
       array_agg(attname || CASE WHEN orderby_asc THEN '' ELSE ' DESC' END ORDER BY orderby_column_index)
           FILTER (WHERE orderby_column_index IS NOT NULL)    AS order_by
  FROM timescaledb_information.compression_settings
 WHERE hypertable_schema = $1 AND hypertable_name = 'samples'
HAVING count(*) > 0
