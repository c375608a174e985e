"""The plan that waits, for a person to read before they approve it: whole, as the status has no room for it."""

from ingestor.schema.steps import Plan, Step
from ingestor_operator.manifests.facts import Manifest, build
from ingestor_operator.resource.ingestor import Ingestor

KEY = "plan.sql"
MAX_CHARACTERS = 250_000
"""An object may have 1 MiB, and a character 4 bytes."""


def plan_name(ingestor: str) -> str:
    """Return the name of the ConfigMap that is there while a plan waits."""
    return f"{ingestor}-schema-plan"


def build_plan(ingestor: Ingestor, plan: Plan) -> Manifest:
    """Return a ConfigMap that holds the plan as SQL with comments."""
    return build("v1", "ConfigMap", ingestor, None, name=plan_name(ingestor.name), data={KEY: _write(plan)})


def _write(plan: Plan) -> str:
    text = f"-- plan {plan.hash} for {plan.identity}\n"
    if plan.held:
        text += f"-- to approve what is held: spec.schema.approvedPlan: {plan.hash}\n"
    for number, step in enumerate(plan.steps, 1):
        part = _write_step(number, step)
        if len(text) + len(part) > MAX_CHARACTERS:
            rest = len(plan.steps) - number + 1
            return f"{text}\n-- {rest} steps more: `ingestor schema plan` shows the whole\n"
        text += part
    return text


def _write_step(number: int, step: Step) -> str:
    reason = f", because it {step.reason}" if step.reason else ""
    comment = " ".join(f"{number}. {step.safety}: {step.sentence}{reason}".split())
    statements = "".join(f"{statement.rstrip().rstrip(';')};\n" for statement in step.statements)
    return f"\n-- {comment}\n{statements}"
