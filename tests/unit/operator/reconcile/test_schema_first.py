"""No pod runs on a schema that is not as asked for; running ones stay as they are."""

from dataclasses import replace

import pytest

from ingestor.schema.steps import Plan, Step
from ingestor_operator.conditions.verdict import failed, ok
from ingestor_operator.database import SchemaVerdict
from support.fake_database import DOWN, GOOD, HELD, REFUSED
from support.operator_site import OperatorSite
from support.operator_specs import NAMESPACE

APPLIED = replace(GOOD, plan=Plan("db"))


@pytest.mark.parametrize("verdict", [REFUSED, DOWN], ids=["refused", "down"])
async def test_no_pods_are_started_while_the_schema_is_not_there(site: OperatorSite, verdict: SchemaVerdict) -> None:
    site.database.verdict = verdict
    site.add_ingestor()
    await site.reconcile()
    assert ("Deployment", "apply") not in site.writes
    assert ("Service", "apply") in site.writes
    assert site.conditions()["Ready"][0] == "False"
    assert site.conditions()["Available"] == ("False", "NoPodAvailable")


async def test_a_database_that_is_away_is_the_reason_and_the_schema_is_unknown(site: OperatorSite) -> None:
    site.add_ingestor()
    await site.settle()
    site.database.verdict = DOWN
    site.pods.status = {"database_up": False, "last_error": "connection refused"}
    site.now_s += 60
    await site.reconcile()
    assert site.conditions()["Ready"] == ("False", "DatabaseUnavailable")
    assert site.conditions()["SchemaApplied"] == ("Unknown", "DatabaseUnavailable")
    assert site.conditions()["Ingesting"] == ("False", "DatabaseAway")
    assert ("Warning", "DatabaseUnavailable") in site.events()
    site.database.verdict = GOOD
    site.pods.status = {"database_up": True}
    site.now_s += 60
    await site.reconcile()
    assert site.conditions()["Ready"] == ("True", "Ready")


async def test_pods_keep_their_template_while_the_schema_is_not_there_but_not_their_number(site: OperatorSite) -> None:
    site.add_ingestor()
    await site.settle()
    template = site.deployment()["spec"]["template"]
    site.database.verdict = REFUSED
    site.change_spec(image="registry.example/own:2", replicas=3, schema={"index": "TimeBrin"})
    await site.reconcile()
    assert site.deployment()["spec"]["template"] == template
    assert site.deployment()["spec"]["replicas"] == 3
    assert site.conditions()["Progressing"] == ("Unknown", "Held")
    assert site.conditions()["Ready"] == ("False", "ObjectConflict")
    site.database.verdict = GOOD
    site.now_s += 60
    await site.settle()
    assert site.container()["image"] == "registry.example/own:2"
    assert site.conditions()["Ready"] == ("True", "Ready")


async def test_a_step_that_waits_for_approval_does_not_keep_pods_from_rolling(site: OperatorSite) -> None:
    site.database.verdict = HELD
    site.add_ingestor()
    await site.settle()
    assert site.deployment()["spec"]["replicas"] == 2
    assert site.conditions()["Ready"] == ("False", "ApprovalRequired")


@pytest.mark.parametrize("verdict", [APPLIED, DOWN], ids=["carried out", "no longer known"])
async def test_a_plan_that_waits_can_be_read_until_it_waits_no_more(site: OperatorSite, verdict: SchemaVerdict) -> None:
    step = Step("retention", "samples", ("SELECT drop_chunks()",), "drop chunks", "held", "drops 2 chunks")
    plan = Plan("db", (step,))
    site.database.verdict = replace(HELD, plan=plan)
    site.add_ingestor()
    await site.settle()
    found = site.api.get("ConfigMap", NAMESPACE, "metrics-schema-plan")
    assert found is not None
    assert "SELECT drop_chunks();" in found["data"]["plan.sql"]
    assert plan.hash in found["data"]["plan.sql"]
    assert site.status()["schema"]["pendingPlan"]["hash"] == plan.hash
    site.database.verdict = verdict
    site.now_s += 60
    await site.settle()  # and then writes nothing more
    assert site.api.get("ConfigMap", NAMESPACE, "metrics-schema-plan") is None
    assert "pendingPlan" not in site.status()["schema"]


async def test_a_missing_secret_is_named_and_nothing_is_asked(site: OperatorSite) -> None:
    site.add_ingestor(database={"writerSecretRef": {"name": "elsewhere"}})
    again_s = await site.reconcile()
    assert site.conditions()["Ready"] == ("False", "SecretNotFound")
    assert "elsewhere" in site.message("Ready")
    assert site.database.kept == []
    assert again_s is not None  # Secrets are not watched
    site.add_secret("elsewhere", username="analytics_writer", password="p")
    await site.settle()
    assert site.conditions()["Ready"] == ("True", "Ready")


async def test_one_role_for_both_is_refused(site: OperatorSite) -> None:
    site.add_secret("writer", username="analytics_owner", password="p")
    site.add_ingestor()
    await site.reconcile()
    assert site.conditions()["Ready"] == ("False", "RolesInvalid")


async def test_a_changed_password_rolls_the_pods(site: OperatorSite) -> None:
    site.add_ingestor()
    await site.settle()
    before = site.deployment()["spec"]["template"]["metadata"]["annotations"]
    site.add_secret("writer", username="analytics_writer", password="changed")
    await site.reconcile()
    assert site.deployment()["spec"]["template"]["metadata"]["annotations"] != before
    assert site.conditions()["Ready"] == ("False", "RollingOut")


async def test_a_password_that_the_database_does_not_take_replaces_no_pod_that_works(site: OperatorSite) -> None:
    site.add_ingestor()
    await site.settle()
    template = site.deployment()["spec"]["template"]
    site.add_secret("writer", username="analytics_writer", password="wrong")
    site.database.login = failed("AuthenticationFailed", "wrong password")
    await site.reconcile()
    assert site.deployment()["spec"]["template"] == template
    assert site.conditions()["Ready"] == ("False", "AuthenticationFailed")
    site.database.login = ok("Connected", "the database answers")
    site.now_s += 60
    await site.settle()
    assert site.deployment()["spec"]["template"] != template
    assert site.conditions()["Ready"] == ("True", "Ready")


async def test_a_changed_owner_password_rolls_no_pods_but_looks_again(site: OperatorSite) -> None:
    site.add_ingestor()
    await site.settle()
    site.writes.clear()
    site.add_secret("owner", username="analytics_owner", password="changed")
    await site.reconcile()
    assert site.writes == []
    assert "changed" in site.database.kept[-1].owner_url


async def test_of_two_shapes_for_one_schema_the_older_ones_counts(site: OperatorSite) -> None:
    site.add_ingestor("older")
    site.add_ingestor("younger", schema={"index": "TimeBrin"})
    await site.settle("older")
    await site.reconcile("younger")
    assert site.conditions("older")["Ready"] == ("True", "Ready")
    assert site.conditions("younger")["Ready"] == ("False", "SchemaConflict")
    assert "team/older" in site.message("Ready", "younger")
    site.change_spec("younger", schema={"index": "SeriesTime"})
    await site.settle("younger")
    assert site.conditions("younger")["Ready"] == ("True", "Ready")


async def test_too_few_connections_are_refused_with_the_numbers(site: OperatorSite) -> None:
    site.add_ingestor(database={"maxConnections": 7})
    await site.reconcile()
    assert site.conditions()["Ready"] == ("False", "TooFewConnections")
    assert "2 pods need 8" in site.message("Ready")
    assert ("Deployment", "apply") not in site.writes
    assert site.conditions()["SchemaApplied"] == ("True", "Applied")


async def test_trouble_of_the_pods_makes_the_operator_look_at_the_database_soon(site: OperatorSite) -> None:
    site.add_ingestor()
    await site.settle()
    looks = len(site.database.kept)
    site.pods.status = {"database_up": True, "refusing": True, "last_error": "schema not ready"}
    site.now_s += 10
    await site.reconcile()
    assert len(site.database.kept) == looks + 1
    assert site.conditions()["Ready"] == ("False", "Refusing")
