"""One object owns the pods that ingest and the schema that they write to."""
