"""What every writer does, the fake one that the unit tests rely on and the real one."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from ingestor.errors import KeyReusedError, LimitError, TransientError
from ingestor.keys import mint_key
from ingestor.storage.contract import Batch, Duplicate, ErrorClass, Failed, FlushError, Outcome, Part, Stored, Writer
from ingestor.storage.flush import FlushSettings
from ingestor.storage.registration import Registrar
from ingestor.storage.rejects import RejectSampler
from ingestor.storage.series import NewSeriesLimit
from ingestor.storage.writer import PostgresWriter
from ingestor.telemetry.metrics import Metrics
from ingestor.telemetry.phases import Phases
from support.database import Database, keep_points
from support.fake_writer import DAY_US, FakeDatabase, FakeWriter, Fault
from support.pipeline import make_held
from support.points import count_samples
from support.proxy import CommitProxy


@dataclass
class Subject:
    """A writer and what can be done to it.

    Lose its next COMMIT, let the batch's second part be over the series limit, keep points for so many seconds.
    """

    writer: Writer
    lose_next_commit: Callable[[bool], None]
    allow_series: Callable[[float], None]
    keep_points: Callable[[int | None], Awaitable[None]]
    fake: FakeWriter | None = None


class AdjustableLimit(NewSeriesLimit):
    """A limit whose tokens are given by hand."""

    def __init__(self) -> None:
        super().__init__(1.0, clock=lambda: 0.0)
        self.give(math.inf)

    def give(self, tokens: float) -> None:
        self._tokens = min(tokens, 1e9)
        self._rate = max(self._tokens, 1.0)


@pytest.fixture(params=["fake", "real"])
async def subject(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Subject]:
    make = _fake if request.param == "fake" else _real
    async with make(database) as subject:
        yield subject
        await subject.writer.close()


@asynccontextmanager
async def _fake(_: Database) -> AsyncIterator[Subject]:
    writer = FakeWriter(FakeDatabase())

    def limit(tokens: float) -> None:
        if not tokens:
            writer.faults.append(Fault(limited=frozenset({1})))

    def lose(committed: bool) -> None:
        limited = writer.faults.popleft().limited if writer.faults else frozenset[int]()
        writer.faults.append(Fault(unknown=True, committed=committed, limited=limited))

    async def keep(seconds: int | None) -> None:
        writer.database.retention_us = None if seconds is None else seconds * 1_000_000

    yield Subject(writer, lose, limit, keep, writer)


@asynccontextmanager
async def _real(database: Database) -> AsyncIterator[Subject]:
    limit = AdjustableLimit()
    phases = Phases(Metrics(CollectorRegistry()).flush_seconds)
    settings = FlushSettings("pod", 60, Registrar(limit), RejectSampler(), phases)
    async with CommitProxy(database.writer_url) as proxy:
        writer = PostgresWriter(proxy.url, "analytics", settings)
        yield Subject(
            writer,
            lambda committed: proxy.break_next_commit(let_through=committed),
            limit.give,
            lambda seconds: keep_points(database.owner_url, seconds),
        )


async def _stored(subject: Subject, database: Database) -> object:
    return subject.fake.database.points if subject.fake else await count_samples(database.admin_url)


def _batch(*parts: Part) -> Batch:
    return Batch([*parts], mint_key())


def _errors(outcomes: list[Outcome]) -> list[type[Exception] | None]:
    return [type(outcome.error) if isinstance(outcome, Failed) else None for outcome in outcomes]


async def test_a_writer_that_is_not_connected_stores_nothing(subject: Subject, database: Database) -> None:
    with pytest.raises(FlushError) as failed:
        await subject.writer.flush(_batch(make_held(3).part))
    assert (failed.value.error_class, failed.value.if_committed) == (ErrorClass.CONNECTION, None)
    assert await _stored(subject, database) == 0


async def test_a_connected_writer_knows_the_length_of_a_chunk_and_keeps_house(subject: Subject) -> None:
    await subject.writer.connect()
    assert subject.writer.chunk_us == DAY_US
    await subject.writer.housekeep()


async def test_a_writer_knows_how_long_points_are_kept_and_keeping_house_tells_it_anew(subject: Subject) -> None:
    await subject.keep_points(7_200)
    await subject.writer.connect()
    for seconds in (7_200, 3_600, 86_400, None):
        await subject.keep_points(seconds)
        await subject.writer.housekeep()
        assert subject.writer.retention_us == (None if seconds is None else seconds * 1_000_000)
    await subject.keep_points(60)
    await subject.writer.connect()
    assert subject.writer.retention_us == 60_000_000


async def test_a_check_tells_whether_there_is_a_connection(subject: Subject) -> None:
    with pytest.raises(FlushError) as failed:
        await subject.writer.check()
    assert failed.value.error_class is ErrorClass.CONNECTION
    await subject.writer.connect()
    await subject.writer.check()


async def test_a_batch_is_stored_part_by_part_and_once(subject: Subject, database: Database) -> None:
    await subject.writer.connect()
    batch = _batch(make_held(3, key=mint_key(), rejected={"name_empty": 2}).part, make_held(4).part, make_held(5).part)
    assert [*await subject.writer.flush(batch)] == [Stored(3), Stored(4), Stored(5)]
    assert [*await subject.writer.flush(batch)] == [Duplicate(3, 2), Duplicate(4, 0), Duplicate(5, 0)]
    assert await _stored(subject, database) == 12


async def test_the_same_keyless_part_in_another_batch_is_stored_again(subject: Subject, database: Database) -> None:
    await subject.writer.connect()
    part = make_held(3).part
    for _ in range(2):
        assert [*await subject.writer.flush(_batch(part))] == [Stored(3)]
    assert await _stored(subject, database) == 6


async def test_a_key_is_known_in_later_batches_and_after_a_new_connection(subject: Subject, database: Database) -> None:
    await subject.writer.connect()
    key = mint_key()
    first, other = make_held(3, key=key, digest=-1), make_held(3, key=key, digest=2)
    assert [*await subject.writer.flush(_batch(first.part))] == [Stored(3)]
    await subject.writer.connect()
    outcomes = [*await subject.writer.flush(_batch(other.part, make_held(4).part))]
    assert _errors(outcomes) == [KeyReusedError, None]
    assert outcomes[1] == Stored(4)
    assert [*await subject.writer.flush(_batch(first.part))] == [Duplicate(3, 0)]
    assert await _stored(subject, database) == 7


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("committed", [False, True])
async def test_the_same_batch_again_tells_what_became_of_a_lost_commit(
    subject: Subject, database: Database, committed: bool, keyed: bool
) -> None:
    await subject.writer.connect()
    batch = _batch(make_held(3, key=mint_key() if keyed else None).part)
    subject.lose_next_commit(committed)
    with pytest.raises(FlushError) as failed:
        await subject.writer.flush(batch)
    assert failed.value.error_class is ErrorClass.CONNECTION
    assert failed.value.if_committed == (Stored(3),)
    await subject.writer.connect()
    assert [*await subject.writer.flush(batch)] == [Duplicate(3, 0) if committed else Stored(3)]
    assert await _stored(subject, database) == 3


async def test_a_part_over_the_series_limit_fails_for_now_and_alone(subject: Subject, database: Database) -> None:
    await subject.writer.connect()
    known = make_held(3).part
    await subject.writer.flush(_batch(known))
    limited = make_held(4, name="new").part
    subject.allow_series(0)
    outcomes = [*await subject.writer.flush(_batch(known, limited))]
    assert _errors(outcomes) == [None, LimitError]
    assert issubclass(LimitError, TransientError)
    subject.allow_series(math.inf)
    assert [*await subject.writer.flush(_batch(limited))] == [Stored(4)]
    assert await _stored(subject, database) == 10


async def test_a_part_left_out_of_a_lost_commit_is_a_failure_if_it_took_effect(
    subject: Subject, database: Database
) -> None:
    await subject.writer.connect()
    known, limited = make_held(3).part, make_held(4, name="new").part
    await subject.writer.flush(_batch(known))
    batch = _batch(known, limited)
    subject.allow_series(0)
    subject.lose_next_commit(True)
    with pytest.raises(FlushError) as failed:
        await subject.writer.flush(batch)
    assert failed.value.if_committed is not None
    assert _errors([*failed.value.if_committed]) == [None, LimitError]
    assert await _stored(subject, database) == 6
