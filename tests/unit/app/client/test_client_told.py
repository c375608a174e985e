"""The client tells what became of every point, once, and nobody who listens can stop it."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from analytics.v1 import ingestor_pb2 as pb
from ingestor.client import (
    Client,
    ClientClosedError,
    Failure,
    PointsFailedError,
    RejectedPoint,
)
from ingestor.client.sender import Outcome, Verdict
from support.fake_sender import FakeSender, check_books
from support.skipping_clock import SkippingClock
from support.virtual_time import run_virtually, virtual_clock

REFUSED = Outcome(Verdict.REFUSED, status="INVALID_ARGUMENT", message="all points invalid")
GIVEN_UP = Outcome(Verdict.GIVEN_UP, status="UNAVAILABLE", message="nobody there", may_be_stored=True)
REJECTED = Outcome(
    Verdict.ACKED,
    accepted_points=1,
    rejected_points=1,
    first_rejection="time_too_far_behind: too old",
    rejections=[pb.Rejection(point_index=1, reason="time_too_far_behind", message="too old")],
)


def test_a_failed_request_is_told_once_and_stops_no_other() -> None:
    async def run() -> None:
        sender, told = FakeSender(), list[Failure]()
        sender.end_next(
            REFUSED, GIVEN_UP, Outcome(Verdict.GIVEN_UP, status="INTERNAL", may_be_stored=True), RuntimeError("a bug")
        )
        async with Client("", sender=sender, batch_points=2, in_flight=1, on_failure=told.append) as client:
            for value in range(12):
                await client.record("service", "metric", value)
            with pytest.raises(PointsFailedError, match="all points invalid") as failed:
                await client.flush()
            await client.record("service", "metric", 12)
            await client.flush()
            check_books(client)
        assert [(f.status, f.points, f.may_be_stored) for f in failed.value.failures] == [
            ("INVALID_ARGUMENT", 2, False),
            ("UNAVAILABLE", 2, True),
            ("INTERNAL", 2, True),
            ("CLIENT_FAULT", 2, True),
        ]
        assert tuple(told) == failed.value.failures
        assert (client.stats().failed_points, client.stats().acked_points) == (8, 5)

    run_virtually(run())


def test_flushes_that_overlap_are_all_told() -> None:
    async def run() -> None:
        sender = FakeSender(takes_s=1.0)
        sender.end_next(REFUSED)
        async with Client("", sender=sender) as client:
            await client.record("service", "metric", 1)
            ends = await asyncio.gather(client.flush(), client.flush(), return_exceptions=True)
            assert [type(end) for end in ends] == [PointsFailedError] * 2
            await client.flush()

    run_virtually(run())


def test_whoever_cancels_all_tasks_is_told_what_failed() -> None:
    async def run() -> None:
        sender = FakeSender(takes_s=10.0)
        with pytest.raises(PointsFailedError):
            async with Client("", sender=sender) as client:
                await client.record("service", "metric", 1)
                await asyncio.sleep(2.0)
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
                await client.record("service", "metric", 2)
                await asyncio.sleep(0.5)
                with pytest.raises(ClientClosedError):
                    await client.record("service", "metric", 3)
        assert (virtual_clock(), client.stats().failed_points, client.stats().pending_bytes) == (2.5, 2, 0)
        check_books(client)

    run_virtually(run())


def test_rejected_points_are_named() -> None:
    async def run() -> None:
        sender, told = FakeSender(), list[tuple[int, Sequence[RejectedPoint]]]()
        sender.end_next(REJECTED)
        async with Client("", sender=sender, on_rejected=lambda count, first: told.append((count, first))) as client:
            await client.record("service", "good", 1.0)
            await client.record("service", "bad", 2.0, labels={"b": "2", "a": "1"}, time_ns=77)
            await client.flush()
        ((count, (first,)),) = told
        assert (count, first.reason, first.time_ns, first.value) == (1, "time_too_far_behind", 77, 2.0)
        assert (first.series.metric_name, first.series.labels) == ("bad", (("a", "1"), ("b", "2")))
        assert (client.stats().rejected_points, client.stats().acked_points) == (1, 1)

    run_virtually(run())


def test_an_answer_that_does_not_add_up_is_no_success() -> None:
    async def run() -> None:
        sender = FakeSender()
        sender.end_next(Outcome(Verdict.ACKED, accepted_points=1))
        async with Client("", sender=sender) as client:
            await client.record("service", "metric", 1)
            await client.record("service", "metric", 2)
            with pytest.raises(PointsFailedError, match="MISCOUNTED"):
                await client.flush()

    run_virtually(run())


def test_functions_that_fail_stop_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the caller's")

    async def run() -> None:
        sender = FakeSender()
        sender.end_next(REFUSED, REJECTED)
        client = Client("", sender=sender, batch_points=2, in_flight=1, on_failure=fail, on_rejected=fail)
        with pytest.raises(PointsFailedError):
            async with client:
                for value in range(6):
                    await client.record("service", "metric", value)
        assert (client.stats().failed_points, client.stats().rejected_points, client.stats().acked_points) == (2, 1, 3)

    run_virtually(run())
    assert sum("was given failed" in record.message for record in caplog.records) == 2


def test_the_log_has_a_line_now_and_then_with_counts(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        sender, clock = FakeSender(), SkippingClock()
        sender.end_next(*[REFUSED] * 5)
        with pytest.raises(PointsFailedError):
            async with Client("", sender=sender, batch_points=2, clock=clock) as client:
                for value in range(10):
                    await client.record("service", "metric", value)

    run_virtually(run())
    lines = [record for record in caplog.records if record.levelno == logging.ERROR]
    told = "points failed: {0}, the last: 2 points in 1 requests: INVALID_ARGUMENT (all points invalid), not stored"
    assert [record.message for record in lines] == [told.format(2), told.format(8)]
    assert [record.__dict__["count"] for record in lines] == [2, 8]
