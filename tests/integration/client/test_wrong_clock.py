"""A clock that is wrong, or is set while the client runs, costs no point and stores none twice."""

import time

import asyncpg
import grpc
import pytest

from ingestor.client import Client
from ingestor.client.attempts import Attempts
from ingestor.client.clock import Clock
from ingestor.client.encode import Form
from ingestor.client.key_clock import KeyClock
from ingestor.client.sender import Outcome, Sender, Verdict
from ingestor.points import Ack
from support.client import Retries, one_request, stored_points
from support.database import Database
from support.fake_ingestor import FakeIngestor, Fault
from support.service import running_service
from support.skipping_clock import SkippingClock

Code = grpc.StatusCode


@pytest.fixture
def retries() -> Retries:
    return Retries()


MINUTE_S = 60.0
AHEAD_S, BEHIND_S = 6 * MINUTE_S, -120 * MINUTE_S


class WrongClock(SkippingClock):
    """Is ``wrong_s`` ahead of the true time, which passes as its pauses do."""

    def __init__(self, wrong_s: float) -> None:
        super().__init__()
        self.wrong_s = wrong_s

    def true_ms(self) -> int:
        return super().unix_ns() // 1_000_000

    def unix_ns(self) -> int:
        return super().unix_ns() + int(self.wrong_s * 1e9)


async def send(
    fake: FakeIngestor, clock: WrongClock, retries: Retries, form: Form = Form.COLUMNS, give_up_after_s: float = 600
) -> Outcome:
    """Send one request whose key is minted by the wrong clock."""
    fake.clock_ms = clock.true_ms
    key_clock = KeyClock(clock)
    async with Sender(fake.target, clock=clock, key_clock=key_clock, give_up_after_s=give_up_after_s) as sender:
        return await sender.send(one_request(form, mint=key_clock.mint), Attempts(retries))


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(("wrong_s", "words"), [(AHEAD_S, "360 s ahead of"), (BEHIND_S, "7200 s behind")])
async def test_a_refused_key_is_made_anew_by_the_servers_time(
    fake: FakeIngestor, retries: Retries, form: Form, wrong_s: float, words: str
) -> None:
    outcome = await send(fake, WrongClock(wrong_s), retries, form)
    assert (outcome.verdict, len(fake.points), len(fake.attempts)) == (Verdict.ACKED, 1, 2)
    assert len(set(fake.attempts)) == 2
    assert f"this machine's clock is {words} the server's" in retries.messages[0]


@pytest.mark.parametrize("lost", [Fault(Code.UNAVAILABLE, stored=True), Fault(Code.DEADLINE_EXCEEDED, stored=True)])
async def test_a_key_that_may_be_stored_is_never_replaced(fake: FakeIngestor, retries: Retries, lost: Fault) -> None:
    """The server's clock is set back between the attempts: the key that it took is ahead of it for a while."""
    clock = WrongClock(0.0)
    fake.fail_next(lost)

    def sent_once(status: str, message: str) -> None:
        if not retries.statuses:
            clock.wrong_s = AHEAD_S
        retries(status, message)

    fake.clock_ms = lambda: clock.true_ms() - int(clock.wrong_s * 1_000)
    key_clock = KeyClock(clock)
    async with Sender(fake.target, clock=clock, key_clock=key_clock, give_up_after_s=600) as sender:
        outcome = await sender.send(one_request(mint=key_clock.mint), Attempts(sent_once))
    assert (outcome.verdict, outcome.duplicate, len(fake.points)) == (Verdict.ACKED, True, 1)
    assert len(set(fake.attempts)) == 1
    assert MINUTE_S <= clock.now_s <= MINUTE_S + 10


async def test_a_key_that_expired_and_may_be_stored_is_given_up_as_such(fake: FakeIngestor, retries: Retries) -> None:
    clock = WrongClock(0.0)
    fake.fail_next(Fault(Code.UNAVAILABLE))  # of a server that may have stored it, and forgot
    behind_ms = [0, -int(BEHIND_S * 1_000)]
    fake.clock_ms = lambda: clock.true_ms() + (behind_ms.pop(0) if len(behind_ms) > 1 else behind_ms[0])
    key_clock = KeyClock(clock)
    async with Sender(fake.target, clock=clock, key_clock=key_clock) as sender:
        outcome = await sender.send(one_request(mint=key_clock.mint), Attempts(retries))
    assert (outcome.verdict, outcome.status, outcome.may_be_stored) == (Verdict.GIVEN_UP, "FAILED_PRECONDITION", True)
    assert "7200 s behind" in outcome.message
    assert len(set(fake.attempts)) == 1


async def test_refusals_of_our_server_leave_the_key_replaceable(fake: FakeIngestor, retries: Retries) -> None:
    clock = WrongClock(0.0)
    times_ms = [0, 0, -int(BEHIND_S * 1_000)]
    fake.clock_ms = lambda: clock.true_ms() + (times_ms.pop(0) if len(times_ms) > 1 else times_ms[0])
    fake.fail_next(*[Fault(Code.UNAVAILABLE, retry_after_s=1.0, reason="BUFFER_FULL")] * 2)
    key_clock = KeyClock(clock)
    async with Sender(fake.target, clock=clock, key_clock=key_clock) as sender:
        outcome = await sender.send(one_request(mint=key_clock.mint), Attempts(retries))
    assert (outcome.verdict, len(fake.points), len(set(fake.attempts))) == (Verdict.ACKED, 1, 2)


async def test_a_server_that_does_not_tell_its_time_leaves_a_hint(fake: FakeIngestor, retries: Retries) -> None:
    fake.tells_time = False
    outcome = await send(fake, WrongClock(AHEAD_S), retries)
    assert (outcome.verdict, outcome.may_be_stored) == (Verdict.REFUSED, False)
    assert "this machine's clock says 2023-11-14 22:19:20 UTC" in outcome.message


async def test_servers_that_contradict_each_other_end_it_in_time(fake: FakeIngestor, retries: Retries) -> None:
    clock, calls = WrongClock(0.0), [0]

    def alternating_ms() -> int:
        calls[0] += 1
        return clock.true_ms() + (1 if calls[0] % 2 else -1) * 10_000_000

    key_clock = KeyClock(clock)
    fake.clock_ms = alternating_ms
    async with Sender(fake.target, clock=clock, key_clock=key_clock, give_up_after_s=60) as sender:
        outcome = await sender.send(one_request(mint=key_clock.mint), Attempts(retries))
    assert (outcome.verdict, outcome.may_be_stored) == (Verdict.GIVEN_UP, False)
    assert clock.now_s <= 60
    assert len(fake.attempts) < 40


class OffsetClock(Clock):
    """The machine's clock, off by what a test sets while it runs: an NTP correction, a machine that woke up."""

    def __init__(self, wrong_s: float = 0.0) -> None:
        self.wrong_s = wrong_s

    def unix_ns(self) -> int:
        return time.time_ns() + int(self.wrong_s * 1e9)


async def let_keys_expire(database: Database) -> None:
    """Make the database one that has been up for long: on a new one no key is too old."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        await connection.execute(
            "INSERT INTO analytics.ledger_beat"
            " SELECT date_trunc('minute', now()) - n * interval '1 minute' FROM generate_series(0, 70) AS n"
        )
    finally:
        await connection.close()


STEPS: dict[str, list[float]] = {
    "always ahead": [AHEAD_S] * 3,
    "always behind": [BEHIND_S] * 3,
    "corrected": [BEHIND_S, 0.0, 0.0],
    "jumps": [0.0, AHEAD_S, BEHIND_S],
    "slept": [0.0, BEHIND_S, 0.0],
}


@pytest.mark.parametrize("ack", [None, Ack.BUFFERED])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
async def test_every_point_is_stored_once_whatever_the_clock_does(
    database: Database, steps: list[float], ack: Ack | None
) -> None:
    await let_keys_expire(database)
    clock = OffsetClock()
    expected: list[tuple[float, int]] = []
    async with (
        running_service(database.writer_url) as service,
        Client(f"127.0.0.1:{service.grpc_port}", clock=clock, ack=ack, batch_points=10) as client,
    ):
        for step, clock.wrong_s in enumerate(steps):
            for number in range(50):
                await client.record("service", "metric", step * 50 + number)
            expected += [(step * 50 + number, round(clock.wrong_s)) for number in range(50)]
            await client.flush()
    rows = await stored_points(database)
    assert [row["value"] for row in sorted(rows, key=lambda row: row["value"])] == [value for value, _ in expected]
    assert client.stats().acked_points == len(expected)
    now_us = time.time_ns() // 1_000
    offsets_s = {row["value"]: (row["time_us"] - now_us) / 1e6 for row in rows}
    assert all(abs(offsets_s[value] - wrong_s) < 120 for value, wrong_s in expected)
