"""A request is sent with one key until it is answered, refused for good, or time is up."""

import random
from collections.abc import AsyncIterator

import grpc
import pytest

from ingestor.client.attempts import Attempts, Status
from ingestor.client.encode import Form
from ingestor.client.sender import Sender, Verdict, retry_delay_s
from ingestor.points import Ack
from support.client import Retries, one_request
from support.fake_ingestor import FakeIngestor, Fault
from support.skipping_clock import SkippingClock

Code = grpc.StatusCode


@pytest.fixture
def clock() -> SkippingClock:
    return SkippingClock()


@pytest.fixture
def retries() -> Retries:
    return Retries()


@pytest.fixture
async def sender(fake: FakeIngestor, clock: SkippingClock) -> AsyncIterator[Sender]:
    async with Sender(fake.target, give_up_after_s=20, clock=clock, jitter=random.Random(1)) as sender:
        yield sender


@pytest.mark.parametrize("form", Form)
async def test_an_answer_ends_the_request(fake: FakeIngestor, sender: Sender, retries: Retries, form: Form) -> None:
    outcome = await sender.send(one_request(form, Ack.BUFFERED), Attempts(retries))
    assert (outcome.verdict, outcome.accepted_points, outcome.duplicate) == (Verdict.ACKED, 1, False)
    assert [point.metric_name for point in fake.points] == ["metric"]
    assert fake.acks == ["buffered" if form is Form.SINGLE else "ACK_BUFFERED"]
    assert retries.statuses == []


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED])
async def test_a_retry_carries_the_same_key(
    fake: FakeIngestor, sender: Sender, retries: Retries, code: Code, form: Form
) -> None:
    fake.fail_next(Fault(code), Fault(code))
    outcome = await sender.send(one_request(form), Attempts(retries))
    assert outcome.verdict is Verdict.ACKED
    assert len(fake.attempts) == 3
    assert len(set(fake.attempts)) == 1
    assert retries.statuses == [code.name] * 2


async def test_a_lost_reply_is_answered_as_duplicate(fake: FakeIngestor, sender: Sender, retries: Retries) -> None:
    fake.fail_next(Fault(stored=True))
    outcome = await sender.send(one_request(), Attempts(retries))
    assert outcome.duplicate
    assert len(fake.points) == 1


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED])
async def test_the_advised_pause_is_kept(
    fake: FakeIngestor, sender: Sender, retries: Retries, clock: SkippingClock, code: Code
) -> None:
    fake.fail_next(Fault(code, retry_after_s=3.25))
    outcome = await sender.send(one_request(), Attempts(retries))
    assert outcome.verdict is Verdict.ACKED
    assert clock.pauses_s == [3.25]


async def test_without_advice_pauses_grow_with_jitter(
    fake: FakeIngestor, sender: Sender, retries: Retries, clock: SkippingClock
) -> None:
    fake.fail_next(*[Fault()] * 5)
    await sender.send(one_request(), Attempts(retries))
    assert len(clock.pauses_s) == 5
    for attempt, pause_s in enumerate(clock.pauses_s, start=1):
        assert retry_delay_s(attempt) / 2 <= pause_s <= retry_delay_s(attempt)


FINAL = [
    (Code.RESOURCE_EXHAUSTED, Verdict.REFUSED),
    (Code.INVALID_ARGUMENT, Verdict.REFUSED),
    (Code.FAILED_PRECONDITION, Verdict.REFUSED),
    (Code.UNIMPLEMENTED, Verdict.REFUSED),
    (Code.INTERNAL, Verdict.GIVEN_UP),
    (Code.UNKNOWN, Verdict.GIVEN_UP),
]


@pytest.mark.parametrize(("code", "verdict"), FINAL)
async def test_other_statuses_are_final(
    fake: FakeIngestor, sender: Sender, retries: Retries, code: Code, verdict: Verdict
) -> None:
    fake.fail_next(Fault(code))
    outcome = await sender.send(one_request(), Attempts(retries))
    assert (outcome.verdict, outcome.status, outcome.message) == (verdict, code.name, "as told")
    assert outcome.may_be_stored is (verdict is Verdict.GIVEN_UP)
    assert len(fake.attempts) == 1


@pytest.mark.parametrize("code", [Code.FAILED_PRECONDITION, Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED])
async def test_a_refusal_after_a_lost_reply_leaves_the_outcome_unknown(
    fake: FakeIngestor, sender: Sender, retries: Retries, code: Code
) -> None:
    fake.fail_next(Fault(stored=True), Fault(code))
    outcome = await sender.send(one_request(), Attempts(retries))
    assert (outcome.verdict, outcome.status, outcome.may_be_stored) == (Verdict.GIVEN_UP, code.name, True)
    assert len(set(fake.attempts)) == 1


async def test_time_up_ends_the_retries(
    fake: FakeIngestor, sender: Sender, retries: Retries, clock: SkippingClock
) -> None:
    fake.always = Fault(retry_after_s=6.0)
    outcome = await sender.send(one_request(), Attempts(retries))
    assert (outcome.verdict, outcome.status) == (Verdict.GIVEN_UP, "UNAVAILABLE")
    assert clock.now_s == 18.0


async def test_a_server_that_never_answers_meets_the_deadline(fake: FakeIngestor, retries: Retries) -> None:
    fake.always = Fault(hangs=True)
    async with Sender(fake.target, give_up_after_s=0.2) as sender:
        outcome = await sender.send(one_request(), Attempts(retries))
    assert (outcome.verdict, outcome.status) == (Verdict.GIVEN_UP, "DEADLINE_EXCEEDED")


async def test_rejected_points_are_reported_with_the_first_reason(
    fake: FakeIngestor, sender: Sender, retries: Retries
) -> None:
    fake.rejected_per_request = 1
    outcome = await sender.send(one_request(), Attempts(retries))
    assert (outcome.accepted_points, outcome.rejected_points) == (0, 1)
    assert outcome.first_rejection == "time_too_far_ahead: too late (points[0])"


def test_exhaustion_is_retried_only_where_a_pause_is_advised() -> None:
    assert Status(Code.RESOURCE_EXHAUSTED, "", advised_s=0.0).is_retryable
    assert not Status(Code.RESOURCE_EXHAUSTED, "").is_retryable
