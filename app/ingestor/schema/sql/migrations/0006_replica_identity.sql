-- minimum: 1
-- A publication FOR ALL TABLES refuses to delete from a table whose rows have no name.
ALTER TABLE :"schema".rejects REPLICA IDENTITY FULL;
