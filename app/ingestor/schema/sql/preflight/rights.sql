-- Which of the rights in $2 to $4 (kind, object, privilege; arrays of one length) the connected role lacks.
SELECT wanted.name, wanted.privilege
  FROM unnest($2::text[], $3::text[], $4::text[]) AS wanted (kind, name, privilege)
  LEFT JOIN pg_class AS relation
    ON wanted.kind <> 'function' AND relation.relname = wanted.name
   AND relation.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
  LEFT JOIN pg_proc AS routine
    ON wanted.kind = 'function' AND routine.proname = wanted.name AND routine.pronargs = 0
   AND routine.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
 WHERE NOT coalesce(has_table_privilege(relation.oid, wanted.privilege),
                    has_function_privilege(routine.oid, wanted.privilege), false)
 ORDER BY 1, 2
