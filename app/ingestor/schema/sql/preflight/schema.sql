-- The schema as the connected role sees it; no row where it does not exist.
SELECT has_schema_privilege(oid, 'USAGE')                              AS may_use,
       has_schema_privilege(oid, 'CREATE')                             AS may_create,
       (SELECT pg_class.oid IS NOT NULL AND has_table_privilege(pg_class.oid, 'SELECT')
          FROM pg_class WHERE relnamespace = pg_namespace.oid AND relname = 'migration') AS may_read_version
  FROM pg_namespace WHERE nspname = $1
