"""One trace from a client to COMMIT, as a real OTLP receiver gets it; and a collector that is away harms nothing."""

import asyncio
import itertools
import json
import time
from pathlib import Path

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1 import trace_pb2

from ingestor.propagation import inject
from support.database import Database
from support.eventually import eventually
from support.otlp_collector import OtlpCollector, Span, attributes_of, otlp_collector
from support.points import columns, key_bytes, rows
from support.proxy import CommitProxy
from support.scrape import scrape, value_of
from support.service import client_of, http_status, service_process
from support.spans import SpanRecorder

WRITE = "analytics.v1.AnalyticsService/Write"
PHASES = ["INSERT series", "INSERT ledger", "COPY samples", "COMMIT"]
SDK_WAITS_S = 30
"""How long OpenTelemetry's SDK would wait by itself for a collector that is away."""
ERROR = trace_pb2.Status.STATUS_CODE_ERROR


def _within(inner: Span, outer: Span) -> bool:
    return (
        outer.start_time_unix_nano <= inner.start_time_unix_nano <= inner.end_time_unix_nano <= outer.end_time_unix_nano
    )


def _lines(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


async def _wait_for_calls(collector: OtlpCollector, count: int) -> None:
    await eventually(lambda: len(collector.named(WRITE)) == count)


async def test_one_write_is_one_trace_from_the_client_to_its_commit(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=metrics")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "metrics-in")
    client_span = SpanRecorder().start("client")
    async with (
        otlp_collector() as collector,
        service_process(
            database.writer_url,
            tmp_path / "log",
            traces_endpoint=collector.endpoint,
            traces_sample_ratio=0,
            pod_name="pod-0",
        ) as service,
        client_of(service.grpc_port) as client,
    ):
        await client.write(rows([1.0]))
        with trace.use_span(client_span):
            await client.write(columns(100), inject())
        await _wait_for_calls(collector, 1)
        assert await service.terminate() == 0
    (call,) = collector.named(WRITE)
    (flush,) = collector.named("flush")
    context = client_span.get_span_context()
    assert call.trace_id.hex() == trace.format_trace_id(context.trace_id)
    assert call.parent_span_id.hex() == trace.format_span_id(context.span_id)
    assert attributes_of(call)["ingestor.points.accepted"] == 100
    assert [link.span_id for link in flush.links] == [call.span_id]
    assert [link.span_id for link in call.links] == [flush.span_id]
    assert flush.trace_id != call.trace_id
    assert _within(flush, call)
    children = collector.children(flush)
    assert [child.name for child in children] == PHASES
    assert all(_within(child, flush) for child in children)
    assert all(a.end_time_unix_nano <= b.start_time_unix_nano for a, b in itertools.pairwise(children))
    assert len(collector.spans) == 2 + len(PHASES)
    assert collector.metadata["x-tenant"] == "metrics"
    assert collector.resource["service.name"] == "metrics-in"
    assert collector.resource["service.instance.id"] == "pod-0"
    assert collector.resource["deployment.environment.name"] == "test"


async def test_a_commit_of_unknown_outcome_shows_in_the_trace_and_its_log_line_has_the_ids(
    database: Database, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with (
        otlp_collector() as collector,
        CommitProxy(database.writer_url) as proxy,
        service_process(proxy.url, log, traces_endpoint=collector.endpoint, traces_sample_ratio=1) as service,
        client_of(service.grpc_port) as client,
    ):
        await client.write(columns(1))
        proxy.break_next_commit(let_through=True)
        await client.write(columns(10, key=key_bytes()))
        await _wait_for_calls(collector, 2)
        await service.terminate()
    call = collector.named(WRITE)[1]
    lost, repeat = collector.named("flush")[1:]
    assert [[link.span_id for link in flush.links] for flush in (lost, repeat)] == [[call.span_id]] * 2
    assert [link.span_id for link in call.links] == [lost.span_id, repeat.span_id]
    assert (lost.status.code, repeat.status.code) == (ERROR, trace_pb2.Status.STATUS_CODE_UNSET)
    assert attributes_of(lost)["ingestor.flush.outcome_unknown"] is True
    assert attributes_of(repeat)["ingestor.flush.repeated"] is True
    assert [child.name for child in collector.children(lost) if child.status.code == ERROR] == ["COMMIT"]
    (line,) = [line for line in _lines(log) if line["message"] == "flush failed, will retry"]
    assert (line["trace_id"], line["span_id"]) == (lost.trace_id.hex(), lost.span_id.hex())


async def test_two_calls_with_one_key_are_both_linked_with_the_flush_that_stored_it(
    database: Database, tmp_path: Path
) -> None:
    request = columns(10, key=key_bytes())
    async with (
        otlp_collector() as collector,
        service_process(
            database.writer_url,
            tmp_path / "log",
            traces_endpoint=collector.endpoint,
            traces_sample_ratio=1,
            flush_interval_s=1.5,
        ) as service,
        client_of(service.grpc_port) as client,
    ):
        await client.write(columns(1))  # the next flush waits for its interval, so both meet in it
        await asyncio.gather(client.write(request), client.write(request))
        await service.terminate()
    calls = collector.named(WRITE)[1:]
    flush = collector.named("flush")[1]
    assert sorted(attributes_of(call)["ingestor.duplicate"] is True for call in calls) == [False, True]
    assert {link.span_id for link in flush.links} == {call.span_id for call in calls}
    assert all([link.span_id for link in call.links] == [flush.span_id] for call in calls)


async def test_a_refused_call_is_recorded_with_its_reason(database: Database, tmp_path: Path) -> None:
    async with (
        otlp_collector() as collector,
        service_process(
            database.writer_url, tmp_path / "log", traces_endpoint=collector.endpoint, traces_sample_ratio=1
        ) as service,
        client_of(service.grpc_port) as client,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await client.write(b"\xff")
        await service.terminate()
    (call,) = collector.named(WRITE)
    assert collector.resource["service.name"] == "analytics-ingestor"
    told = attributes_of(call)
    assert told["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert told["ingestor.reason"]
    assert call.status.code == trace_pb2.Status.STATUS_CODE_UNSET


async def test_a_collector_that_is_away_harms_neither_calls_nor_logs_nor_the_end(
    database: Database, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with otlp_collector() as gone:
        endpoint = gone.endpoint
    async with (
        service_process(database.writer_url, log, traces_endpoint=endpoint, traces_sample_ratio=1) as service,
        client_of(service.grpc_port) as client,
    ):
        for _ in range(40):
            await asyncio.gather(*(client.write(rows([1.0])) for _ in range(16)))
        await eventually(lambda: "opentelemetry" in log.read_text())
        assert await http_status(service.http_port, "/readyz") == 200
        held = value_of(await scrape(service.http_port), "ingestor_points_held")
        started = time.monotonic()
        assert await service.terminate() == 0
        stopped_s = time.monotonic() - started
    assert held == 0
    assert stopped_s < SDK_WAITS_S
    told = [line for line in _lines(log) if str(line["logger"]).startswith("opentelemetry")]
    assert [line["level"] for line in told] == ["warning"]
