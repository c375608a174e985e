-- One row about the server and the connected role, for a person who wants to know whether this will work.
SELECT current_setting('server_version')                              AS version,
       current_setting('server_version_num')::int                     AS version_number,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb,
       current_setting('timescaledb.license', true)                   AS licence,
       pg_is_in_recovery()                                            AS standby,
       current_user::text                                             AS role,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)   AS superuser,
       current_setting('fsync') = 'on'                                AS fsync,
       current_setting('full_page_writes') = 'on'                     AS full_page_writes,
       current_setting('synchronous_commit')                          AS synchronous_commit,
       current_setting('synchronous_standby_names') <> ''             AS synchronous_standbys,
       (SELECT count(*) FROM pg_stat_replication)                     AS standbys,
       extract(epoch FROM clock_timestamp())::float8                  AS clock_s,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections_used,
       current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0) AS connections_usable
