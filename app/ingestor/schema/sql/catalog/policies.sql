-- The jobs on samples and on the continuous aggregates of a schema, those of others included. One that goes by when
-- chunks were made goes by no age of points, whatever else it is told.
SELECT job.job_id::int                                          AS id,
       CASE job.proc_name WHEN 'policy_compression' THEN 'columnstore' WHEN 'policy_retention' THEN 'retention'
                          WHEN 'policy_refresh_continuous_aggregate' THEN 'refresh' ELSE 'other' END AS kind,
       job.proc_name::text                                      AS procedure,
       coalesce(aggregate.view_name, job.hypertable_name)::text AS relation,
       extract(epoch FROM job.schedule_interval)::bigint        AS schedule_s,
       job.scheduled                                            AS scheduled,
       CASE WHEN job.config ?| ARRAY['compress_created_before', 'drop_created_before'] THEN NULL
            ELSE extract(epoch FROM coalesce(job.config ->> 'compress_after', job.config ->> 'drop_after')::interval)
            END::bigint                                         AS after_s,
       extract(epoch FROM (job.config ->> 'start_offset')::interval)::bigint AS start_s,
       extract(epoch FROM (job.config ->> 'end_offset')::interval)::bigint   AS end_s,
       CASE WHEN stats.last_run_status = 'Failed' THEN coalesce(
           (SELECT error.err_message FROM timescaledb_information.job_errors AS error
             WHERE error.job_id = job.job_id ORDER BY error.finish_time DESC LIMIT 1), 'it does not say why')
           ELSE '' END                                          AS failure,
       stats.last_run_status IS NOT NULL                        AS has_run,
       coalesce(stats.job_status = 'Scheduled' AND stats.next_start < now() - interval '1 hour', false) AS overdue
  FROM timescaledb_information.jobs AS job
  LEFT JOIN timescaledb_information.job_stats AS stats ON stats.job_id = job.job_id
  LEFT JOIN timescaledb_information.continuous_aggregates AS aggregate
    ON aggregate.view_schema = $1
   AND (job.hypertable_schema, job.hypertable_name) IN (
           (aggregate.materialization_hypertable_schema, aggregate.materialization_hypertable_name),
           (aggregate.view_schema, aggregate.view_name))
 WHERE aggregate.view_name IS NOT NULL OR (job.hypertable_schema = $1 AND job.hypertable_name = 'samples')
 ORDER BY job.job_id
