"""A whole run: what the report says was acknowledged is what the server has, once."""

import asyncio
import io
import socket
import time

import grpc
import pytest
from rich.console import Console

from ingestor.client.encode import Form
from ingestor.load.options import LoadOptions
from ingestor.load.runner import run_load
from support.eventually import eventually
from support.fake_ingestor import FakeIngestor, Fault
from support.skipping_clock import SkippingClock

BATCHES = {Form.COLUMNS: 50, Form.ROWS: 50, Form.SINGLE: 1}


@pytest.mark.parametrize("form", Form)
async def test_every_point_is_stored_once_whatever_goes_wrong(fake: FakeIngestor, form: Form) -> None:
    fake.fail_next(
        Fault(retry_after_s=0.02),
        Fault(stored=True),
        Fault(grpc.StatusCode.CANCELLED, stored=True),
        Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=0.02),
    )
    report = await run_load(
        LoadOptions(target=fake.target, form=form, points=400, series=20, points_per_request=BATCHES[form])
    )
    (phase,) = report.phases
    assert (phase.name, phase.totals.acked_points, report.exit_code) == ("synthetic", 400, 0)
    assert len({(p.metric_name, p.labels, p.time_ns) for p in fake.points}) == len(fake.points) == 400
    assert phase.totals.retries == 4
    assert phase.totals.duplicate_points == (0 if form is Form.SINGLE else 2 * BATCHES[form])


async def test_all_forms_carry_the_same_points(fake: FakeIngestor) -> None:
    stored = []
    for form in Form:
        fake.stored.clear()
        await run_load(
            LoadOptions(target=fake.target, form=form, points=60, series=20, points_per_request=min(BATCHES[form], 15))
        )
        stored.append({(p.service_name, p.metric_name, p.labels, p.value) for p in fake.points})
    assert stored[0] == stored[1] == stored[2]


async def test_in_flight_is_bounded(fake: FakeIngestor) -> None:
    fake.delay_s = 0.01
    await run_load(
        LoadOptions(target=fake.target, form=Form.ROWS, points=300, series=10, points_per_request=10, in_flight=3)
    )
    assert fake.most_in_flight == 3


async def test_a_rate_is_kept(fake: FakeIngestor) -> None:
    options = LoadOptions(target=fake.target, points=200, series=10, points_per_request=10, rate=500)
    report = await run_load(options, clock=SkippingClock())
    assert report.phases[0].elapsed_s == pytest.approx(190 / 500)


async def test_when_time_is_up_every_request_is_answered_and_counted(fake: FakeIngestor) -> None:
    fake.delay_s = 0.15
    options = LoadOptions(
        target=fake.target,
        form=Form.ROWS,
        points=100_000_000,
        series=10_000,
        points_per_request=10,
        rate=2_000,
        duration_s=0.6,
        run="1f",
    )
    started_s = time.monotonic()
    report = await run_load(options)
    assert time.monotonic() - started_s >= 0.6
    (phase,) = report.phases
    assert not report.interrupted
    assert 0 < phase.totals.sent_points == phase.totals.acked_points == len(fake.points) < options.points
    assert {point.service_name for point in fake.points} == {phase.service_name} == {"synthetic-1f"}


async def test_an_outage_shows_as_the_longest_pause(fake: FakeIngestor) -> None:
    fake.fail_next(Fault(retry_after_s=0.8))
    options = LoadOptions(target=fake.target, points=400, series=10, points_per_request=10, rate=1_000, in_flight=1)
    report = await run_load(options, clock=SkippingClock())
    (phase,) = report.phases
    assert phase.totals.acked_points == 400
    assert 0.8 <= phase.totals.pauses.longest_s < 2.0


async def test_a_burst_comes_before_the_machines_metrics(fake: FakeIngestor) -> None:
    options = LoadOptions(target=fake.target, points=100, series=10, machine=True, interval_s=0.05, service_name="here")
    stop = asyncio.Event()
    running = asyncio.create_task(run_load(options, stop=stop))
    await eventually(lambda: len(fake.points) > options.points)
    stop.set()
    report = await running
    assert [phase.name for phase in report.phases] == ["synthetic", "machine"]
    assert all(phase.totals.acked_points > 0 for phase in report.phases)
    assert report.acked_points == len(fake.points)
    names = [point.metric_name for point in fake.points]
    assert names[0].startswith("synthetic.")
    assert "system.memory.usage" in names
    assert {point.service_name for point in fake.points} == {"here"}


async def test_nobody_there_is_a_failure(unused_port: int) -> None:
    report = await run_load(LoadOptions(target=f"127.0.0.1:{unused_port}", points=10, series=10, give_up_after_s=0.3))
    (phase,) = report.phases
    assert report.exit_code == 1
    ((status, lost),) = phase.totals.given_up.items()
    assert status in ("UNAVAILABLE", "DEADLINE_EXCEEDED")  # which, the last attempt's time decides
    assert lost.points == 10


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_refused_points_are_counted_by_status(fake: FakeIngestor) -> None:
    fake.fail_next(Fault(grpc.StatusCode.INVALID_ARGUMENT))
    report = await run_load(LoadOptions(target=fake.target, points=30, series=10, points_per_request=10))
    totals = report.phases[0].totals
    assert totals.refused["INVALID_ARGUMENT"].points == 10
    assert totals.acked_points == 20
    assert report.exit_code == 1


async def test_stopping_ends_the_stream_and_keeps_what_was_acknowledged(fake: FakeIngestor) -> None:
    stop = asyncio.Event()
    options = LoadOptions(target=fake.target, points=0, machine=True, interval_s=0.02)
    running = asyncio.create_task(run_load(options, stop=stop))
    await fake.until_attempts(3)
    stop.set()
    report = await running
    assert report.interrupted
    assert report.exit_code == 0
    assert report.acked_points == len(fake.points)


async def test_stopping_before_an_answer_says_what_is_unknown(fake: FakeIngestor) -> None:
    fake.always = Fault(hangs=True)
    stop = asyncio.Event()
    options = LoadOptions(
        target=fake.target, points=100, series=10, points_per_request=10, in_flight=4, machine=True, drain_s=0.05
    )
    running = asyncio.create_task(run_load(options, stop=stop))
    await fake.until_attempts(4)
    stop.set()
    report = await running
    (phase,) = report.phases
    assert phase.totals.unanswered_points == phase.totals.sent_points == 40
    assert report.exit_code == 0


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_terminal_sees_a_bar(fake: FakeIngestor, terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160)
    fake.fail_next(Fault(retry_after_s=0.3))
    await run_load(LoadOptions(target=fake.target, points=2_000, series=100, points_per_request=100), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("acked 2,000" in text and "1 retries" in text) if terminal else text == ""
