-- One row about the database, the role and this transaction, as a pod has them.
SELECT current_database()::text                      AS database,
       current_user::text                            AS role,
       pg_encoding_to_char(encoding)                 AS encoding,
       datconnlimit                                  AS database_limit,
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role_limit,
       current_setting('transaction_read_only') = 'on' AND NOT pg_is_in_recovery() AS read_only,
       current_setting('synchronous_standby_names') <> ''
           AND current_setting('synchronous_commit') NOT IN ('off', 'local')
           AND NOT EXISTS (SELECT FROM pg_stat_replication) AS commits_wait
  FROM pg_database WHERE datname = current_database()
