"""The commands given to a container engine."""

import asyncio
import stat
from pathlib import Path

import pytest

from ingestor.local.container import IMAGE, ContainerEngine, ContainerServer
from ingestor.local.instance import InstanceBusyError
from support.fake_runner import FakeRunner


class FakeEngine(FakeRunner):
    """An engine whose container never answers; ``running`` is set once it was asked to run one."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        super().__init__({"run": lambda _: self.running.set()})


async def _start_and_cancel(server: ContainerServer, engine: FakeEngine) -> None:
    starting = asyncio.create_task(server.start())
    async with asyncio.timeout(10):
        await engine.running.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_the_port_is_published_on_this_machine_alone_and_the_data_are_in_a_volume(tmp_path: Path) -> None:
    engine = FakeEngine()
    server = ContainerServer(ContainerEngine("docker"), tmp_path / "dev-pg17", engine)
    await _start_and_cancel(server, engine)
    (command,) = engine.having("run")
    port = server.url("ingestor").rpartition(":")[2].removesuffix("/ingestor")
    assert command[command.index("--publish") + 1] == f"127.0.0.1:{port}:5432"
    assert command[command.index("--volume") + 1] == "analytics-ingestor-dev-pg17:/var/lib/postgresql/data"
    assert command[command.index(IMAGE) + 1 :][:2] == ["-c", "timescaledb.telemetry_level=off"]


async def test_no_command_shows_the_password_and_the_file_with_it_is_private(tmp_path: Path) -> None:
    engine = FakeEngine()
    server = ContainerServer(ContainerEngine("docker"), tmp_path / "dev-pg17", engine)
    await _start_and_cancel(server, engine)
    password = (tmp_path / "dev-pg17/password").read_text()
    assert len(password) >= 24
    assert not any(password in word for command in engine.commands for word in command)
    variables = tmp_path / "dev-pg17/container.env"
    assert f"POSTGRES_PASSWORD={password}\n" in variables.read_text()
    assert stat.S_IMODE(variables.stat().st_mode) == 0o600


async def test_a_cancelled_start_removes_the_container_and_frees_the_instance(tmp_path: Path) -> None:
    engine = FakeEngine()
    server = ContainerServer(ContainerEngine("podman"), tmp_path / "dev-pg17", engine)
    await _start_and_cancel(server, engine)
    assert engine.commands[-2] == ["podman", "stop", "--time", "30", "analytics-ingestor-dev-pg17"]
    assert engine.commands[-1] == ["podman", "rm", "--force", "analytics-ingestor-dev-pg17"]
    again = FakeEngine()
    await _start_and_cancel(ContainerServer(ContainerEngine("podman"), tmp_path / "dev-pg17", again), again)


async def test_the_container_of_another_process_is_left_alone(tmp_path: Path) -> None:
    engine, other = FakeEngine(), FakeEngine()
    starting = asyncio.create_task(ContainerServer(ContainerEngine("docker"), tmp_path / "dev", engine).start())
    async with asyncio.timeout(10):
        await engine.running.wait()
    with pytest.raises(InstanceBusyError):
        await ContainerServer(ContainerEngine("docker"), tmp_path / "dev", other).start()
    assert other.commands == []
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
