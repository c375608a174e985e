"""One pass over one Ingestor: look, act, say how it is. Idempotent; a pass over a converged object writes nothing."""

import asyncio
from dataclasses import dataclass
from time import perf_counter

from ingestor_operator.cache import Cache
from ingestor_operator.children import ChildWriter
from ingestor_operator.cluster import Cluster
from ingestor_operator.conditions.ingesting import judge_ingesting
from ingestor_operator.conditions.standing import View
from ingestor_operator.conditions.summary import judge_ready
from ingestor_operator.conditions.verdict import Verdict, failed, unknown
from ingestor_operator.conditions.workload import read_workload
from ingestor_operator.config import Settings
from ingestor_operator.errors import InvalidSpecError, RefusedError
from ingestor_operator.manifests.children import DEPLOYMENTS, build_children
from ingestor_operator.manifests.deployment import TEMPLATE_ANNOTATION
from ingestor_operator.manifests.facts import Manifest, digest, selector
from ingestor_operator.manifests.plan import build_plan
from ingestor_operator.metrics import Metrics
from ingestor_operator.pods import PodWatcher
from ingestor_operator.prepare import Preparation, Preparer
from ingestor_operator.queue import Key
from ingestor_operator.reporter import Reporter, endpoints
from ingestor_operator.resource.ingestor import FINALIZER, Ingestor, IngestorSpec
from ingestor_operator.schema_keeper import SchemaKeeper
from ingestor_operator.teardown import Teardown
from ingestor_operator.upgrades import UpgradeTurns

TIMEOUT_S = 150.0
"""Of one pass; the longest part, a look at a database, has 90 s of its own."""
TEARDOWN_TIMEOUT_S = 660.0
"""The same of a pass that deletes; a drop has 600 s."""
PROGRESSING_S = 3.0
BLOCKED_S = 8.0
"""Pause before the next pass while pods are on their way, and while something is wrong."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pass works with."""

    cluster: Cluster
    cache: Cache
    preparer: Preparer
    children: ChildWriter
    keeper: SchemaKeeper
    pods: PodWatcher
    reporter: Reporter
    teardown: Teardown
    turns: UpgradeTurns
    metrics: Metrics


class Reconciler:
    """Works on one key at a time, many keys at once."""

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self._parts = parts
        self._settings = settings
        self._announced: dict[Key, str] = {}

    async def __call__(self, key: Key) -> float | None:
        """Do one pass; return after how many seconds the next one is due, None where events alone call for one."""
        started = perf_counter()
        result = "error"
        try:
            again_s = await self._reconcile(key)
            result = "ok"
        finally:
            self._parts.metrics.reconciles.labels(result).inc()
            self._parts.metrics.reconcile_seconds.observe(perf_counter() - started)
        return again_s

    async def _reconcile(self, key: Key) -> float | None:
        body = self._parts.cache.ingestor(key)
        if body is None:
            self._forget(key)
            return None
        ingestor = Ingestor.read(body)
        if ingestor.deleting:
            self._parts.turns.forget(key)
            async with asyncio.timeout(TEARDOWN_TIMEOUT_S):
                return await self._parts.teardown.step(ingestor)
        async with asyncio.timeout(TIMEOUT_S):
            return await self._keep(ingestor)

    async def _keep(self, ingestor: Ingestor) -> float | None:
        try:
            spec = ingestor.parse_spec()
        except InvalidSpecError as error:
            self._parts.turns.forget(ingestor.key)
            await self._parts.reporter.report(ingestor, {"Ready": failed(error.reason, str(error))}, {})
            return None
        if spec.management_state == "Unmanaged":
            self._parts.turns.forget(ingestor.key)
            text = "spec.managementState is Unmanaged: everything is left alone; set it to Managed to hand it back"
            await self._parts.reporter.report(ingestor, {"Ready": unknown("Unmanaged", text)}, {})
            return None
        await self._announce(ingestor)
        await self._keep_finalizer(ingestor, spec)
        return await self._converge(ingestor, spec)

    def _forget(self, key: Key) -> None:
        self._announced.pop(key, None)
        self._parts.keeper.forget(key)
        self._parts.turns.forget(key)

    async def _announce(self, ingestor: Ingestor) -> None:
        """Turn Ready to Unknown for a new generation, unless all that is new is the number of pods."""
        wanted = digest({name: value for name, value in ingestor.raw_spec.items() if name != "replicas"})
        is_news = ingestor.status.get("observedGeneration") != ingestor.generation
        if is_news and self._announced.get(ingestor.key) != wanted:
            await self._parts.reporter.announce(ingestor)
        self._announced[ingestor.key] = wanted

    async def _keep_finalizer(self, ingestor: Ingestor, spec: IngestorSpec) -> None:
        """Hold the object back only where its data shall go with it."""
        body = self._parts.cache.ingestor(ingestor.key)
        if body is None:
            return
        current = Ingestor.read(body)  # announcing has made a newer version
        wanted, held = spec.schema_.reclaim_policy == "Delete", FINALIZER in current.finalizers
        if wanted == held:
            return
        rest = [name for name in current.finalizers if name != FINALIZER]
        changed = await self._parts.cluster.set_finalizers(
            current.namespace, current.name, current.resource_version, [*rest, FINALIZER] if wanted else rest
        )
        self._parts.cache.update_ingestor(changed)

    async def _converge(self, ingestor: Ingestor, spec: IngestorSpec) -> float | None:
        pods = await self._list_pods(ingestor, spec)
        ingesting = judge_ingesting(await self._parts.pods.ask(pods), spec.replicas)
        preparation = await self._parts.preparer.prepare(ingestor, spec, suspect=ingesting.bad)
        if preparation.steps:
            text = f"{preparation.steps} steps were carried out in schema {spec.schema_.name}"
            await self._parts.reporter.tell(ingestor, "SchemaChanged", text, good=True)
        desired, waiting, refused = "", False, preparation.blocked
        if preparation.facts is not None:
            manifests = build_children(ingestor, spec, preparation.facts, pod_monitors=self._settings.pod_monitors)
            if preparation.pending is not None:
                manifests.append(build_plan(ingestor, preparation.pending))
            deployment = next(item for item in manifests if item["kind"] == DEPLOYMENTS.kind)
            desired = deployment["metadata"]["annotations"][TEMPLATE_ANNOTATION]
            observed = self._deployment(ingestor)
            waiting = not self._parts.turns.may_roll(ingestor.key, observed, deployment)
            hold = waiting or not preparation.pods_may_roll
            try:
                await self._parts.children.write(ingestor, manifests, hold_pods=hold)
            except RefusedError as error:
                refused = failed(error.reason, str(error))
        verdicts = {
            "DatabaseReachable": preparation.reachable,
            "SchemaApplied": preparation.applied,
            "Ingesting": ingesting,
        }
        verdicts |= preparation.more
        view = View(self._deployment(ingestor), pods, desired, waiting=waiting, refused=refused)
        return await self._conclude(ingestor, spec, view, verdicts, preparation)

    async def _list_pods(self, ingestor: Ingestor, spec: IngestorSpec) -> list[Manifest]:
        deployment = self._deployment(ingestor)
        if deployment is None or (spec.replicas == 0 and not (deployment.get("status") or {}).get("replicas")):
            return []
        return await self._parts.cluster.list_pods(ingestor.namespace, selector(ingestor.name))

    def _deployment(self, ingestor: Ingestor) -> Manifest | None:
        return self._parts.cache.child(ingestor.key, DEPLOYMENTS.kind, ingestor.name)

    async def _conclude(
        self,
        ingestor: Ingestor,
        spec: IngestorSpec,
        view: View,
        verdicts: dict[str, Verdict],
        preparation: Preparation,
    ) -> float | None:
        """Judge, report, and say when to look again."""
        standing = view.judge(ingestor.status.get("rolledOut", ""))
        verdicts |= {"Available": standing.available, "Progressing": standing.progressing}
        ready = judge_ready(verdicts, rolled_out=standing.rolled_out)
        if view.deployment is not None:
            workload = read_workload(view.deployment)
            self._parts.turns.settle(ingestor.key, workload, failed=standing.progressing.bad)
        numbers = standing.numbers | {"endpoints": endpoints(ingestor.name, ingestor.namespace, spec.server.port)}
        if preparation.schema_status is not None:
            numbers["schema"] = preparation.schema_status
        if (facts := preparation.facts) is not None:
            numbers["connectionsPerPod"] = facts.connections
            numbers |= {"image": facts.image} if standing.rolled_out and not view.waiting else {}
        await self._parts.reporter.report(ingestor, {"Ready": ready, **verdicts}, numbers)
        if view.waiting or (ready.good and spec.replicas):
            return self._settings.health_s
        if ready.good:
            return None
        return BLOCKED_S if any(verdict.bad for verdict in verdicts.values()) else PROGRESSING_S
