"""Batching loses, doubles and reorders nothing within a series, whatever is recorded how and when."""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.client import Client
from ingestor.client.batch import BATCH_BYTES
from support.fake_sender import FakeSender, Identity
from support.virtual_time import run_virtually

MIB = 1024 * 1024
VALUES = st.one_of(st.floats(), st.integers(-(2**53), 2**53))
NUMBERS = st.integers(0, 5)
TIMES = st.integers(1, 2**63 - 1)
POINT = st.tuples(NUMBERS, TIMES, VALUES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("one"), POINT.map(lambda point: [point])),
        st.tuples(st.just("try"), POINT.map(lambda point: [point])),
        st.tuples(st.just("columns"), st.lists(POINT, max_size=40)),
        st.tuples(st.just("pause"), st.just([])),
        st.tuples(st.just("flush"), st.just([])),
    ),
    max_size=25,
)
Steps = list[tuple[str, list[tuple[int, int, float]]]]


def identity(number: int) -> Identity:
    """Series 5 has labels of which four fill a request."""
    size = BATCH_BYTES // 4 if number == 5 else number
    return "service", f"metric-{number}", (("label", "x" * size),)


async def take(client: Client, kind: str, points: list[tuple[int, int, float]]) -> None:
    if kind == "pause":
        await asyncio.sleep(2.0)
    elif kind == "flush":
        await client.flush()
    elif kind == "columns":
        series = [client.series(*identity(number)[:2], dict(identity(number)[2])) for number in range(6)]
        columns = ([p[0] for p in points], [p[1] for p in points], [p[2] for p in points])
        await client.record_columns(series, *(np.array(column) for column in columns))
    for number, time_ns, value in points if kind in {"one", "try"} else []:
        service, metric, labels = identity(number)
        if kind == "one":
            await client.record(service, metric, value, labels=dict(labels), time_ns=time_ns)
        else:
            assert client.try_record(service, metric, value, labels=dict(labels), time_ns=time_ns)


def by_series(points: Iterable[tuple[Identity, int, float]]) -> dict[Identity, list[tuple[int, bytes]]]:
    found: dict[Identity, list[tuple[int, bytes]]] = defaultdict(list)
    for series, time_ns, value in points:
        found[series].append((time_ns, struct.pack("<d", value)))
    return found


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, batch_points=st.integers(1, 30), in_flight=st.integers(1, 4))
def test_every_series_arrives_as_it_was_recorded(steps: Steps, batch_points: int, in_flight: int) -> None:
    async def run() -> None:
        sender = FakeSender(takes_s=0.1)
        client = Client("", sender=sender, batch_points=batch_points, in_flight=in_flight)
        async with client:
            for kind, points in steps:
                await take(client, kind, points)
        recorded = [(identity(number), time, value) for _, points in steps for number, time, value in points]
        assert by_series(sender.points) == by_series(recorded)
        assert all(request.points <= batch_points for request in sender.requests)
        assert all(len(request.payload) <= BATCH_BYTES + 1_000 for request in sender.requests)
        assert len({message.idempotency_key for message in sender.messages}) == len(sender.requests)
        stats = client.stats()
        assert stats.recorded_points == stats.acked_points == len(recorded)
        assert stats.pending_bytes == 0

    run_virtually(run())


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(0, 1_500), min_size=2, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_concurrent_callers_that_wait_for_room_keep_their_order(sizes: list[int], seed: int) -> None:
    async def run() -> None:
        sender = FakeSender(takes_s=0.1)
        random = np.random.default_rng(seed)
        async with Client("", sender=sender, batch_points=500, in_flight=2, max_pending_bytes=4 * MIB) as client:

            async def record(name: str, size: int) -> None:
                # 300 kB of labels: a dozen of them fill the room.
                series = client.series("service", name, {"label": "x" * 300_000})
                start = 0
                while start < size:
                    await asyncio.sleep(float(random.choice([0.0, 0.05, 2.0])))
                    end = min(size, start + int(random.integers(1, 200)))
                    numbers = np.arange(start + 1, end + 1)
                    if random.random() < 0.5:
                        await client.record_columns([series], np.zeros(len(numbers), np.int64), numbers, numbers)
                    else:
                        for number in numbers.tolist():
                            await series.record(number, time_ns=number)
                    start = end

            async with asyncio.TaskGroup() as tasks:
                for number, size in enumerate(sizes):
                    tasks.create_task(record(f"m{number}", size))
        assert max((request.points for request in sender.requests), default=0) <= 500
        arrived = by_series(sender.points)
        for number, size in enumerate(sizes):
            series = "service", f"m{number}", (("label", "x" * 300_000),)
            assert [time_ns for time_ns, _ in arrived[series]] == list(range(1, size + 1))
        assert client.stats().pending_bytes == 0

    run_virtually(run())


def test_long_series_in_columns_are_cut_to_requests_that_a_server_takes() -> None:
    async def run() -> None:
        sender = FakeSender()
        async with Client("", sender=sender) as client:
            series = [client.series("s", f"m{n}", {"label": "x" * 30_000}) for n in range(300)]
            index = np.arange(900) % 300
            await client.record_columns(series, index, np.arange(1, 901), np.arange(900.0))
        assert [value for _, _, value in sender.points] == list(range(900))
        assert max(len(request.payload) for request in sender.requests) < BATCH_BYTES + 1_000
        assert len(sender.requests) == pytest.approx(900 * 30_000 / BATCH_BYTES, abs=2)

    run_virtually(run())
