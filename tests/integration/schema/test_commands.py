"""``ingestor schema`` and ``ingestor check`` as a person runs them."""

import asyncio
import json

import pytest
import typer
from typer.testing import CliRunner, Result

from ingestor.commands.check import check
from ingestor.commands.schema import schema_app
from ingestor.schema.apply import read_schema
from ingestor.schema.connect import Connection

from .conftest import PASSWORD, Site

app = typer.Typer()
app.add_typer(schema_app, name="schema")
app.command()(check)


async def run(site: Site, *arguments: str) -> Result:
    """Run a command in a thread: it brings up an event loop of its own."""
    environment = {
        "INGESTOR_OWNER_DATABASE_URL": site.owner_url,
        "INGESTOR_DATABASE_URL": site.writer_url,
        "INGESTOR_ADMIN_DATABASE_URL": site.admin_url,
        "INGESTOR_DATABASE_SCHEMA": site.spec.name,
        "INGESTOR_OWNER_PASSWORD": PASSWORD,
        "INGESTOR_WRITER_PASSWORD": PASSWORD,
        "INGESTOR_READER_PASSWORD": PASSWORD,
        "COLUMNS": "200",
    }
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert PASSWORD not in result.output
    return result


async def test_from_an_empty_database_to_a_checked_one(blank: Site) -> None:
    codes = {}
    for arguments in (["schema", "bootstrap"], ["schema", "plan"], ["schema", "apply"], ["schema", "show"], ["check"]):
        result = await run(blank, *arguments)
        codes[arguments[-1]] = result.exit_code
    assert codes == {"bootstrap": 0, "plan": 0, "apply": 0, "show": 0, "check": 0}
    assert "nothing to do" in (await run(blank, "schema", "apply")).stdout


async def test_a_plan_says_every_step_in_a_line(ready: Site) -> None:
    lines = (await run(ready, "schema", "plan")).stdout.splitlines()
    assert lines[0].startswith("plan ")
    assert any("make samples a hypertable with chunks of 1d" in line for line in lines)


async def test_options_reach_the_database(site: Site) -> None:
    result = await run(site, "schema", "apply", "--index", "TimeBrin", "--chunk-interval", "6h", "--json")
    catalog = await read_schema(site.owner_url, site.spec)
    assert [step["kind"] for step in json.loads(result.stdout)["steps"]] == ["chunk_interval", "index"]
    assert catalog.hypertable
    assert (catalog.indexes[0].name, catalog.hypertable.interval_us) == ("samples_time_brin", 6 * 3600 * 10**6)


async def test_show_as_json_names_version_index_and_rights(site: Site) -> None:
    shown = json.loads((await run(site, "schema", "show", "--json")).stdout)
    assert shown["indexes_of_samples"] == ["samples_series_time (btree: series_id, time DESC)"]
    assert f"{site.roles.writer}: INSERT on samples" in shown["rights"]
    assert shown["samples"] == "0 chunks of 1d, 0.0 MiB"


async def test_a_held_change_ends_with_the_hash_that_lets_it_run(site: Site, owner: Connection) -> None:
    await owner.execute(
        "INSERT INTO samples SELECT '2024-01-01'::timestamptz + n * interval '0.1 s', n % 1000, n"
        " FROM generate_series(1, 800000) AS n"
    )
    held = await run(site, "schema", "apply", "--index", "TimeBrin", "--json")
    plan = json.loads(held.stdout)
    assert held.exit_code == 1
    assert f"--approve {plan['hash']}" in held.stderr
    stale = await run(site, "schema", "apply", "--index", "TimeBrin", "--approve", "0" * 16)
    assert stale.exit_code == 1
    approved = await run(site, "schema", "apply", "--index", "TimeBrin", "--approve", plan["hash"])
    assert approved.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["schema", "plan", "--index", "Hash"], "SeriesTime"),
        (["schema", "plan", "--chunk-interval", "soon"], "chunkInterval"),
        (["schema", "plan", "--schema", "No"], "name"),
        (["schema", "plan", "--writer-role", "a b"], "role name"),
        (["schema", "show", "--database-url", "postgresql://a:s3cret@127.0.0.1:1/x"], "nothing listens there"),
        (["schema", "apply", "--database-url", "nonsense s3cret"], "not valid"),
        (["schema", "bootstrap", "--admin-url", "postgresql://a:s3cret@127.0.0.1:1/x"], "nothing listens there"),
        (["schema", "bootstrap", "--print", "--admin-url", "postgresql://a:s3cret@h"], "names no database"),
        (["schema", "bootstrap", "--print", "--admin-url", "postgresql://a:s3cret@[h/m"], "URL is not valid"),
    ],
)
async def test_an_expected_error_is_one_line_without_secrets(blank: Site, arguments: list[str], text: str) -> None:
    result = await run(blank, *arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert text in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "s3cret" not in result.output


async def test_a_conflict_is_shown_by_plan_and_refused_by_apply(ready: Site) -> None:
    owner = await ready.connect(ready.owner_url)
    await owner.execute(f"CREATE SCHEMA {ready.spec.name}; CREATE TABLE {ready.spec.name}.samples (mine int)")
    await owner.close(timeout=5)
    plan, apply = await run(ready, "schema", "plan"), await run(ready, "schema", "apply")
    assert (plan.exit_code, apply.exit_code) == (1, 1)
    assert "samples" in plan.stdout
    assert "was not made by us" in apply.stderr


async def test_printed_bootstrap_needs_no_connection(blank: Site) -> None:
    result = await run(blank, "schema", "bootstrap", "--print", "--admin-url", "postgresql://nobody@nowhere.invalid/m")
    assert result.exit_code == 0
    assert 'ON DATABASE "m" TO' in result.stdout


async def test_a_check_that_finds_a_problem_exits_with_1(ready: Site) -> None:
    result = await run(ready, "check")
    as_json = await run(ready, "check", "--json")
    assert (result.exit_code, as_json.exit_code) == (1, 1)
    assert "problem schema:" in result.stdout
    assert {"level": "problem", "topic": "schema"}.items() <= json.loads(as_json.stdout)[-1].items()
