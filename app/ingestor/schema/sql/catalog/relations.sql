-- Everything in the schema that takes a name of the kinds we make. A function that takes arguments is named with their
-- types, as others may have its name too.
SELECT CASE relation.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view'
            WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'other' END AS kind,
       relation.relname::text                                     AS name,
       pg_get_userbyid(relation.relowner)::text                   AS owner,
       coalesce(obj_description(relation.oid, 'pg_class'), '')    AS comment,
       ARRAY(SELECT attname || ' ' || format_type(atttypid, NULL)
               FROM pg_attribute
              WHERE attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
              ORDER BY attnum)                                    AS columns
  FROM pg_class AS relation
 WHERE relation.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
UNION ALL
SELECT 'function', proname || CASE WHEN pronargs > 0 THEN '(' || oidvectortypes(proargtypes) || ')' ELSE '' END,
       pg_get_userbyid(proowner)::text,
       coalesce(obj_description(oid, 'pg_proc'), ''), ARRAY[]::text[]
  FROM pg_proc
 WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
 ORDER BY 1, 2
