-- minimum: 1
-- What the release after this one may bring, for tests of upgrade and rollback: the image "next" has it, this one not.
ALTER TABLE :"schema".ledger ADD COLUMN next_release text;
