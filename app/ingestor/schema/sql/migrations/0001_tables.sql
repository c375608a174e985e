-- minimum: 1
-- Every table and the view. samples becomes a hypertable in a step of its own: its chunk interval and its index
-- are the user's choice, which may change later.

-- No unique identity beside the id: 6 kB of labels overflow a btree entry. id is the digest's first 8 bytes.
CREATE TABLE :"schema".series (
    id           bigint PRIMARY KEY,
    digest       bytea  NOT NULL,
    service_name text   NOT NULL,
    metric_name  text   NOT NULL,
    labels       jsonb  NOT NULL
);
CREATE INDEX series_names ON :"schema".series (service_name, metric_name);

-- Never a unique index: it halves the rate of COPY. No foreign key for the same reason.
CREATE TABLE :"schema".samples (
    time      timestamptz      NOT NULL,
    series_id bigint           NOT NULL,
    value     double precision NOT NULL
);

CREATE VIEW :"schema".metrics AS
SELECT samples.time, series.service_name, series.metric_name, samples.value, series.labels
  FROM :"schema".samples
  JOIN :"schema".series ON series.id = samples.series_id;
COMMENT ON VIEW :"schema".metrics IS 'One row per stored point; give every query a range of time.';

-- Rows come and go all the time, so dead ones must be collected long before a fifth of the table is dead.
CREATE TABLE :"schema".ledger (
    key      uuid    PRIMARY KEY,
    digest   bigint  NOT NULL,
    accepted integer NOT NULL,
    rejected integer NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);

CREATE TABLE :"schema".ledger_beat (
    at timestamptz PRIMARY KEY
);

CREATE TABLE :"schema".rejects (
    at      timestamptz NOT NULL DEFAULT now(),
    pod     text,
    reason  text,
    field   text,
    message text,
    point   jsonb
);
CREATE INDEX rejects_at ON :"schema".rejects (at);
