"""Laws of every plan, over made-up databases."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ingestor.schema.catalog import Catalog, Grant, Index
from ingestor.schema.objects import wanted_grants
from ingestor.schema.plan import make_plan
from ingestor.schema.plan_index import INDEXES, SMALL_SAMPLES_BYTES
from ingestor.schema.spec import SchemaSpec
from unit.app.schema.simulation import ROLES, empty_catalog, simulate

INTERVALS = st.builds("{}{}".format, st.integers(1, 500), st.sampled_from("mhdw"))
SPECS = st.builds(SchemaSpec, index=st.sampled_from(["SeriesTime", "TimeBrin"]), chunk_interval=INTERVALS)
EXCESS = [
    Grant("table", "rejects", ROLES.reader, "SELECT"),
    Grant("table", "samples", ROLES.writer, "DELETE"),
    Grant("function", "maintain", "PUBLIC", "EXECUTE"),
    Grant("schema", "analytics", ROLES.writer, "CREATE"),
]
STRAY_INDEXES = [
    Index("users_own", "btree", ("time",)),
    replace(INDEXES["SeriesTime"], valid=False),
    replace(INDEXES["SeriesTime"], columns=("series_id", "time")),
    INDEXES["TimeBrin"],
    INDEXES["SeriesTime"],
]


@st.composite
def drifted(draw: st.DrawFn) -> Catalog:
    """Return a database where some spec was applied and then somebody changed what a plan can repair."""
    catalog = simulate(empty_catalog(), make_plan(draw(SPECS), empty_catalog(), ROLES))
    lost = draw(st.sets(st.sampled_from(sorted(wanted_grants("analytics", ROLES)))))
    gained = draw(st.sets(st.sampled_from(EXCESS)))
    indexes = draw(st.lists(st.sampled_from(STRAY_INDEXES), unique_by=lambda index: index.name))
    ours = {("index", index.name) for index in indexes if index.name != "users_own"}
    size_bytes = draw(st.sampled_from([0, SMALL_SAMPLES_BYTES, SMALL_SAMPLES_BYTES + 1, 10**12]))
    assert catalog.hypertable
    return replace(
        catalog,
        grants=(catalog.grants - lost) | gained,
        indexes=tuple(indexes),
        made=catalog.made | ours,
        hypertable=replace(catalog.hypertable, size_bytes=size_bytes, chunks=draw(st.integers(0, 10**4))),
    )


@given(spec=SPECS, catalog=drifted() | st.builds(empty_catalog))
def test_the_plan_of_an_applied_spec_is_empty(spec: SchemaSpec, catalog: Catalog) -> None:
    after = simulate(catalog, make_plan(spec, catalog, ROLES))
    assert make_plan(spec, after, ROLES).empty


@given(spec=SPECS, catalog=drifted())
def test_an_apply_leaves_exactly_one_index_of_ours_and_every_index_of_others(
    spec: SchemaSpec, catalog: Catalog
) -> None:
    after = simulate(catalog, make_plan(spec, catalog, ROLES))
    others = [index for index in catalog.indexes if index.name == "users_own"]
    assert sorted(after.indexes, key=str) == sorted([INDEXES[spec.index], *others], key=str)


@given(spec=SPECS, catalog=drifted())
def test_an_apply_leaves_exactly_the_rights_that_are_meant(spec: SchemaSpec, catalog: Catalog) -> None:
    assert simulate(catalog, make_plan(spec, catalog, ROLES)).grants == wanted_grants("analytics", ROLES)


@given(spec=SPECS, catalog=drifted())
def test_a_big_table_is_never_indexed_unasked(spec: SchemaSpec, catalog: Catalog) -> None:
    assert catalog.hypertable
    building = [step for step in make_plan(spec, catalog, ROLES).steps if "CREATE INDEX" in str(step.statements)]
    big = catalog.hypertable.size_bytes > SMALL_SAMPLES_BYTES
    assert all((step.safety == "held") == big for step in building)


@given(spec=SPECS, catalog=drifted())
def test_the_same_question_has_the_same_hash_whatever_the_order_of_the_answer(
    spec: SchemaSpec, catalog: Catalog
) -> None:
    reordered = replace(catalog, objects=catalog.objects[::-1], indexes=catalog.indexes[::-1])
    assert make_plan(spec, catalog, ROLES).hash == make_plan(spec, reordered, ROLES).hash
