"""What an Apache build can't do is said, and points are dropped by age all the same.

Engine: Debian's TimescaleDB, of either release, built without its community features.
"""

import json
from pathlib import Path

import pytest

from ingestor.schema.apply import apply_schema, plan_schema, read_schema
from ingestor.schema.connect import Connection
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import HeldError, StaleApprovalError

from .conftest import Site
from .test_commands import run

AGES_DAYS = (1, 5, 12, 20)
HOURLY = {
    "name": "by_hour",
    "bucket": "1h",
    "refresh": {"startOffset": "3d", "endOffset": "1h", "scheduleInterval": "1h"},
}


def _spec(site: Site, **fields: object) -> SchemaSpec:
    return SchemaSpec.model_validate({"name": site.spec.name, **fields})


async def _store(owner: Connection, *ages_days: int) -> None:
    for days in ages_days:
        await owner.execute("INSERT INTO samples VALUES (now() - $1 * interval '1 day', 1, 1)", days)


async def _ages(owner: Connection) -> list[int]:
    rows = await owner.fetch("SELECT extract(day FROM now() - time)::int AS days FROM samples ORDER BY time DESC")
    return [row["days"] for row in rows]


async def test_what_the_build_lacks_is_said_and_left_out(site: Site) -> None:
    spec = _spec(site, columnstore={}, rollups=[HOURLY])
    plan = await plan_schema(site.owner_url, spec)
    assert not plan.steps
    assert not plan.problems
    assert [text.rpartition(": ")[2] for text in plan.unavailable] == [
        "columnstore is left out",
        "rollup by_hour is left out",
    ]
    assert (await apply_schema(site.owner_url, spec)).empty


async def test_points_are_dropped_by_age_once_that_is_accepted_and_from_then_on_unasked(
    site: Site, owner: Connection
) -> None:
    await _store(owner, *AGES_DAYS)
    spec = _spec(site, retention={"dropAfter": "10d"})
    with pytest.raises(HeldError, match="drops 2 chunks with about") as held:
        await apply_schema(site.owner_url, spec)
    assert await _ages(owner) == [*AGES_DAYS]
    await apply_schema(site.owner_url, spec, approved=held.value.plan.hash)
    assert await _ages(owner) == [1, 5]
    await _store(owner, 15)
    (step,) = (await apply_schema(site.owner_url, spec)).steps
    assert (step.kind, step.safety) == ("drop_chunks", "safe")
    assert await _ages(owner) == [1, 5]
    assert (await plan_schema(site.owner_url, spec)).empty


async def test_a_shorter_age_is_another_question_and_a_longer_one_is_none(site: Site, owner: Connection) -> None:
    await _store(owner, *AGES_DAYS)
    await apply_schema(site.owner_url, _spec(site, retention={"dropAfter": "30d"}))
    await apply_schema(site.owner_url, _spec(site, retention={"dropAfter": "60d"}))
    shorter = _spec(site, retention={"dropAfter": "3d"})
    with pytest.raises(HeldError) as held:
        await apply_schema(site.owner_url, shorter)
    await _store(owner, 8)
    with pytest.raises(StaleApprovalError):
        await apply_schema(site.owner_url, shorter, approved=held.value.plan.hash)
    assert len(await _ages(owner)) == len(AGES_DAYS) + 1
    assert (await read_schema(site.owner_url, shorter)).kept_s == (("samples", 60 * 86_400),)


async def test_a_retention_that_is_not_asked_for_any_more_is_forgotten(site: Site, owner: Connection) -> None:
    await apply_schema(site.owner_url, _spec(site, retention={"dropAfter": "10d"}))
    await apply_schema(site.owner_url, site.spec)
    await _store(owner, *AGES_DAYS)
    with pytest.raises(HeldError):
        await apply_schema(site.owner_url, _spec(site, retention={"dropAfter": "10d"}))


async def test_a_file_says_all_of_the_schema(site: Site, owner: Connection, tmp_path: Path) -> None:
    await _store(owner, *AGES_DAYS)
    file = tmp_path / "ingestor.yaml"
    file.write_text(
        "kind: Ingestor\nspec:\n  schema:\n    managementPolicy: Apply\n"
        f"    name: {site.spec.name}\n    chunkInterval: 12h\n"
        "    retention: {dropAfter: 10d}\n    columnstore: {}\n"
    )
    plan = await run(site, "schema", "plan", "--file", str(file), "--json")
    shown = json.loads(plan.stdout)
    assert [(step["kind"], step["safety"]) for step in shown["steps"]] == [
        ("chunk_interval", "safe"),
        ("retention", "held"),
    ]
    assert len(shown["unavailable"]) == 1
    text = (await run(site, "schema", "plan", "--file", str(file))).stdout
    assert "unavailable" in text
    assert f"approve it with --approve {shown['hash']}" in text
    held = await run(site, "schema", "apply", "--file", str(file))
    assert held.exit_code == 1
    rest = json.loads((await run(site, "schema", "plan", "--file", str(file), "--json")).stdout)
    done = await run(site, "schema", "apply", "--file", str(file), "--approve", rest["hash"])
    assert done.exit_code == 0
    assert await _ages(owner) == [1, 5]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("retention: {dropAfter: 10d}", ["--index", "TimeBrin"], "leave --index and --chunk-interval out"),
        ("- a list", [], "holds no schema"),
        ("retention: [", [], "can't read"),
        ("retention: {dropAfter: soon}", [], "retention.dropAfter: "),
        ("retention: {dropAfter: 1d}\ncolumnstore: {after: 2d}", [], "chunks would be gone before"),
    ],
)
async def test_a_file_that_is_wrong_is_refused_in_a_line(
    site: Site, tmp_path: Path, content: str, arguments: list[str], message: str
) -> None:
    file = tmp_path / "schema.yaml"
    file.write_text(content)
    result = await run(site, "schema", "plan", "--file", str(file), *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
