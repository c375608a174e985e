"""The README's way to a database of one's own, from an empty one to a server that serves."""

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from support.database import PrivateServer
from support.docs import block, fill, inline, shell
from support.eventually import HANG_S


@pytest.fixture
async def urls(private_server: PrivateServer) -> dict[str, str]:
    """Return the README's addresses with those of an empty database on a server of its own."""
    server = private_server.server
    connection = await asyncpg.connect(server.url("postgres"), timeout=HANG_S)
    await connection.execute("CREATE DATABASE metrics")
    await connection.close(timeout=HANG_S)
    return {
        "postgresql://postgres:…@db/metrics": server.url("metrics"),
        "postgresql://analytics_owner:…@db/metrics": server.url("metrics", "analytics_owner", "secret"),
        "postgresql://analytics_writer:…@db/metrics": server.url("metrics", "analytics_writer", "secret"),
    }


async def _type(script: str, directory: Path) -> str:
    return await asyncio.to_thread(shell, script, directory, os.environ)


async def test_an_empty_database_is_prepared_checked_and_served(urls: dict[str, str], tmp_path: Path) -> None:
    *prepare, serve = fill(block("README.md", "Against a database of your own"), urls).strip().splitlines()
    output = await _type(fill("\n".join(prepare), {"password …": "password secret"}), tmp_path)
    assert "create schema analytics" in output
    assert "schema analytics is at version" in output
    variables, _, command = serve.partition(" ingestor ")
    script = f"{variables} INGESTOR_GRPC_PORT=0 INGESTOR_HTTP_PORT=0 exec ingestor {command}"
    served = asyncio.create_task(_type(f"timeout --signal=TERM --preserve-status 5 bash -c '{script}' 2>&1", tmp_path))
    assert "serving" in await served


async def test_what_an_administrator_would_run_is_printed(urls: dict[str, str], tmp_path: Path) -> None:
    admin_url = urls["postgresql://postgres:…@db/metrics"]
    command = inline("README.md", "ingestor schema bootstrap --print")
    printed = await _type(fill(command, {"postgresql://postgres@HOST/DATABASE": admin_url}), tmp_path)
    connection = await asyncpg.connect(admin_url, timeout=HANG_S, command_timeout=HANG_S)
    await connection.execute(printed)
    await connection.execute(inline("README.md", "ALTER ROLE analytics_writer"))
    limit = await connection.fetchval("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'analytics_writer'")
    await connection.close(timeout=HANG_S)
    assert limit == 50


async def test_a_schema_file_is_planned_and_applied(urls: dict[str, str], tmp_path: Path) -> None:
    own = fill(block("README.md", "Against a database of your own"), urls | {"password …": "password secret"})
    await _type(own[: own.index("ingestor schema plan")], tmp_path)
    (tmp_path / "schema.yaml").write_text(block("README.md", "The schema"))
    owner = {name: url for name, url in urls.items() if "owner" in name}
    output = " ".join((await _type(fill(block("README.md", "The schema", 1), owner), tmp_path)).split())
    assert "rollup samples_1h is left out" in output, "Debian's build has none"
    connection = await asyncpg.connect(
        urls["postgresql://postgres:…@db/metrics"], timeout=HANG_S, command_timeout=HANG_S
    )
    kept_s = await connection.fetchval("SELECT keep_s FROM analytics.retention WHERE relation = 'samples'")
    await connection.close(timeout=HANG_S)
    assert kept_s == 90 * 86_400
