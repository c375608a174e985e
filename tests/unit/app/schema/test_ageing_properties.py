"""Laws of plans for ageing points, over made-up databases: they end, and nothing is lost unasked."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.schema.catalog import Aggregate, Catalog, Chunk, Job
from ingestor.schema.plan import make_plan
from ingestor.schema.plan_jobs import other_jobs
from ingestor.schema.spec import SchemaSpec
from ingestor.schema.steps import Plan
from unit.app.schema.simulated_ageing import NOW_US
from unit.app.schema.simulation import ROLES, empty_catalog, simulate

DAY_S = 86_400
EXAMPLES = 1_000

_DAYS = st.integers(1, 400)


@st.composite
def specs(draw: st.DrawFn) -> SchemaSpec:
    """Return any spec that the models take, in whole days and hours."""
    keep = draw(st.none() | st.integers(20, 400))
    convert = draw(st.none() | st.integers(1, 19))
    columnstore = {
        "after": f"{convert}d",
        "segmentBy": draw(st.sampled_from([[], ["series_id"]])),
        "orderBy": draw(st.sampled_from([["time"], ["time DESC"], ["time ASC", "value"]])),
        "scheduleInterval": draw(st.sampled_from(["1h", "12h"])),
    }
    names = draw(st.lists(st.sampled_from(["by_hour", "by_day"]), unique=True, max_size=2))
    return SchemaSpec.model_validate(
        {
            "columnstore": columnstore if convert else None,
            "retention": {"dropAfter": f"{keep}d", "scheduleInterval": "1d"} if keep else None,
            "rollups": [_rollup(draw, name) for name in names],
        }
    )


def _rollup(draw: st.DrawFn, name: str) -> dict[str, object]:
    keep = draw(st.none() | st.integers(20, 400))
    return {
        "name": name,
        "bucket": draw(st.sampled_from(["1h", "1d"])),
        "refresh": {
            "startOffset": f"{draw(st.integers(4, 20))}d",
            "endOffset": draw(st.sampled_from(["1h", "1d"])),
            "scheduleInterval": draw(st.sampled_from(["30m", "1h"])),
        },
        "retention": {"dropAfter": f"{keep}d"} if keep else None,
    }


@st.composite
def aged(draw: st.DrawFn) -> Catalog:
    """Return a database, of either build, where some spec was applied, points came, and somebody changed things."""
    catalog = empty_catalog()
    catalog = replace(catalog, extension=replace(catalog.extension, community=draw(st.booleans())))
    catalog = simulate(catalog, make_plan(draw(specs()), catalog, ROLES))
    relations = ["samples", *(one.name for one in catalog.aggregates)]
    ages = draw(st.lists(st.tuples(st.sampled_from(relations), _DAYS, st.booleans()), max_size=8, unique=True))
    chunks = [_chunk(number, *one, catalog) for number, one in enumerate(ages)]
    jobs = [_changed(draw, job) for job in catalog.jobs if draw(st.integers(0, 4))]
    kept = tuple((name, draw(st.integers(1, 400)) * DAY_S) for name, _ in catalog.kept_s)
    if catalog.extension.community:
        jobs += draw(st.lists(_others(relations), max_size=2, unique=True))
    if catalog.columnstore and catalog.hypertable:
        catalog = replace(catalog, hypertable=replace(catalog.hypertable, direct=draw(st.booleans())))
    rollups = tuple(_made_earlier(one) if draw(st.booleans()) else one for one in catalog.aggregates)
    return replace(catalog, chunks=tuple(chunks), jobs=tuple(jobs), kept_s=kept, aggregates=rollups)


def _made_earlier(rollup: Aggregate) -> Aggregate:
    """Return the rollup as an earlier release made it."""
    return replace(rollup, comment=rollup.comment.replace("rollup 2 of", "rollup 1 of"))


def _others(relations: list[str]) -> st.SearchStrategy[Job]:
    """Return a job that somebody else added: of a kind that we never make, or one of ours once more."""
    rollups = relations[1:] or ["elsewhere"]
    jobs = [Job(2_000 + n, "other", name, 60, procedure="policy_compaction") for n, name in enumerate(relations)]
    jobs += [Job(3_000 + n, "refresh", name, 60) for n, name in enumerate(rollups)]
    return st.sampled_from([*jobs, *(Job(4_000 + n, "columnstore", name, 60) for n, name in enumerate(rollups))])


def _chunk(number: int, relation: str, days: int, converted: bool, catalog: Catalog) -> Chunk:
    end_us = NOW_US - days * DAY_S * 1_000_000
    is_converted = converted and relation == "samples" and catalog.columnstore is not None
    return Chunk(relation, f"internal.chunk_{number}", end_us - DAY_S * 1_000_000, end_us, 1_000, is_converted)


def _changed(draw: st.DrawFn, job: Job) -> Job:
    return replace(
        job,
        scheduled=draw(st.booleans()),
        after_s=None if job.after_s is None else draw(_DAYS) * DAY_S,
        start_s=None if job.start_s is None else draw(_DAYS) * DAY_S,
    )


@settings(max_examples=EXAMPLES)
@given(spec=specs(), catalog=aged())
def test_plans_for_any_database_keep_every_law(spec: SchemaSpec, catalog: Catalog) -> None:
    # All laws on one example: to make it takes longer than they do.
    _the_plan_of_an_applied_spec_is_empty(spec, catalog)
    _after_the_safe_steps_only_held_ones_are_left(spec, catalog)
    _no_safe_step_loses_data(spec, catalog)
    _an_offer_is_made_of_what_was_made_earlier_and_of_nothing_else(spec, catalog)
    _held_steps_say_why_and_rest_on_the_chunks_that_they_concern(spec, catalog)


def _the_plan_of_an_applied_spec_is_empty(spec: SchemaSpec, catalog: Catalog) -> None:
    after = simulate(catalog, make_plan(spec, catalog, ROLES))
    assert make_plan(spec, after, ROLES).empty


def _after_the_safe_steps_only_held_ones_are_left(spec: SchemaSpec, catalog: Catalog) -> None:
    rest = make_plan(spec, simulate(catalog, _unasked(make_plan(spec, catalog, ROLES))), ROLES)
    assert all(step.safety == "held" for step in rest.steps), rest.steps


def _no_safe_step_loses_data(spec: SchemaSpec, catalog: Catalog) -> None:
    after = simulate(catalog, _unasked(make_plan(spec, catalog, ROLES)))
    safe_before = _names(catalog) - _doomed(catalog)
    assert safe_before <= _names(after) - _doomed(after)
    assert {one.name for one in catalog.aggregates} <= {one.name for one in after.aggregates}


def _an_offer_is_made_of_what_was_made_earlier_and_of_nothing_else(spec: SchemaSpec, catalog: Catalog) -> None:
    applied = simulate(catalog, make_plan(spec, catalog, ROLES))
    offer = make_plan(spec, applied, ROLES).offer
    earlier = {one.name for one in applied.aggregates if "rollup 1 of" in one.comment}
    assert {step.name for step in (offer.steps if offer else ())} == earlier
    if offer is not None:
        assert all(step.safety == "held" and step.reason for step in offer.steps)
        rest = make_plan(spec, simulate(applied, offer), ROLES)
        assert rest.empty
        assert rest.offer is None


def _held_steps_say_why_and_rest_on_the_chunks_that_they_concern(spec: SchemaSpec, catalog: Catalog) -> None:
    for step in make_plan(spec, catalog, ROLES).held:
        assert step.reason
        assert set(step.basis) <= _names(catalog)
    plan = make_plan(spec, catalog, ROLES)
    if any(step.basis for step in plan.held):
        fewer = replace(catalog, chunks=tuple(one for one in catalog.chunks if one.name not in plan.held[0].basis))
        assert not plan.held[0].basis or make_plan(spec, fewer, ROLES).hash != plan.hash


@settings(max_examples=EXAMPLES)
@given(spec=specs(), catalog=aged())
def test_what_others_had_done_with_our_tables_ends_unasked(spec: SchemaSpec, catalog: Catalog) -> None:
    after = simulate(catalog, _unasked(make_plan(spec, catalog, ROLES)))
    assert not other_jobs(after)
    assert after.hypertable
    assert not (after.hypertable.direct and after.extension.community)
    elsewhere = [job for job in catalog.jobs if job.relation == "elsewhere"]
    assert [job for job in after.jobs if job.relation == "elsewhere"] == elsewhere


def _unasked(plan: Plan) -> Plan:
    return replace(plan, steps=tuple(step for step in plan.steps if step.safety == "safe"))


def _names(catalog: Catalog) -> set[str]:
    return {chunk.name for chunk in catalog.chunks}


def _doomed(catalog: Catalog) -> set[str]:
    """Return the chunks that may be dropped at any moment without another question."""
    keeps = [(job.relation, job.after_s) for job in catalog.jobs if job.kind == "retention" and job.scheduled]
    keeps += catalog.kept_s if not catalog.extension.community else []
    return {
        chunk.name
        for chunk in catalog.chunks
        for relation, keep_s in keeps
        if chunk.relation == relation and keep_s is not None and chunk.end_us <= NOW_US - keep_s * 1_000_000
    }
