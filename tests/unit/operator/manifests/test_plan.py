"""The ConfigMap that a plan is read in: whole where that is possible, as SQL that could be run."""

from ingestor.schema.steps import Plan, Step
from ingestor_operator.manifests.plan import KEY, MAX_CHARACTERS, build_plan
from support.operator_specs import read_ingestor

SAFE = Step("index", "i", ("CREATE INDEX i ON t (a);", "ANALYZE t"), "make an index")
HELD = Step("drop_chunks", "samples", ("SELECT drop_chunks()",), "drop\nchunks", "held", "drops 2 chunks")


def _text(*steps: Step) -> str:
    manifest = build_plan(read_ingestor(), Plan("server/metrics", steps))
    assert manifest["metadata"]["name"] == "metrics-schema-plan"
    assert set(manifest["data"]) == {KEY}
    return str(manifest["data"][KEY])


def test_every_step_is_a_comment_and_statements_that_end() -> None:
    digest = Plan("server/metrics", (SAFE, HELD)).hash
    assert _text(SAFE, HELD) == (
        f"-- plan {digest} for server/metrics\n"
        f"-- to approve what is held: spec.schema.approvedPlan: {digest}\n"
        "\n-- 1. safe: make an index\nCREATE INDEX i ON t (a);\nANALYZE t;\n"
        "\n-- 2. held: drop chunks, because it drops 2 chunks\nSELECT drop_chunks();\n"
    )


def test_nobody_is_asked_to_approve_what_is_safe() -> None:
    assert "approvedPlan" not in _text(SAFE)


def test_a_plan_too_long_for_an_object_says_what_it_leaves_out() -> None:
    long = Step("rollup", "r", ("x" * 1_000,), "fill it")
    text = _text(*[long] * 1_000)
    written = text.count("safe: fill it")
    assert MAX_CHARACTERS - 2_000 < len(text) < MAX_CHARACTERS + 200
    assert text.endswith(f"-- {1_000 - written} steps more: `ingestor schema plan` shows the whole\n")
