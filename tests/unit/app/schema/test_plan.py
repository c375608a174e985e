"""What a plan says about particular databases."""

from dataclasses import replace

import pytest

from ingestor.commands.schema_view import show_plan
from ingestor.schema.catalog import AppliedMigration, Catalog, DatabaseObject, Extension
from ingestor.schema.plan import make_plan
from ingestor.schema.plan_index import SMALL_SAMPLES_BYTES
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import HeldError, Plan
from ingestor.schema.versions import load_migrations
from unit.app.schema.simulation import ROLES, empty_catalog, simulate

SPEC = SchemaSpec()
OTHER_INDEX = SchemaSpec(index="TimeBrin")


def _applied(**changes: object) -> Catalog:
    catalog = simulate(empty_catalog(), make_plan(SPEC, empty_catalog(), ROLES))
    return replace(catalog, **changes)  # type: ignore[arg-type]


def _big(chunks: int = 10, size_bytes: int = SMALL_SAMPLES_BYTES + 1) -> Catalog:
    catalog = _applied()
    assert catalog.hypertable
    return replace(catalog, hypertable=replace(catalog.hypertable, chunks=chunks, size_bytes=size_bytes))


def _reasons(catalog: Catalog) -> list[str]:
    plan = make_plan(SPEC, catalog, ROLES)
    assert not plan.steps
    return [problem.reason for problem in plan.problems]


def test_an_empty_database_gets_everything_in_order() -> None:
    kinds = [step.kind for step in make_plan(SPEC, empty_catalog(), ROLES).steps]
    assert kinds == ["schema", *["migration"] * len(load_migrations()), "hypertable", "index", "grants"]


def test_a_sentence_lists_a_few_rights_and_counts_many() -> None:
    grants = make_plan(SPEC, empty_catalog(), ROLES).steps[-1]
    assert grants.sentence == "give analytics_reader: 9 rights; analytics_writer: 13 rights"
    taken = _applied(grants=frozenset(grant for grant in _applied().grants if grant.name not in {"samples", "rejects"}))
    (step,) = make_plan(SPEC, taken, ROLES).steps
    assert step.sentence == (
        "give analytics_reader: SELECT on samples; analytics_writer: INSERT on rejects, INSERT on samples"
    )


def test_a_held_index_change_builds_the_new_one_before_it_drops_the_old_one() -> None:
    (step,) = make_plan(OTHER_INDEX, _big(), ROLES).steps
    text = "\n".join(step.statements)
    assert (step.safety, step.transactional) == ("held", False)
    assert text.index("CREATE INDEX") < text.index('DROP INDEX IF EXISTS "analytics"."samples_series_time"')
    assert "transaction_per_chunk" in text
    assert "10 chunks with 64 MiB" in step.reason


def test_the_hash_changes_with_what_an_approval_rests_on_and_with_nothing_else() -> None:
    def hash_of(spec: SchemaSpec, catalog: Catalog) -> str:
        return make_plan(spec, catalog, ROLES).hash

    first = hash_of(OTHER_INDEX, _big())
    assert hash_of(OTHER_INDEX, _big(size_bytes=10**10)) == first
    elsewhere = replace(_big(), server=replace(_big().server, database_oid=2))
    others = [
        hash_of(OTHER_INDEX, _big(chunks=11)),
        hash_of(OTHER_INDEX, elsewhere),
        hash_of(SchemaSpec(index="TimeBrin", chunk_interval="2d"), _big()),
    ]
    assert len({first, *others}) == 4


def test_an_error_about_held_steps_names_the_hash_to_approve() -> None:
    plan = make_plan(OTHER_INDEX, _big(), ROLES)
    assert plan.hash in str(HeldError(plan))


def test_an_offer_stands_beside_the_plan_with_a_hash_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    rollup = {
        "name": "by_hour",
        "bucket": "1h",
        "refresh": {"startOffset": "3d", "endOffset": "1h", "scheduleInterval": "1h"},
    }
    spec = SchemaSpec.model_validate({"rollups": [rollup]})
    applied = simulate(empty_catalog(), make_plan(spec, empty_catalog(), ROLES))
    (made,) = applied.aggregates
    earlier = replace(applied, aggregates=(replace(made, comment="analytics-ingestor: rollup 1 of 3600 s"),))
    plan = make_plan(spec, earlier, ROLES)
    assert plan.empty
    assert plan.offer is not None
    assert plan.hash == make_plan(spec, applied, ROLES).hash != plan.offer.hash
    assert plan.to_json()["offer"] == {"hash": plan.offer.hash, "steps": [step.to_json() for step in plan.offer.steps]}
    show_plan(plan, done=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "nothing to do" in shown
    assert f"--approve {plan.offer.hash}" in shown


def test_a_plan_with_problems_is_not_empty() -> None:
    assert not make_plan(SPEC, replace(empty_catalog(), roles=frozenset()), ROLES).empty
    assert Plan("x").empty


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        (Extension(None, "public", preloaded=True, available=False, trusted=False), "install its package"),
        (Extension(None, "public", preloaded=False, available=True, trusted=True), "shared_preload_libraries"),
        (Extension(None, "public", preloaded=True, available=True, trusted=False), "CREATE EXTENSION timescaledb"),
    ],
)
def test_a_missing_extension_comes_with_what_to_do(extension: Extension, text: str) -> None:
    plan = make_plan(SPEC, replace(empty_catalog(), extension=extension), ROLES)
    assert [problem.reason for problem in plan.problems] == ["extension_missing"]
    assert text in plan.problems[0].message


def test_an_extension_in_a_schema_of_its_own_is_called_there() -> None:
    catalog = replace(empty_catalog(), extension=replace(empty_catalog().extension, schema="Ext"))
    statements = [step.statements for step in make_plan(SPEC, catalog, ROLES).steps if step.kind == "hypertable"]
    assert statements[0][0].startswith('SELECT "Ext".create_hypertable(')


@pytest.mark.parametrize("name", [ROLES.owner, ROLES.writer, ROLES.reader])
def test_a_missing_role_is_named(name: str) -> None:
    plan = make_plan(SPEC, _applied(roles=empty_catalog().roles - {name}), ROLES)
    assert [problem.reason for problem in plan.problems] == ["role_missing"]
    assert name in plan.problems[0].message


def test_an_object_of_another_owner_is_a_conflict_even_if_we_made_one_of_its_name() -> None:
    catalog = _applied()
    objects = [replace(item, owner="alice") if item.name == "series" else item for item in catalog.objects]
    assert _reasons(replace(catalog, objects=tuple(objects))) == ["object_conflict"]


@pytest.mark.parametrize("name", ["samples", "series_names", "metrics"])
def test_a_name_that_is_taken_is_a_conflict_whatever_takes_it(name: str) -> None:
    catalog = replace(empty_catalog(), schema_owner=ROLES.owner, objects=(DatabaseObject("other", name, ROLES.owner),))
    assert _reasons(catalog) == ["object_conflict"]


def test_a_function_may_have_the_name_of_a_table() -> None:
    mine = DatabaseObject("function", "samples", "alice")
    assert not make_plan(SPEC, replace(empty_catalog(), schema_owner=ROLES.owner, objects=(mine,)), ROLES).problems


def test_a_table_cut_by_another_column_is_reported() -> None:
    catalog = _applied()
    assert catalog.hypertable
    assert _reasons(replace(catalog, hypertable=replace(catalog.hypertable, dimensions=("at",)))) == ["schema_damaged"]


@pytest.mark.parametrize(
    ("applied", "reasons"),
    [
        (AppliedMigration(99, "next", "x", 2), []),
        (AppliedMigration(99, "next", "x", 99), ["schema_too_new"]),
    ],
)
def test_a_migration_from_the_future_counts_by_its_minimum(applied: AppliedMigration, reasons: list[str]) -> None:
    catalog = _applied(migrations=(*_applied().migrations, applied))
    assert [problem.reason for problem in make_plan(SPEC, catalog, ROLES).problems] == reasons
