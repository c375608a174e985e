-- minimum: 1
-- How long data must be kept, as accepted last: what a policy's job remembers, for builds of TimescaleDB that have none.
CREATE TABLE :"schema".retention (
    relation   text    PRIMARY KEY,
    keep_s     bigint  NOT NULL CHECK (keep_s > 0),
    changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE :"schema".retention IS 'data older than this may be dropped by ingestor schema apply and by the operator';
