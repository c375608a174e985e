"""``ingestor serve`` as a process: wrong settings, taken ports, signals."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from support.database import Database, PrivateServer
from support.eventually import HANG_S
from support.load import load
from support.obstacles import locked
from support.points import columns, count_samples
from support.service import http_status, service_process

URL = {"INGESTOR_DATABASE_URL": "postgresql://writer@database/metrics"}
BASE = {"INGESTOR_GRPC_HOST": "127.0.0.1", "INGESTOR_HTTP_HOST": "127.0.0.1", "INGESTOR_HTTP_PORT": "0"}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "INGESTOR_DATABASE_URL: Field required"),
        ({"INGESTOR_DATABASE_URL": ""}, "INGESTOR_DATABASE_URL: the database URL is empty"),
        ({"INGESTOR_DATABASE_URL": "postgresql:///metrics"}, "INGESTOR_DATABASE_URL: the database URL names no host"),
        ({**URL, "INGESTOR_ACK": "maybe"}, "INGESTOR_ACK: Input should be 'committed' or"),
        ({**URL, "INGESTOR_BATCH_ROWS": "60000"}, "batch_max_rows must not be below batch_rows"),
        ({**URL, "INGESTOR_GRPC_PORT": "70000"}, "INGESTOR_GRPC_PORT: Input should be less"),
        ({**URL, "INGESTOR_DATABASE_SCHEMA": 'a"b'}, "INGESTOR_DATABASE_SCHEMA: "),
    ],
)
async def test_wrong_settings_stop_it_with_one_line_that_names_them(variables: dict[str, str], told: str) -> None:
    code, errors = await _serve(variables)
    assert code == 1
    assert told in errors
    assert errors.count("\n") == 1


async def test_a_taken_port_is_one_clear_line(database: Database, tmp_path: Path) -> None:
    async with service_process(database.writer_url, tmp_path / "log") as running:
        variables = {**BASE, "INGESTOR_DATABASE_URL": database.writer_url, "INGESTOR_GRPC_PORT": str(running.grpc_port)}
        code, errors = await _serve(variables)
    assert code == 1
    assert f"can't listen on 127.0.0.1:{running.grpc_port}: another process has the port" in errors
    assert "Traceback" not in errors


async def test_a_second_signal_exits_at_once(private_server: PrivateServer, tmp_path: Path) -> None:
    url = private_server.database.writer_url
    async with service_process(url, tmp_path / "log", ack="buffered", shutdown_grace_s=2 * HANG_S) as service:
        await private_server.server.stop()
        async with load(service.grpc_port, lambda: columns(10), in_flight=1) as told:
            async with asyncio.timeout(HANG_S):
                while not told.acked_points:
                    await asyncio.sleep(0.01)
        service.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(HANG_S):
            while await http_status(service.http_port, "/readyz") == 200:
                await asyncio.sleep(0.01)
        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(service.process.wait(), HANG_S) == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
async def test_whatever_signal_ends_it_buffered_points_are_stored_first(
    database: Database, tmp_path: Path, number: signal.Signals
) -> None:
    async with service_process(database.writer_url, tmp_path / "log", ack="buffered") as service:
        async with locked(database, "analytics.samples"):
            async with load(service.grpc_port, lambda: columns(10), in_flight=1) as told, asyncio.timeout(HANG_S):
                while told.acked_points < 50:
                    await asyncio.sleep(0.01)
            service.process.send_signal(number)
            async with asyncio.timeout(HANG_S):
                while service.process.returncode is None and await http_status(service.http_port, "/readyz") == 200:
                    await asyncio.sleep(0.01)
        assert await asyncio.wait_for(service.process.wait(), HANG_S) == 0
    assert int(str(await count_samples(database.admin_url))) >= told.acked_points


async def test_no_log_line_holds_the_database_password(private_server: PrivateServer, tmp_path: Path) -> None:
    url = private_server.database.writer_url.replace("writer@", "not-the-password@")
    assert url != private_server.database.writer_url
    async with service_process(url, tmp_path / "log") as service:
        async with asyncio.timeout(HANG_S):
            while "password authentication failed" not in (tmp_path / "log").read_text():
                await asyncio.sleep(0.05)
        await service.terminate()
    assert "not-the-password" not in (tmp_path / "log").read_text()


async def _serve(variables: dict[str, str]) -> tuple[int | None, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INGESTOR_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingestor", "serve", env=clean | variables, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), HANG_S)
    return process.returncode, errors.decode()
