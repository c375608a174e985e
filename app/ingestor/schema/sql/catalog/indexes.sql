-- The indexes of samples: method, columns with their direction, and whether they may be used.
SELECT index_class.relname::text AS name,
       method.amname::text       AS method,
       index.indisvalid          AS valid,
       index.indisunique OR index.indpred IS NOT NULL AS restricted,
       ARRAY(SELECT coalesce((SELECT attname::text FROM pg_attribute
                               WHERE attrelid = index.indrelid AND attnum = index.indkey[position - 1]),
                             pg_get_indexdef(index.indexrelid, position, true))
                    || CASE WHEN method.amname = 'btree' AND index.indoption[position - 1] & 1 = 1
                            THEN ' DESC' ELSE '' END
               FROM generate_series(1, index.indnkeyatts) AS position ORDER BY position) AS columns
  FROM pg_index AS index
  JOIN pg_class AS index_class ON index_class.oid = index.indexrelid
  JOIN pg_am AS method ON method.oid = index_class.relam
 WHERE index.indrelid = (SELECT oid FROM pg_class
                          WHERE relname = 'samples' AND relkind IN ('r', 'p')
                            AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1))
 ORDER BY 1
