-- What we have done to this schema, and which of its objects are ours.
-- The comments mark both tables as ours; tables of these names without them belong to somebody else.
CREATE TABLE IF NOT EXISTS :"schema".migration (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    minimum    integer     NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text        NOT NULL DEFAULT session_user
);
COMMENT ON TABLE :"schema".migration IS 'analytics-ingestor: applied migrations';
COMMENT ON COLUMN :"schema".migration.minimum IS 'software that knows no migration this high must not use the database';

CREATE TABLE IF NOT EXISTS :"schema".owner (
    kind    text        NOT NULL,
    name    text        NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, name)
);
COMMENT ON TABLE :"schema".owner IS 'analytics-ingestor: objects that we made';
