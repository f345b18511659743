"""Drift on a real cluster with simulated hosts: which side moved, what is done about it, and when that stops."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import LocalCluster, Plan, Policy, apply, make_plan, observe, reconcile_once
from reconciler.apply.annotations import record_last_applied
from reconciler.apply.report import DONE
from reconciler.catalogue.operation import Impact
from reconciler.daemon.drift import difference
from reconciler.daemon.drift.detector import DriftDetector, DriftReport
from reconciler.daemon.drift.drift_event import DriftReason
from reconciler.daemon.status.values import ChangedSide, Drift, Mode
from reconciler.manifests.desired import Desired
from reconciler.manifests.drift_policy import DriftPolicy, field_path
from reconciler.manifests.request import request_from_words
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import ADDRESSES, ANNOTATION_APPLIED
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.declaration import DECLARED, digest
from reconciler.planner.explanation import explain_note
from reconciler.planner.plan import Action, Step
from reconciler.reconcile import run_request, with_secret_digests
from support.command_line import run as command
from support.paths import ROOT
from support.scenario import OPTIONS, converge, desired_of, plan_of, served

WEB = ResourceId("VirtualMachine", "web-1")
DISKS = ResourceId("VirtualMachinePool", "disks")
MAC = "52:54:00:00:00:01"
BEGIN = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

MANIFESTS = """
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/disks, autostart: true}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: web-1-root}
spec: {nodeName: node22, pool: disks, capacity: 20Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  nodeName: node22
  osVariant: debian12
  powerState: Stopped
  cpu: {count: 2, max: 8}
  memory: {size: 2Gi, max: 8Gi}
  disks: [{target: vda, disk: web-1-root, boot: true}]
  nics: [{mac: "52:54:00:00:00:01", type: bridge, source: virbr0}]
---
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
"""


def manifests(*changes: tuple[str, str], drift: str = "", stack: str = "") -> str:
    """The manifests with texts replaced, and with what web-1 or the Stack say about drift."""
    text = MANIFESTS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    text = text.replace("metadata: {name: web-1}", f"metadata: {{name: web-1, drift: {drift}}}") if drift else text
    return text + f"spec: {{drift: {stack}}}\n" if stack else text


class Daemon:
    """What the loop does, as far as drift is concerned; the clock stands still unless it is moved."""

    def __init__(self, cluster: LocalCluster, text: str, *, allow: frozenset[str] = frozenset()) -> None:
        self.cluster, self.text, self.allow = cluster, text, allow
        self.now, self.drifts = BEGIN, DriftDetector()
        self.ran: list[str] = []

    def judge(self, touched: Any = None) -> tuple[Plan, DriftReport]:
        desired, observed = with_secret_digests(desired_of(self.text), self.cluster), observe(self.cluster)
        plan = make_plan(desired, observed, Policy(allow=self.allow, at=self.now))
        return plan, self.drifts.evaluate(desired, observed, plan, self.now, touched)

    def step(self) -> DriftReport:
        """One pass: judge, run what is left of the plan, and say what ended done."""
        plan, judged = self.judge()
        assert not plan.problems
        report = apply(judged.plan, self.cluster, options=OPTIONS)
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        self.ran = [outcome.step.operation for outcome in report.outcomes if outcome.result in DONE.values()]
        for outcome in report.outcomes:
            if outcome.result in DONE.values():
                self.drifts.record_success(outcome.step, self.now)
        self.now += MINUTE
        return judged

    def restart(self) -> None:
        self.drifts = DriftDetector()

    def by_hand(self, operation: str, id: ResourceId = WEB, **parameters: str) -> None:
        words = tuple(f"{name}={value}" for name, value in parameters.items())
        request = request_from_words(f"hand-{self.now}-{operation}", id, operation, words, {})
        made, report = run_request(self.cluster, request, Policy(allow=frozenset(Impact)), options=OPTIONS)
        assert not made.held
        assert report is not None
        assert report.ok, report.outcomes

    def memory(self, size: int) -> None:
        """Somebody sets the memory, in GiB."""
        self.by_hand("ResizeRAM", size=str(size * 1024 * 1024), config="true")

    def cpus(self, count: int) -> None:
        self.by_hand("ChangeNumberOfCPU", count=str(count), config="true")

    @property
    def shape(self) -> dict[str, Any]:
        return observe(self.cluster).resources[WEB].shape


@contextmanager
def daemon(text: str = MANIFESTS, **how: Any) -> Iterator[Daemon]:
    """A daemon whose stack is as declared."""
    with served() as cluster:
        converge(cluster, desired_of(text), **({"allow": how["allow"]} if "allow" in how else {}))
        made = Daemon(cluster, text, **how)
        assert not made.step().drift
        yield made


def only(judged: DriftReport, id: ResourceId = WEB) -> Drift:
    (drift,) = judged.drift[id]
    return drift


def whats(judged: DriftReport) -> list[DriftReason]:
    return [event.reason for event in judged.events]


GIB = 1024**3
LARGER = manifests(("size: 2Gi", "size: 3Gi"))


# Which side moved -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarted", [False, True], ids=["seen", "after a restart of the daemon"])
@pytest.mark.parametrize(
    ("text", "by_hand", "since"),
    [
        (MANIFESTS, 4, ChangedSide.OBSERVED),
        (LARGER, 0, ChangedSide.DECLARED),
        (LARGER, 4, ChangedSide.BOTH),
    ],
    ids=["by hand", "in the manifest", "on both sides"],
)
def test_the_side_that_moved_is_told(text: str, by_hand: int, since: ChangedSide, restarted: bool) -> None:
    with daemon() as run:
        if by_hand:
            run.memory(by_hand)
        run.text = text
        if restarted:  # all that is left is whether the declared side is as it was applied
            run.restart()
            since = ChangedSide.DECLARED if since is ChangedSide.BOTH else since
        drift = only(run.judge()[1])
        assert (drift.path, drift.side, drift.mode) == (("memory", "size"), since, Mode.HEAL)
        assert drift.observed == (by_hand or 2) * GIB
        run.step()
        assert not run.step().drift
        assert run.shape["memory"]["size"] == (3 if text is LARGER else 2) * GIB


def test_without_a_mark_nobody_knows() -> None:
    with daemon() as run:
        resource = run.cluster.get(WEB)
        assert resource is not None
        annotations = resource["metadata"]["annotations"]
        applied = json.loads(annotations[ANNOTATION_APPLIED])
        assert applied.pop(DECLARED) == digest(desired_of(MANIFESTS).resources[WEB].shape)
        annotations[ANNOTATION_APPLIED] = json.dumps(applied)
        run.cluster.update(resource)
        run.memory(4)
        run.restart()
        assert only(run.judge()[1]).side is ChangedSide.UNKNOWN
        run.text = manifests(drift="{mode: Report}")
        assert len(run.judge()[1].skipped) == 1, "a mode that promises no surprises gives none"


def test_fields_are_told_apart() -> None:
    with daemon() as run:
        run.memory(4)
        run.text = manifests(("count: 2, max: 8", "count: 3, max: 8"), drift="{mode: Report}")
        run.step()
        assert run.ran == ["ChangeNumberOfCPU"]
        assert only(run.step()).side is ChangedSide.OBSERVED
        run.cpus(5)
        _, judged = run.judge()
        assert {drift.path: drift.side for drift in judged.drift[WEB]} == {
            ("memory", "size"): ChangedSide.OBSERVED,
            ("cpu", "count"): ChangedSide.OBSERVED,
        }
        run.restart()
        assert {drift.side for drift in run.judge()[1].drift[WEB]} == {ChangedSide.OBSERVED}, "the mark has moved along"


def test_what_vanished_and_what_was_never_there() -> None:
    with served() as cluster:
        run = Daemon(cluster, manifests(stack="{mode: Report}"))
        _, judged = run.judge()
        assert {drift.side for drifts in judged.drift.values() for drift in drifts} == {ChangedSide.DECLARED}
        assert not judged.skipped
        assert not judged.events, "what is yet to be made is no drift"
        run.step()
        assert not run.step().drift
        run.by_hand("DeleteVM", WEB)
        assert observe(cluster).get(WEB) is None or not observe(cluster).resources[WEB].exists
        plan, judged = run.judge()
        assert (only(judged).path, only(judged).side) == ((), ChangedSide.OBSERVED)
        assert whats(judged) == [DriftReason.FOUND]
        assert {*judged.skipped} == {step.id for step in plan.steps}
        run.text = manifests(("size: 2Gi", "size: 3Gi"), stack="{mode: Report}")
        run.step()
        assert not run.step().drift, "it was asked for again"


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("mode", ["Report", "Ignore"])
def test_a_creation_that_was_cut_short_goes_on(mode: str, restarted: bool) -> None:
    stopped = ("powerState: Stopped", "powerState: Stopped\n  autostart: true")
    text = manifests(stopped, stack=f"{{mode: {mode}}}")
    with served() as cluster:
        run = Daemon(cluster, text, allow=frozenset({"restart"}))
        _, judged = run.judge()
        first, *more = [step for step in judged.plan.steps if step.resource == WEB]
        assert first.action is Action.CREATE
        assert first.last_applied[DECLARED] == "", "it is not as declared yet"
        assert [bool(step.last_applied.get(DECLARED)) for step in more] == [False] * (len(more) - 1) + [True]
        cut = replace(judged.plan, steps=tuple(step for step in judged.plan.steps if step not in more))
        assert apply(cut, cluster, options=OPTIONS).ok
        for step in cut.steps:
            run.drifts.record_success(step, run.now)
        if restarted:
            run.restart()
        _, judged = run.judge()
        assert {drift.side for drift in judged.drift[WEB]} == {ChangedSide.DECLARED}
        assert not judged.skipped
        run.step()
        assert not run.step().drift


def test_what_waits_for_a_restart_is_pending() -> None:
    on = (("powerState: Stopped", "powerState: Running"),)
    with daemon(manifests(*on)) as run:
        run.text = manifests(*on, ("size: 2Gi, max: 8Gi", "size: 2Gi, max: 16Gi"))
        run.step()
        judged = run.step()
        drift = only(judged)
        assert (drift.path, drift.side) == (("memory", "max"), ChangedSide.PENDING)
        assert (drift.desired, drift.observed) == (16 * GIB, 8 * GIB)
        assert whats(judged) == [DriftReason.FOUND]
        assert not run.step().events


def test_what_only_the_next_start_would_have_otherwise_is_drift() -> None:
    with daemon(manifests(("powerState: Stopped", "powerState: Running"))) as run:
        run.cpus(1)
        before = run.shape
        drift = only(run.step())
        assert (drift.path, drift.side, drift.observed) == (("cpu", "count"), ChangedSide.OBSERVED, 1)
        assert (run.ran, run.shape) == (["ChangeNumberOfCPU"], before)
        assert not run.step().drift


# What is done about it --------------------------------------------------------------------------------------


def test_another_address_is_no_drift() -> None:
    with daemon() as run:
        before = run.shape
        for address in ("10.0.0.9", "10.0.0.10"):
            found = run.cluster.get(WEB)
            assert found is not None
            found["spec"][ADDRESSES] = [{"mac": MAC, "address": address, "source": "lease"}]
            run.cluster.update(found)
            plan, judged = run.judge({WEB})
            assert (plan.steps, plan.notes, dict(judged.drift), judged.events) == ((), (), {}, ())
            assert observe(run.cluster).resources[WEB].addresses[MAC] == ((address, "lease"),)
            assert run.shape == before


def test_drift_is_healed_and_told_once() -> None:
    with daemon() as run:
        run.memory(4)
        judged = run.step()
        assert whats(judged) == [DriftReason.FOUND]
        assert judged.events[0].text == ("memory.size is 4Gi, 2Gi is declared (observed changed); will be reverted")
        assert run.ran == ["ResizeRAM"]
        judged = run.step()
        assert (whats(judged), dict(judged.drift)) == ([DriftReason.HEALED], {})
        assert not run.step().events


def test_drift_that_is_only_reported_is_told_until_it_changes() -> None:
    with daemon(manifests(stack="{mode: Report}")) as run:
        run.memory(4)
        judged = run.step()
        assert whats(judged) == [DriftReason.FOUND]
        assert not run.ran
        assert [*judged.skipped.values()] == ["the drift mode is Report: memory.size is 4Gi, 2Gi is declared"]
        first = only(judged).seen
        judged = run.step()
        assert not judged.events
        assert only(judged).seen == first == BEGIN + MINUTE
        run.memory(5)
        judged = run.step()
        assert whats(judged) == [DriftReason.FOUND]
        assert only(judged).seen > first
        run.memory(2)
        judged = run.step()
        assert whats(judged) == [DriftReason.GONE]
        assert not judged.drift


def test_a_resource_says_otherwise_than_its_stack() -> None:
    with daemon(manifests(drift="{mode: Heal}", stack="{mode: Ignore}")) as run:
        run.memory(4)
        assert only(run.step()).mode is Mode.HEAL
        assert run.ran == ["ResizeRAM"]


def test_both_sides_are_applied_loudly_where_drift_is_reported() -> None:
    with daemon(manifests(stack="{mode: Report}")) as run:
        run.memory(4)
        run.text = manifests(("size: 2Gi", "size: 3Gi"), stack="{mode: Report}")
        judged = run.step()
        assert run.ran == ["ResizeRAM"]
        (event,) = judged.events
        assert event.text.startswith("both sides changed: memory.size is 4Gi, 3Gi is declared")
        assert event.warning


def test_nothing_of_an_ignored_resource_is_touched_once_it_exists() -> None:
    ignored = "{mode: Ignore}"
    with served() as cluster:
        run = Daemon(cluster, manifests(drift=ignored))
        run.step()
        assert "CreateAndStartVMFromISO" in run.ran, "what is not there is made"
        run.step()
        run.memory(4)
        run.text = manifests(("count: 2, max: 8", "count: 3, max: 8"), drift=ignored)
        judged = run.step()
        assert not run.ran
        assert not judged.events
        assert {drift.mode for drift in judged.drift[WEB]} == {Mode.IGNORE}
        assert set(judged.skipped.values()) == {"the drift mode of its manifest is Ignore"}


def test_a_restart_is_not_halved() -> None:
    automatic = (
        ("powerState: Stopped", "powerState: Running\n  updatePolicy: {restart: Automatic}"),
        ("size: 2Gi, max: 8Gi", "size: 2Gi, max: 16Gi"),
    )
    with daemon(manifests(*automatic, stack="{mode: Report}"), allow=frozenset({"restart"})) as run:
        resource = run.cluster.get(WEB)
        assert resource is not None
        resource["spec"]["domain"]["memory"]["text"] = str(8 * 1024 * 1024)
        run.cluster.update(resource)
        plan, judged = run.judge()
        assert [step.operation for step in plan.steps] == ["ResizeMaxRAM", "StopVM", "StartVM"]
        assert len(judged.skipped) == 3
        assert not judged.plan.steps


def test_what_is_withheld_leaves_an_order() -> None:
    both = manifests(("count: 2, max: 8", "count: 3, max: 8"), ("virbr0}", "virbr0, qos: {inbound: 5Mi}}"))
    with daemon(manifests(drift="{mode: Report}")) as run:
        run.memory(4)
        run.text = both.replace("{name: web-1}", "{name: web-1, drift: {mode: Report}}")
        plan, judged = run.judge()
        before, withheld, *after = [step for step in plan.steps if step.resource == WEB]
        assert [*judged.skipped] == [withheld.id]
        assert withheld.id in after[0].after
        left = {step.id: step for step in judged.plan.steps}
        assert before.id in left[after[0].id].after, "one operation at a time on a resource"


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSOLE", "first")
    console = (("  nics:", "  graphics: {type: vnc, passwordFrom: {env: CONSOLE}}\n  nics:"),)
    with daemon(manifests(*console, stack="{mode: Report}")) as run:
        monkeypatch.setenv("CONSOLE", "second")
        _, judged = run.judge()
        drift = only(judged)
        assert (drift.side, drift.desired, drift.observed) == (
            ChangedSide.DECLARED,
            "secret from env CONSOLE",
            "another value",
        )
        assert not judged.skipped


# What is ignored --------------------------------------------------------------------------------------------


def test_accepted_drift_is_silent_until_it_changes_or_the_end_comes() -> None:
    accepted = "{ignore: [{field: memory.size, observed: 4Gi, until: 2026-11-24T13:00:00Z, reason: a test}]}"
    with daemon(manifests(drift=accepted)) as run:
        run.memory(4)
        judged = run.step()
        assert not run.ran
        assert not judged.events
        drift = only(judged)
        assert (drift.mode, drift.note) == (Mode.IGNORE, "ignored until 2026-11-24T13:00:00Z: a test")
        assert judged.replan_at == {WEB: BEGIN + HOUR}
        run.memory(5)
        judged = run.step()
        assert whats(judged) == [DriftReason.CHANGED]
        assert run.ran == ["ResizeRAM"]
        run.step()
        run.memory(4)
        assert not run.step().events
        run.now = judged.replan_at.get(WEB, BEGIN + HOUR)
        judged = run.step()
        assert whats(judged) == [DriftReason.EXPIRED]
        assert "the rule that ignored it expired at 2026-11-24T13:00:00Z" in judged.events[0].text
        assert run.ran == ["ResizeRAM"]


def test_what_is_ignored_whatever_it_is_tells_that_it_moved() -> None:
    with daemon(manifests(stack="{ignore: [{kind: VirtualMachine, field: memory}]}")) as run:
        run.memory(4)
        assert not run.step().events
        run.memory(5)
        assert whats(run.step()) == [DriftReason.CHANGED]
        assert not run.step().events
        assert not run.ran


# Two writers ------------------------------------------------------------------------------------------------


def fought(run: Daemon, rounds: int = 3) -> DriftReport:
    """Somebody sets the memory every time that it is healed."""
    for _ in range(rounds):
        run.memory(4)
        run.step()
        assert run.ran == ["ResizeRAM"]
    run.memory(4)
    judged = run.step()
    assert not run.ran
    return judged


def test_a_contest_stops_and_is_told_once() -> None:
    with daemon() as run:
        judged = fought(run)
        assert whats(judged) == [DriftReason.CONTESTED]
        assert only(judged).note == "contested: reverted 3 times in 3 min, then changed again"
        assert [*judged.skipped.values()] == [
            "memory.size is 4Gi, 2Gi is declared; contested: reverted 3 times in 3 min, then changed again"
        ]
        run.memory(6)
        judged = run.step()
        assert not run.ran
        assert not judged.events
        run.cpus(3)
        run.step()
        assert run.ran == ["ChangeNumberOfCPU"], "other fields are healed"


def test_a_contest_ends_when_another_value_is_declared() -> None:
    with daemon() as run:
        fought(run)
        run.text = LARGER
        run.step()
        assert run.ran == ["ResizeRAM"]
        assert not run.step().drift


def test_a_contest_ends_when_somebody_says_so() -> None:
    with daemon() as run:
        fought(run)
        run.drifts.reset_flapping()
        run.step()
        assert run.ran == ["ResizeRAM"]


def test_a_contest_ends_after_a_quiet_while() -> None:
    with daemon() as run:
        fought(run)
        run.memory(2)
        judged = run.step()
        assert judged.replan_at == {WEB: run.now - MINUTE + HOUR}
        run.now += HOUR - 2 * MINUTE
        run.memory(4)
        run.step()
        assert not run.ran, "it was not quiet for long enough"
        run.memory(2)
        run.step()
        run.now += HOUR
        assert whats(run.step()) == [DriftReason.OVER]
        run.memory(4)
        run.step()
        assert run.ran == ["ResizeRAM"]


def test_slow_rounds_are_no_contest() -> None:
    with daemon() as run:
        for _ in range(6):
            run.memory(4)
            run.step()
            assert run.ran == ["ResizeRAM"]
            run.now += HOUR / 3


def test_healing_that_fails_is_no_contest() -> None:
    with daemon() as run:
        run.memory(4)
        for _ in range(6):
            plan, judged = run.judge()
            assert judged.plan.steps == plan.steps, "how often it is tried is not decided here"
            run.now += MINUTE


# Cost and memory --------------------------------------------------------------------------------------------


def test_only_what_moved_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[ResourceId] = []
    real = difference.compare

    def counting(declared: Any, *others: Any) -> Any:
        compared.append(declared.id)
        return real(declared, *others)

    monkeypatch.setattr("reconciler.daemon.drift.detector.compare", counting)
    with daemon(manifests(stack="{mode: Report}")) as run:
        run.memory(4)
        run.step()
        desired, observed = desired_of(run.text), observe(run.cluster)
        plan = make_plan(desired, observed)
        run.drifts.evaluate(desired, observed, plan, run.now, [WEB])
        compared.clear()
        again = run.drifts.evaluate(desired, observed, plan, run.now, [])
        assert compared == []
        assert again.drift.keys() == {WEB}
        assert len(again.skipped) == 1
        run.drifts.evaluate(desired, observed, plan, run.now, [DISKS])
        assert compared == [DISKS]


def test_what_is_described_no_longer_is_forgotten() -> None:
    with daemon(manifests(stack="{mode: Report}")) as run:
        run.memory(4)
        run.step()
        run.text = MANIFESTS[: MANIFESTS.index("---")] + MANIFESTS[MANIFESTS.rindex("---") :]
        assert not run.judge(touched=[])[1].drift
        kept = {name: value for name, value in vars(run.drifts).items() if isinstance(value, dict)}
        assert kept
        assert all(value.keys() <= {DISKS} for value in kept.values()), kept


# Whatever happens -------------------------------------------------------------------------------------------

FIELDS = (("memory", "size"), ("cpu", "count"))
OPERATIONS = {"ResizeRAM": ("memory", "size"), "ChangeNumberOfCPU": ("cpu", "count")}


@cache
def converged() -> Observation:
    with served() as cluster:
        converge(cluster, desired_of(MANIFESTS))
        return observe(cluster)


class Model:
    """One machine whose observed fields are written at will; steps come true at once, on the wire that it is."""

    def __init__(self, mode: str) -> None:
        self.seen = converged()
        self.mode, self.declared = mode, {("memory", "size"): 2, ("cpu", "count"): 2}

    @property
    def desired(self) -> Desired:
        size, count = self.declared["memory", "size"], self.declared["cpu", "count"]
        sizes = (("size: 2Gi", f"size: {size}Gi"), ("count: 2, max", f"count: {count}, max"))
        return desired_of(manifests(*sizes, drift=f"{{mode: {self.mode}}}"))

    @property
    def observed(self) -> dict[tuple[str, ...], int]:
        shape = self.seen.resources[WEB].shape
        return {("memory", "size"): shape["memory"]["size"] // GIB, ("cpu", "count"): shape["cpu"]["count"]}

    def write(self, field: tuple[str, ...], value: int) -> None:
        resource: Resource = json.loads(json.dumps(self.seen.resources[WEB].resource))
        domain = resource["spec"]["domain"]
        if field == ("memory", "size"):
            domain["currentMemory"] = {"_unit": "KiB", "text": str(value * 1024 * 1024)}
        else:
            domain["vcpu"]["_current"] = str(value)
        self._put(resource)

    def run(self, step: Step) -> None:
        for each in step.expect:
            self.write(each.path, each.value // GIB if each.path == ("memory", "size") else each.value)
        resource: Resource = json.loads(json.dumps(self.seen.resources[WEB].resource))
        record_last_applied(resource, step.last_applied)
        self._put(resource)

    def _put(self, resource: Resource) -> None:
        others = {**self.seen.resources, WEB: Observed(resource, self.seen.disk_at)}
        self.seen = Observation(others, self.seen.disk_at, self.seen.attached)


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("declare"), st.sampled_from(FIELDS), st.integers(1, 3)),
        st.tuples(st.just("write"), st.sampled_from(FIELDS), st.integers(1, 3)),
        st.tuples(st.just("pass"), st.booleans(), st.integers(0, 40)),
    ),
    max_size=30,
)


@pytest.mark.parametrize("mode", ["Heal", "Report"])
@settings(max_examples=60, deadline=None)
@given(moves=MOVES)
def test_whoever_moves_what_the_side_is_known_and_healing_has_an_end(mode: str, moves: list[Any]) -> None:
    """``before`` is what each field was when both sides were last seen the same: the simple model."""
    model, drifts, now = Model(mode), DriftDetector(), BEGIN
    before = dict(model.declared)
    heals: dict[tuple[Any, int], list[datetime]] = {}
    for what, first, second in [("pass", True, 0), *moves, ("pass", True, 0), ("pass", True, 0)]:
        if what == "declare":
            model.declared[first] = second
            continue
        if what == "write":
            model.write(first, second)
            continue
        now += second * MINUTE
        desired, observed = model.desired, model.observed
        plan = make_plan(desired, model.seen, Policy(at=now))
        judged = drifts.evaluate(desired, model.seen, plan, now, [WEB] if first else None)
        found = {drift.path: drift for drift in judged.drift.get(WEB, ())}
        assert found.keys() == {field for field in FIELDS if model.declared[field] != observed[field]}
        for field, drift in found.items():
            moved = model.declared[field] != before[field], observed[field] != before[field]
            expected = {
                (True, False): ChangedSide.DECLARED,
                (False, True): ChangedSide.OBSERVED,
                (True, True): ChangedSide.BOTH,
            }[moved]
            assert drift.side is expected, (field, moved)
        assert {step.id for step in plan.steps} == {step.id for step in judged.plan.steps} | {*judged.skipped}
        for step in judged.plan.steps:
            field = OPERATIONS[step.operation]
            if found[field].side is ChangedSide.OBSERVED:
                assert mode == "Heal", "what moved by itself is not touched"
                heals.setdefault((field, model.declared[field]), []).append(now)
            else:
                heals = {key: times for key, times in heals.items() if key[0] != field}
            model.run(step)
            drifts.record_success(step, now)
            before[field] = model.declared[field]
        for times in heals.values():
            assert sum(now - each < HOUR for each in times) <= 3, "two writers do not go on for ever"
        for field in FIELDS:
            if model.declared[field] == observed[field]:
                before[field] = observed[field]


# The page about it ------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_are_valid() -> None:
    page = (ROOT / "docs" / "explanation" / "drift.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 3
    desired = [desired_of(example) for example in examples]
    assert desired[0].stack.drift.mode == "Report"
    assert [waiver.field for waiver in desired[1].stack.drift.ignore_rules] == ["powerState"]
    assert len(desired[2].resources[WEB].drift.ignore_rules) == 4


@pytest.mark.parametrize(
    ("until", "last", "after"),
    [
        ("2026-12-31", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ("2026-12-31T18:00:00+02:00", "2026-12-31T15:59:59Z", "2026-12-31T16:00:00Z"),
        ("9999-12-31", "2026-12-31T18:00:00Z", ""),
        ("", "9999-12-31T23:59:59Z", ""),
    ],
)
def test_what_is_ignored_ends(until: str, last: str, after: str) -> None:
    entry = {"field": "memory", **({"until": until} if until else {})}
    (waiver,) = DriftPolicy.parse({"ignore": [entry]}, "VirtualMachine").ignore_rules
    assert waiver.in_force(None)
    assert waiver.in_force(datetime.fromisoformat(last))
    assert not after or not waiver.in_force(datetime.fromisoformat(after))


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("memory.size", ("memory", "size")),
        ("disks.vdb.cache", ("disks", "vdb", "cache")),
        ("disks[vdb].cache", ("disks", "vdb", "cache")),
        ("disks.*.cache", ("disks", "*", "cache")),
        ("nics.52:54:00:0A:00:01.qos", ("nics", "52:54:00:0a:00:01", "qos")),
        ("devices[/srv/usb.xml]", ("devices", "/srv/usb.xml")),
        (
            "nics[*].acls[to 100 ip4.src == 10.0.0.1].action",
            ("nics", "*", "acls", "to 100 ip4.src == 10.0.0.1", "action"),
        ),
    ],
)
def test_a_field_is_written_as_plans_print_it(field: str, path: tuple[str, ...]) -> None:
    assert field_path("VirtualMachine", field) == path


def test_a_resource_with_a_held_step_has_no_mark() -> None:
    with daemon(manifests(("powerState: Stopped", "powerState: Running"))) as run:
        run.text = manifests(("count: 2, max: 8", "count: 3, max: 8"))
        plan, _ = run.judge()
        assert {step.operation for step in plan.held} == {"StopVM"}
        assert [step.operation for step in plan.runnable] == ["ChangeNumberOfCPU"]
        assert not any(DECLARED in step.last_applied for step in plan.steps)


# At the edge ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("until", "steps"), [("2020-01-01", ["ResizeRAM"]), ("9999-12-31", [])])
def test_a_run_knows_what_day_it_is(until: str, steps: list[str]) -> None:
    text = manifests(drift=f"{{ignore: [{{field: memory.size, until: {until}}}]}}")
    with daemon() as run:
        run.memory(4)
        assert [step.operation for step in plan_of(run.cluster, desired_of(text)).steps] == steps
        made, _ = reconcile_once(run.cluster, desired_of(text), options=OPTIONS)
        assert [step.operation for step in made.steps] == steps
        assert run.shape["memory"]["size"] == (2 if steps else 4) * GIB
        assert any(
            "ignored until 9999-12-31: memory.size is 4Gi, 2Gi is declared" in explain_note(each) for each in made.notes
        ) is (not steps)


def test_what_is_ignored_makes_no_plan_with_changes(tmp_path: Path) -> None:
    ignoring = manifests(drift="{ignore: [{field: memory.size, reason: as people like}]}")
    (tmp_path / "shop.yaml").write_text(MANIFESTS)
    assert command(tmp_path, "apply", "--yes", tmp_path, "--allow", "restart").code == 0
    larger = command(tmp_path, "run", "vm/web-1", "ResizeRAM", "size=4194304", "config=true", "--yes")
    assert larger.code == 0, larger.err
    assert command(tmp_path, "--plan", "--detailed-exitcode", tmp_path).code == 2
    (tmp_path / "shop.yaml").write_text(ignoring)
    planned = command(tmp_path, "--plan", "--detailed-exitcode", tmp_path)
    assert planned.code == 0, planned.err
    assert "ignored: memory.size is 4Gi, 2Gi is declared: as people like" in planned.out
