"""What the docs tell people to type at a server and its database, typed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.database import Database, fetch
from support.docs import ROOT, block, fill, inline, shell
from support.eventually import HANG_S
from support.service import Service, running_service

BIN = f"{Path(sys.executable).parent}/"
ADDRESS = "localhost:50051"


@pytest.fixture
async def service(database: Database) -> AsyncIterator[Service]:
    async with running_service(database.writer_url) as service:
        yield service


async def _type(script: str, **environment: str) -> str:
    return await asyncio.to_thread(shell, script, ROOT, os.environ | environment)


async def test_the_calls_of_the_first_page_store_points(service: Service, database: Database) -> None:
    output = await _type(
        fill(
            block("README.md", "Start", 1),
            {
                ".venv/bin/ingestor load": f".venv/bin/ingestor load --target 127.0.0.1:{service.grpc_port}",
                ".venv/bin/": BIN,
                "127.0.0.1:50051": f"127.0.0.1:{service.grpc_port}",
                "127.0.0.1:9090": f"127.0.0.1:{service.http_port}",
            },
        )
    )
    assert "analytics.v1.AnalyticsService" in output
    assert '"success": true' in output
    assert '"accepted_points": "1"' in output
    assert json.loads(output.splitlines()[-1])["outcomes"]["committed"] == 100_002
    rows = await fetch(database.reader_url, "SELECT value FROM metrics WHERE service_name = 'web' ORDER BY value")
    assert [row["value"] for row in rows] == [0.5, 3]


async def test_the_calls_of_the_api_page_work(service: Service) -> None:
    output = await _type(fill(block("docs/api.md", "API"), {ADDRESS: f"127.0.0.1:{service.grpc_port}"}))
    assert "rpc Write" in output
    assert "message WriteRequest" in output
    assert '"success": true' in output


async def test_the_questions_of_the_docs_have_answers(service: Service, database: Database) -> None:
    await _type(f"ingestor load --target 127.0.0.1:{service.grpc_port} --points 100000 --series 1000")
    texts = (
        block("README.md", "Query"),
        block("docs/queries.md", "Points"),
        block("docs/queries.md", "Series over time"),
    )
    statements = [statement for text in texts for statement in text.split(";") if statement.strip()]
    assert len(statements) == 6
    for statement in statements:
        assert await fetch(database.reader_url, statement), statement


async def test_the_statements_of_the_runbook_work(service: Service, database: Database) -> None:
    await _type(f"ingestor load --target 127.0.0.1:{service.grpc_port} --points 1000 --series 100")
    url = f"{database.owner_url}?options=-csearch_path%3Danalytics"
    writers = inline("docs/runbook.md", "SELECT pid, wait_event_type")
    assert await fetch(database.admin_url, writers), "nobody writes"
    assert (await fetch(url, inline("docs/runbook.md", "SELECT count(*) FROM metrics")))[0][0] == 1_000
    assert await fetch(url, inline("docs/runbook.md", "SELECT reason, field, message")) == []
    assert len(await fetch(url, inline("docs/runbook.md", "SELECT service_name, metric_name"))) == 10
    failed = await fetch(url, inline("docs/runbook.md", "SELECT * FROM timescaledb_information.job_errors"))
    assert all(row["err_message"] for row in failed), "an Apache build's own job may be among them"


async def test_the_check_of_the_runbook_finds_the_database_fit(database: Database) -> None:
    command = fill(inline("docs/runbook.md", "ingestor check "), {"URL": f"'{database.writer_url}'"})
    assert "schema analytics is at version" in await _type(command)


async def test_make_run_serves_and_ctrl_c_stops_it(database: Database) -> None:
    environment = {"INGESTOR_DATABASE_URL": database.admin_url, "INGESTOR_GRPC_PORT": "0", "INGESTOR_HTTP_PORT": "0"}
    process = await asyncio.create_subprocess_shell(
        block("README.md", "Start"),
        cwd=ROOT,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = b""
    try:
        async with asyncio.timeout(HANG_S):
            while b"Streaming this machine's metrics" not in output:
                line = await process.stdout.readline()
                assert line, output.decode()
                output += line
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output += await asyncio.wait_for(process.stdout.read(), HANG_S)
        await asyncio.wait_for(process.wait(), HANG_S)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert b"Serving gRPC on 127.0.0.1:" in output
    rows = await fetch(database.admin_url, "SELECT count(*) FROM analytics.metrics WHERE service_name = 'synthetic'")
    assert rows[0][0] == 1_000_000
