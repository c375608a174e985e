-- One row about the server, the session, TimescaleDB and the schema.
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
       (SELECT nspname::text FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
         WHERE extname = 'timescaledb')                              AS extension_schema,
       -- The loader defines this setting, so it is there only where the library is preloaded.
       current_setting('timescaledb.disable_load', true) IS NOT NULL AS extension_preloaded,
       EXISTS (SELECT FROM pg_available_extension_versions WHERE name = 'timescaledb') AS extension_available,
       coalesce((SELECT bool_or(trusted) FROM pg_available_extension_versions
                  WHERE name = 'timescaledb'), false)                AS extension_trusted,
       (SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = $1) AS schema_owner
