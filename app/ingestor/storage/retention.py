"""From which age on the database drops points: asked of the database, where anybody may change it."""

from ingestor.schema.identifiers import quote_relation
from ingestor.storage.connection import Connection

# A month is as long as the present one: that is what the job takes away from now. A job that is paused drops nothing.
# Years beyond what a time can hold are as good as none.
_POLICY = """
SELECT coalesce(current_setting('timescaledb.license', true) = 'timescale', false) AS policies,
       coalesce(has_table_privilege(to_regclass($2), 'SELECT'), false) AS readable,
       (SELECT (min(CASE WHEN (config ->> 'drop_after')::interval < interval '5000 years'
                         THEN extract(epoch FROM now() - (now() - (config ->> 'drop_after')::interval))
                    END) * 1000000)::bigint
          FROM timescaledb_information.jobs
         WHERE proc_name = 'policy_retention' AND scheduled
           AND hypertable_schema = $1 AND hypertable_name = 'samples') AS after_us
"""
_KEPT = "SELECT keep_s * 1000000 FROM {} WHERE relation = 'samples' AND keep_s < 157680000000"


async def read_retention(connection: Connection, schema: str) -> int | None:
    """Return the age in microseconds; None where nothing is dropped, or the schema is of a release that does not tell.

    Builds of TimescaleDB with policies have a job, the others a row of our table ``retention``.
    """
    table = quote_relation(schema, "retention")
    row = await connection.fetchrow(_POLICY, schema, table)
    assert row is not None  # a query without FROM
    if row["policies"]:
        after_us: int | None = row["after_us"]
        return after_us
    return await connection.fetchval(_KEPT.format(table)) if row["readable"] else None
