-- What the roles in $2, and everybody, may do with the schema's objects; only what the objects' owner granted.
WITH object AS (
    SELECT 'schema' AS kind, nspname::text AS name, nspowner AS owner,
           coalesce(nspacl, acldefault('n', nspowner)) AS acl
      FROM pg_namespace WHERE nspname = $1
    UNION ALL
    SELECT CASE relkind WHEN 'v' THEN 'view' ELSE 'table' END, relname::text, relowner,
           coalesce(relacl, acldefault('r', relowner))
      FROM pg_class
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT 'function', proname || CASE WHEN pronargs > 0 THEN '(' || oidvectortypes(proargtypes) || ')' ELSE '' END,
           proowner, coalesce(proacl, acldefault('f', proowner))
      FROM pg_proc
     WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
)
SELECT object.kind, object.name, coalesce(grantee.rolname::text, 'PUBLIC') AS grantee, entry.privilege_type AS privilege
  FROM object
 CROSS JOIN LATERAL aclexplode(object.acl) AS entry
  LEFT JOIN pg_roles AS grantee ON grantee.oid = entry.grantee
 WHERE entry.grantor = object.owner
   AND entry.grantee <> object.owner
   AND (entry.grantee = 0 OR grantee.rolname = ANY ($2::text[]))
