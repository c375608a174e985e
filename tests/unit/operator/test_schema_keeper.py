"""When a database is looked at again."""

import pytest
from prometheus_client import CollectorRegistry

from ingestor.schema.roles import Roles
from ingestor.schema.spec import SchemaSpec
from ingestor_operator.conditions.verdict import failed
from ingestor_operator.credentials import Credentials
from ingestor_operator.database import SchemaVerdict, Target
from ingestor_operator.metrics import Metrics
from ingestor_operator.schema_keeper import RETRY_S, SchemaKeeper
from support.fake_database import DOWN, GOOD, HELD, FakeDatabase

KEY = ("team", "metrics")
INTERVAL_S = 270.0
ROLES = Roles.for_schema("analytics")
TARGET = Target("postgresql://o:p@db/metrics", ROLES, SchemaSpec(), "Apply", None)


class Site:
    """A keeper with a clock and a database of the test's own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.database = FakeDatabase()
        self.registry = CollectorRegistry()
        self.keeper = SchemaKeeper(
            Metrics(self.registry),
            INTERVAL_S,
            self.database.keep,
            self.database.log_in,
            self.database.durability,
            lambda: self.now_s,
        )

    async def looks(self, after_s: float, *, suspect: bool = False, target: Target = TARGET) -> bool:
        """Tell whether the database is asked after some time."""
        self.now_s += after_s
        before = len(self.database.kept)
        verdict = await self.keeper.keep(KEY, target, suspect=suspect)
        assert (verdict.reachable, verdict.applied) == (self.database.verdict.reachable, self.database.verdict.applied)
        return len(self.database.kept) > before


async def test_a_schema_that_is_well_is_looked_at_once_an_interval() -> None:
    site = Site()
    assert [await site.looks(after_s) for after_s in (0, 1, 200, 68, 2, 1)] == [True, False, False, False, True, False]


@pytest.mark.parametrize("verdict", [DOWN, HELD], ids=["down", "held"])
async def test_one_that_is_not_well_is_looked_at_soon(verdict: SchemaVerdict) -> None:
    site = Site()
    site.database.verdict = verdict
    assert [await site.looks(after_s) for after_s in (0, RETRY_S - 1, 2, 1)] == [True, False, True, False]


async def test_trouble_of_pods_makes_it_suspect_but_not_at_every_turn() -> None:
    site = Site()
    assert await site.looks(0)
    assert [await site.looks(after_s, suspect=True) for after_s in (3, 3, 3)] == [False, False, True]


@pytest.mark.parametrize(
    "target",
    [
        Target("postgresql://o:other@db/metrics", ROLES, SchemaSpec(), "Apply", None),
        Target(TARGET.owner_url, ROLES, SchemaSpec(index="TimeBrin"), "Apply", None),
        Target(TARGET.owner_url, ROLES, SchemaSpec(), "Plan", None),
        Target(TARGET.owner_url, ROLES, SchemaSpec(), "Apply", "0" * 16),
        Target(TARGET.owner_url, Roles("a", "b", "c"), SchemaSpec(), "Apply", None),
    ],
    ids=["password", "shape", "policy", "approval", "roles"],
)
async def test_a_change_is_looked_at_at_once(target: Target) -> None:
    site = Site()
    assert await site.looks(0)
    assert await site.looks(0, target=target)
    assert not await site.looks(0, target=target)


async def test_what_is_forgotten_is_looked_at_anew() -> None:
    site = Site()
    await site.looks(0)
    site.keeper.forget(KEY)
    assert await site.looks(0)


async def test_a_drop_makes_all_others_doubtful_and_keeps_what_each_was() -> None:
    site = Site()
    await site.looks(0)
    site.keeper.doubt_all()
    assert site.keeper.last_target(KEY) == TARGET
    assert await site.looks(0)
    assert site.keeper.last_target(("team", "other")) is None


async def test_steps_are_told_once() -> None:
    site = Site()
    site.database.verdict = SchemaVerdict(GOOD.reachable, GOOD.applied, steps=9)
    told = [(await site.keeper.keep(KEY, TARGET, suspect=False)).steps for _ in range(2)]
    assert told == [9, 0]


async def test_a_login_that_many_share_is_tried_once_for_each_database() -> None:
    site = Site()

    def credentials(host: str, digest: str = "d") -> Credentials:
        return Credentials(f"postgresql://w:p@{host}/metrics", "w", 5432, digest, has_uri=False)

    assert await site.keeper.check_login(credentials("a")) == site.database.login
    site.database.login = failed("AuthenticationFailed", "wrong password")
    assert (await site.keeper.check_login(credentials("a"))).good
    assert (await site.keeper.check_login(credentials("b"))).bad
    site.now_s += RETRY_S + 1
    assert (await site.keeper.check_login(credentials("a"))).bad
    assert len(site.database.logins) == 3


async def test_looks_and_steps_are_counted() -> None:
    site = Site()
    site.database.verdict = SchemaVerdict(GOOD.reachable, GOOD.applied, steps=9)
    await site.looks(0)
    await site.looks(1)
    assert site.registry.get_sample_value("ingestor_operator_schema_checks_total", {"reason": "Applied"}) == 1
    assert site.registry.get_sample_value("ingestor_operator_schema_steps_total") == 9


async def test_durability_is_asked_once_an_interval_and_for_all_that_share_a_database() -> None:
    site = Site()
    for after_s, asked in ((0.0, 1), (1.0, 1), (INTERVAL_S, 2)):
        site.now_s += after_s
        assert (await site.keeper.check_durability(TARGET)).good
        assert site.database.durability_asked == asked
