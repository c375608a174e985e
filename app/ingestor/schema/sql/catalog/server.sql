-- One row about the server, the session, TimescaleDB and the schema. Where TimescaleDB is not installed, its schema is
-- `public` if all roles may use that.
WITH place AS (
    SELECT namespace.oid, nspname::text AS name, extension.oid IS NOT NULL AS taken,
           ARRAY(SELECT rolname::text FROM pg_roles
                  WHERE rolname = ANY ($2::text[])
                    AND NOT has_schema_privilege(pg_roles.oid, namespace.oid, 'USAGE')) AS closed_to
      FROM pg_namespace AS namespace
      LEFT JOIN pg_extension AS extension ON extension.extnamespace = namespace.oid AND extname = 'timescaledb'
     WHERE extension.oid IS NOT NULL OR nspname = 'public'
     ORDER BY taken DESC
     LIMIT 1
)
SELECT current_database()::text                                      AS database,
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database_oid,
       (SELECT pg_encoding_to_char(encoding)::text FROM pg_database WHERE datname = current_database()) AS encoding,
       current_setting('server_version_num')::int                    AS server_version,
       session_user::text                                            AS session_user,
       EXISTS (SELECT FROM pg_roles WHERE rolname = $3 AND rolcanlogin) AS owner_may_log_in,
       (SELECT system_identifier::text FROM pg_control_system())     AS system,
       (extract(epoch FROM now()) * 1000000)::bigint                 AS now_us,
       coalesce(current_setting('timescaledb.license', true) = 'timescale', false) AS community,
       (SELECT array_agg(rolname::text) FROM pg_roles WHERE rolname = ANY ($2::text[])) AS roles,
       EXISTS (SELECT FROM pg_roles WHERE rolname = $3 AND pg_has_role(session_user, oid, 'MEMBER')) AS may_act_as_owner,
       EXISTS (SELECT FROM pg_roles WHERE rolname = $3
                  AND has_database_privilege(oid, current_database(), 'CREATE')) AS owner_may_create,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS extension_version,
       (SELECT name FROM place WHERE taken OR closed_to = '{}')      AS extension_schema,
       (SELECT closed_to FROM place WHERE taken)                     AS extension_closed_to,
       -- The loader defines this setting, so it is there only where the library is preloaded.
       current_setting('timescaledb.disable_load', true) IS NOT NULL AS extension_preloaded,
       EXISTS (SELECT FROM pg_available_extension_versions WHERE name = 'timescaledb') AS extension_available,
       coalesce((SELECT bool_or(trusted) FROM pg_available_extension_versions
                  WHERE name = 'timescaledb'), false)                AS extension_trusted,
       (SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = $1) AS schema_owner
