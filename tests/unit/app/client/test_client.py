"""The client sends what is recorded, ends in time, and leaves nothing behind."""

import asyncio

import pytest

from analytics.v1 import ingestor_pb2 as pb
from ingestor.client import (
    Ack,
    Client,
    ClientClosedError,
    FlushTimeoutError,
    PointsFailedError,
)
from ingestor.client.sender import Outcome, Verdict
from support.fake_sender import FakeSender, check_books
from support.skipping_clock import START_NS, SkippingClock
from support.virtual_time import run_virtually, virtual_clock

MIB = 1024 * 1024
REFUSED = Outcome(Verdict.REFUSED, status="INVALID_ARGUMENT", message="all points invalid")


def test_a_batch_is_sent_once_it_is_full_or_old() -> None:
    async def run() -> None:
        sender = FakeSender()
        async with Client("", sender=sender, batch_points=3, linger_s=2.0, clock=SkippingClock()) as client:
            for value in range(4):
                await client.record("service", "metric", value)
            await asyncio.sleep(0.1)
            assert [request.points for request in sender.requests] == [3]
            await asyncio.sleep(1.8)
            assert len(sender.requests) == 1
            await asyncio.sleep(0.2)
            assert [request.points for request in sender.requests] == [3, 1]
            assert sender.points[0] == (("service", "metric", ()), START_NS, 0.0)
            await client.record("service", "metric", 4)
            await asyncio.sleep(1.9)
            for value in range(5, 8):
                await client.record("service", "metric", value)
            await asyncio.sleep(1.9)
            assert [request.points for request in sender.requests] == [3, 1, 3]

    run_virtually(run())


def test_no_more_requests_than_allowed_are_in_flight() -> None:
    async def run() -> None:
        sender = FakeSender(takes_s=1.0)
        async with Client("", sender=sender, batch_points=1, in_flight=3, ack=Ack.BUFFERED) as client:
            for value in range(10):
                await client.record("service", "metric", value)
        assert (len(sender.requests), sender.most_in_flight) == (10, 3)
        assert {message.ack for message in sender.messages} == {pb.ACK_BUFFERED}

    run_virtually(run())


def test_a_flush_ends_in_time_and_sending_goes_on() -> None:
    async def run() -> None:
        sender = FakeSender(takes_s=5.0)
        async with Client("", sender=sender) as client:
            await client.record("service", "metric", 1)
            with pytest.raises(FlushTimeoutError) as late:
                await client.flush(2.0)
            assert (late.value.pending_points, virtual_clock()) == (1, 2.0)
            flush = asyncio.create_task(client.flush())
            await asyncio.sleep(1.0)
            flush.cancel()
            with pytest.raises(asyncio.CancelledError):
                await flush
            await client.flush()
        assert (client.stats().acked_points, len(sender.requests)) == (1, 1)

    run_virtually(run())


def test_leaving_raises_what_had_no_answer_in_time() -> None:
    async def run() -> None:
        sender = FakeSender()
        sender.hold()
        client = Client("", sender=sender, batch_points=1, in_flight=2, close_timeout_s=3.0)
        with pytest.raises(PointsFailedError) as failed:
            async with client:
                for value in range(5):
                    await client.record("service", "metric", value)
        assert {(f.status, f.points, f.may_be_stored) for f in failed.value.failures} == {
            ("CLOSED", 2, True),
            ("CLOSED", 3, False),
        }
        assert virtual_clock() == 3.0
        assert (client.stats().failed_points, client.stats().pending_bytes, sender.in_flight) == (5, 0, 0)
        check_books(client)
        with pytest.raises(ClientClosedError):
            await client.record("service", "metric", 5)
        with pytest.raises(ClientClosedError):
            await client.record_columns([client.series("s", "m")], [0], [1], [1.0])

    run_virtually(run())


def test_an_error_of_the_body_is_kept_and_what_was_recorded_is_sent() -> None:
    async def run() -> None:
        sender = FakeSender(takes_s=1.0)
        sender.end_next(REFUSED)
        with pytest.raises(KeyError) as raised:
            async with Client("", sender=sender, batch_points=1) as client:
                await client.record("service", "metric", 1)
                await client.record("service", "metric", 2)
                raise KeyError("the body's")
        assert "1 points in 1 requests: INVALID_ARGUMENT" in raised.value.__notes__[0]
        assert client.stats().acked_points == 1

    run_virtually(run())


def test_cancelling_the_body_still_sends_what_was_recorded_and_a_second_time_ends_it() -> None:
    async def body(client: Client) -> None:
        async with client:
            await client.record("service", "metric", 1)
            await asyncio.sleep(3_600)

    async def run(cancels: int) -> Client:
        client = Client("", sender=FakeSender(takes_s=10.0))
        task = asyncio.create_task(body(client))
        for _ in range(cancels):
            await asyncio.sleep(1.0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        check_books(client)
        return client

    assert run_virtually(run(1)).stats().acked_points == 1
    assert run_virtually(run(2)).stats().failed_points == 1


def test_a_loop_that_never_waits_lets_requests_go_out() -> None:
    async def run() -> None:
        sender = FakeSender()
        async with Client("", sender=sender, batch_points=100) as client:
            series = client.series("service", "metric")
            for value in range(1_000):
                await series.record(value)
            assert len(sender.requests) >= 9

    run_virtually(run())


def test_bad_input_is_refused_and_leaves_the_client_as_it_was() -> None:
    async def run() -> None:
        sender = FakeSender()
        async with Client("", sender=sender) as client:
            series = client.series("service", "metric", {"b": "2", "a": "1"})
            assert client.series("service", "metric", {"a": "1", "b": "2"}) is series
            bad: list[tuple[object, object]] = [("1", None), (None, None), (1.0, "2"), (1.0, 2**63), (10**400, None)]
            for value, time_ns in bad:
                with pytest.raises((TypeError, OverflowError)):
                    await series.record(value, time_ns=time_ns)  # type: ignore[arg-type]
            for names in [("", "metric"), ("service", ""), ("service", "\ud800")]:
                with pytest.raises(ValueError, match=r"empty|encode"):
                    client.series(*names)
            with pytest.raises(ValueError, match="at most"):
                client.series("service", "metric", {"label": "x" * 2 * MIB})
            with pytest.raises(ValueError, match="equal lengths"):
                await client.record_columns([series], [0, 0], [1], [1.0])
            with pytest.raises(ValueError, match="from 0 to 0"):
                await client.record_columns([series], [1], [1], [1.0])
            with pytest.raises(TypeError):
                await client.record_columns([series], [0.5], [1], [1.0])
            assert client.stats().recorded_points == client.stats().pending_bytes == 0
            await series.record(1)
        assert len(sender.points) == 1

    run_virtually(run())


@pytest.mark.parametrize(
    "options",
    [{"batch_points": 0}, {"batch_points": 50_001}, {"in_flight": 0}, {"max_pending_bytes": 1}]
    + [{"give_up_after_s": s} for s in (0, 3_600)]
    + [{"linger_s": -1}],
)
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        Client("", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"ack": "buffered"}, {"on_failure": asyncio.sleep}, {"on_rejected": "log"}])
def test_options_that_would_fail_later_are_refused_at_once(options: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="must be"):
        Client("", sender=FakeSender(), **options)  # type: ignore[arg-type]


def test_points_are_recorded_inside_the_block_only() -> None:
    async def run() -> None:
        client = Client("", sender=FakeSender())
        with pytest.raises(ClientClosedError):
            await client.record("service", "metric", 1)
        async with client:
            pass
        with pytest.raises(RuntimeError, match="once"):
            await client.__aenter__()

    run_virtually(run())
