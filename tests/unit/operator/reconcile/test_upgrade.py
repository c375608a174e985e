"""A new operator with a new image: one Ingestor at a time, and users need not wait."""

from copy import deepcopy
from typing import Any

import pytest

from ingestor_operator.resource.ingestor import FINALIZER
from support.fake_workloads import complete_rollout, set_counts
from support.operator_site import IMAGE, OperatorSite
from support.operator_specs import NAMESPACE

NEXT = "registry.example/ingestor:2"
NAMES = ("a", "b", "c")


@pytest.fixture
async def three(site: OperatorSite) -> OperatorSite:
    """Return a site with three Ingestors that are Ready, and an operator that has just been upgraded."""
    for name in NAMES:
        site.add_ingestor(name, schema={"name": name})
        await site.settle(name)
    site.start_operator(NEXT)
    return site


def images(site: OperatorSite) -> dict[str, str]:
    """Return which image each Ingestor's pods have."""
    return {name: site.container(name)["image"] for name in NAMES}


async def test_one_at_a_time_gets_the_new_pods(three: OperatorSite) -> None:
    done: list[str] = []
    while len(done) < len(NAMES):
        for name in NAMES:
            await three.reconcile(name)
        rolling = [name for name, image in images(three).items() if image == NEXT and name not in done]
        assert len(rolling) == 1
        waiting = [name for name, image in images(three).items() if image == IMAGE]
        assert all(three.conditions(name)["Progressing"] == ("True", "UpgradeWaiting") for name in waiting)
        assert all(three.conditions(name)["Ready"] == ("True", "Ready") for name in waiting)
        for name in NAMES:  # half-way there, nobody else starts
            await three.reconcile(name)
        complete_rollout(three.api, NAMESPACE, rolling[0])
        await three.reconcile(rolling[0])
        assert three.conditions(rolling[0])["Ready"] == ("True", "Ready")
        done += rolling


async def test_a_users_change_goes_at_once(three: OperatorSite) -> None:
    await three.reconcile("a")
    three.change_spec("b", observability={"logLevel": "DEBUG"})
    await three.reconcile("b")
    assert images(three) == {"a": NEXT, "b": NEXT, "c": IMAGE}


async def test_a_rollout_that_fails_lets_the_next_one_begin(three: OperatorSite) -> None:
    await three.reconcile("a")
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}
    set_counts(three.api, NAMESPACE, "a", replicas=3, updated=1, ready=2, conditions=[late])
    await three.reconcile("a")
    await three.reconcile("b")
    assert images(three)["b"] == NEXT


@pytest.mark.parametrize("spec", [{"managementState": "Unmanaged"}, {"schema": {"reclaimPolicy": "Delete"}}])
async def test_one_that_leaves_gives_up_its_turn(three: OperatorSite, spec: dict[str, Any]) -> None:
    await three.reconcile("a")
    assert images(three)["a"] == NEXT
    three.change_spec("a", **spec)
    await three.reconcile("a")
    if "schema" in spec:
        three.api.delete("Ingestor", NAMESPACE, "a")
        found = three.api.get("Ingestor", NAMESPACE, "a")
        assert found is not None
        assert found["metadata"]["finalizers"] == [FINALIZER]
    else:
        three.api.edit("Ingestor", NAMESPACE, "a", {"metadata": {"annotations": {"noted": "x"}}})
    await three.reconcile("a")
    await three.reconcile("b")
    assert images(three)["b"] == NEXT


async def test_scaling_does_not_jump_the_queue(three: OperatorSite) -> None:
    await three.reconcile("a")
    three.change_spec("b", replicas=3)
    await three.reconcile("b")
    assert images(three)["b"] == IMAGE
    assert three.deployment("b")["spec"]["replicas"] == 3


async def test_a_field_that_the_new_crd_brings_does_not_roll_everything_at_once(site: OperatorSite) -> None:
    new = site.api.schema
    old = deepcopy(new)
    limits = old["properties"]["spec"]["properties"]["server"]["properties"]["limits"]
    assert limits["properties"].pop("labelsPerPoint")["default"] == limits["default"].pop("labelsPerPoint") == 64
    old["properties"]["spec"]["properties"]["server"]["default"]["limits"].pop("labelsPerPoint")
    site.api.install_schema(old)
    for name in NAMES:
        site.add_ingestor(name, schema={"name": name}, server={"limits": {"timeAhead": "1h"}})
        await site.settle(name)
    site.api.install_schema(new)
    site.start_operator(NEXT)
    for name in NAMES:
        await site.reconcile(name)
    assert sorted(images(site).values()) == [IMAGE, IMAGE, NEXT]
