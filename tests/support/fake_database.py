"""A stand-in for the schema engine as the operator calls it: verdicts on request, and what was asked for."""

from ingestor_operator.conditions.verdict import Verdict, failed, ok, unknown
from ingestor_operator.database import SchemaVerdict, Target
from ingestor_operator.errors import DatabaseError

GOOD = SchemaVerdict(ok("Connected", "the database answers"), ok("Applied", "the schema is as asked for"))
DOWN = SchemaVerdict(
    failed("DatabaseUnavailable", "timescaledb cannot be reached"),
    unknown("DatabaseUnavailable", "the database can't be asked"),
)
REFUSED = SchemaVerdict(ok("Connected", "the database answers"), failed("ObjectConflict", "metrics is not ours"))
HELD = SchemaVerdict(ok("Connected", "the database answers"), failed("ApprovalRequired", "a step is held"))


class FakeDatabase:
    """Every schema is as ``verdict`` says; ``kept`` and ``dropped`` are the targets that were asked about."""

    def __init__(self) -> None:
        self.verdict = GOOD
        self.kept: list[Target] = []
        self.dropped: list[Target] = []
        self.drop_error: DatabaseError | None = None
        self.login = ok("Connected", "the database answers")
        self.logins: list[str] = []
        self.durable = ok("Durable", "a commit survives a crash")
        self.durability_asked = 0

    async def keep(self, target: Target) -> SchemaVerdict:
        """Stand in for ``keep_schema``."""
        self.kept.append(target)
        return self.verdict

    async def log_in(self, url: str) -> Verdict:
        """Stand in for ``check_login``."""
        self.logins.append(url)
        return self.login

    async def durability(self, url: str) -> Verdict:
        """Stand in for ``check_durability``."""
        self.durability_asked += 1
        return self.durable

    async def drop(self, target: Target) -> str:
        """Stand in for ``drop``."""
        if self.drop_error is not None:
            raise self.drop_error
        self.dropped.append(target)
        return f"schema {target.spec.name}: dropped 9 objects"
