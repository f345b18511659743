"""A bug in handling one thing blocks that thing; the daemon and the rest of the stack go on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from prometheus_client import generate_latest

from reconciler import LocalCluster
from reconciler.daemon.drift import detector
from reconciler.daemon.loop import sync_status
from reconciler.daemon.loop.controller import StackController
from reconciler.daemon.loop.daemon import Daemon, Signals
from reconciler.daemon.sources.trigger import TriggerQueue
from reconciler.daemon.status.metrics import DaemonMetrics
from reconciler.daemon.status.status_json import status_json
from reconciler.daemon.status.values import Sync
from reconciler.manifests import loader, validator
from reconciler.manifests.cross_checks import CrossChecks
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observed
from reconciler.planner import capabilities, changes, declaration, drafts, order, preconditions
from reconciler.planner.plan import Step
from support.controller import FILES, Clock, ControllerFixture, disk, pool
from support.scenario import served

POISON = "poison"
SECRET = "hunter2"  # what the text of an exception may quote
ID = ResourceId("VirtualMachinePool", POISON)


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[ControllerFixture]:
    folder = tmp_path / "shop"
    folder.mkdir()
    with served() as cluster:
        yield ControllerFixture(folder, cluster)


def raises_for_poison(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Have a function raise where an argument is, or is about, or is a step of what is called poison."""
    known = getattr(owner, name)

    def is_poison(value: Any) -> bool:
        value = getattr(value, "step", value)
        value = value.resource if isinstance(value, Step) else value
        value = getattr(value, "declared", value)
        id = getattr(value, "id", value)
        return getattr(id, "name", "") == POISON

    def patched(*arguments: Any, **options: Any) -> Any:
        if any(map(is_poison, arguments)):
            raise TypeError(SECRET)
        return known(*arguments, **options)

    monkeypatch.setattr(owner, name, patched)


BARRIERS = {
    "reading a file": (loader, "read_yaml"),
    "checking a manifest": (validator, "_check"),
    "checking it against the others": (CrossChecks, "add"),
    "its references": (CrossChecks, "_reference_problems"),
    "what differs": (changes, "_changes_of"),
    "its steps": (drafts, "_drafts_of"),
    "its drift": (detector.DriftDetector, "_evaluate_resource"),
    "whether drift is a reason to skip its steps": (detector.DriftDetector, "_skip_reason"),
    "whether its steps can be carried out": (capabilities, "_missing_capability"),
    "the order of its steps": (order, "_position"),
    "what its steps change": (preconditions, "_paths"),
    "what is noted of it": (declaration, "_noting"),
}


@pytest.mark.parametrize(("owner", "name"), BARRIERS.values(), ids=BARRIERS)
def test_a_bug_with_one_resource_blocks_that_and_what_relies_on_it(
    fixture: ControllerFixture,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: Any,
    name: str,
) -> None:
    if owner is not loader:
        raises_for_poison(monkeypatch, owner, name)
    else:
        known = loader.read_yaml

        def read(source: Any) -> Any:
            if POISON in source.name and "pool-b" not in source.text:
                raise TypeError(SECRET)
            return known(source)

        monkeypatch.setattr(loader, "read_yaml", read)
    fixture.write("good.yaml", pool("pool-a"))
    fixture.reconcile(FILES)  # as long as a file cannot be read, nobody knows whether it has the Stack
    fixture.write(f"{POISON}.yaml", pool(POISON) + disk("relies-on-it", POISON))
    fixture.settle(FILES)
    assert fixture.names() == {"pool-a"}
    with caplog.at_level(logging.ERROR, logger="reconciler"):
        fixture.settle(FILES)
    assert "Traceback" not in caplog.text, "logged the first time"
    (bug, *_) = fixture.controller.status.bugs
    assert (bug.scope, POISON in bug.where) == ("file" if owner is loader else "resource", True)
    assert "TypeError in daemon/test_barrier.py, line" in bug.message
    assert SECRET not in str(status_json(fixture.controller.status, fixture.clock.now()))
    fixture.write(f"{POISON}.yaml", pool("pool-b"))
    fixture.settle(FILES)
    assert fixture.names() == {"pool-a", "pool-b"}


def test_a_bug_in_what_two_resources_have_to_do_with_each_other_blocks_one(
    fixture: ControllerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is met with neither of them alone; what has nothing to do with them goes on."""
    known = order.in_waves

    def patched(inputs: Any, ordered: Any) -> Any:
        if {"pool-b", "pool-d"} <= {step.resource.name for step in ordered.steps}:
            raise TypeError(SECRET)
        return known(inputs, ordered)

    monkeypatch.setattr(order, "in_waves", patched)
    for name in "abcde":
        fixture.write(f"{name}.yaml", pool(f"pool-{name}"))
    fixture.reconcile(FILES)
    assert fixture.names() == {"pool-a", "pool-b", "pool-c", "pool-e"}
    assert fixture.sync("pool-d") is Sync.BLOCKED
    fixture.settle()
    assert fixture.names() == {f"pool-{name}" for name in "abcde"}, "the other has no step any more"


def test_a_bug_that_is_of_no_resource_is_of_the_whole_reconcile(
    fixture: ControllerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is met with every resource, which are not blocked one after the other."""
    for name in "abcdefgh":
        fixture.write(f"{name}.yaml", pool(f"pool-{name}"))
    calls: list[int] = []

    def always(*_: object) -> NoReturn:
        calls.append(1)
        raise TypeError(SECRET)

    for owner, name in ((order, "in_waves"), (order, "_position")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, always)
            assert "a bug in reconcile: TypeError" in fixture.reconcile(FILES).error
    assert fixture.names() == set()
    assert len(calls) < 100, "it does not take long to find out"


def test_a_traceback_is_logged_once_and_without_its_text(
    fixture: ControllerFixture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raises_for_poison(monkeypatch, changes, "_changes_of")
    fixture.write("a.yaml", pool(POISON))
    with caplog.at_level(logging.ERROR, logger="reconciler"):
        for _ in range(4):
            fixture.reconcile(FILES)
    assert caplog.text.count("in _changes_of") + caplog.text.count("in patched") == 1
    assert f"VirtualMachinePool/{POISON} meets a bug in reconcile: TypeError" in caplog.text
    assert SECRET not in caplog.text


def test_what_the_cluster_shows_of_a_resource_and_cannot_be_read_is_not_changed(
    fixture: ControllerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture.write("a.yaml", pool(POISON) + "---\n" + pool("pool-a"))
    fixture.settle(FILES)
    raises_for_poison(monkeypatch, Observed, "_shape")
    fixture.controller.resource_cache.relist()
    fixture.write("a.yaml", pool(POISON, autostart=True) + "---\n" + pool("pool-a", autostart=True))
    fixture.settle(FILES)
    assert fixture.sync(POISON) is Sync.BLOCKED
    assert [name for name, _ in fixture.operations() if name == POISON] == [POISON] * 1
    assert fixture.sync("pool-a") is Sync.SYNCED


def test_a_bug_in_a_whole_reconcile_is_its_error_and_the_next_one_is_tried(
    fixture: ControllerFixture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fixture.write("a.yaml", pool("pool-a"))
    with monkeypatch.context() as patched:
        raises = KeyError(SECRET)

        def fail(*_: object) -> NoReturn:
            raise raises

        patched.setattr(StackController, "_recover", fail)
        with caplog.at_level(logging.ERROR, logger="reconciler"):
            done = [fixture.reconcile(FILES) for _ in range(3)]
    assert all("a bug in reconcile: KeyError" in each.error for each in done)
    assert caplog.text.count("in fail") == 1
    (bug,) = fixture.controller.status.bugs
    assert (bug.scope, bug.count) == ("pass", 3)
    assert not fixture.reconcile(FILES).error
    assert fixture.names() == {"pool-a"}


def test_a_resource_whose_status_cannot_be_told_has_one_that_says_so(
    fixture: ControllerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture.write("a.yaml", pool(POISON) + "---\n" + pool("pool-a"))
    fixture.settle(FILES)
    raises_for_poison(monkeypatch, sync_status.SyncStatus, "_resource")
    fixture.reconcile(FILES)
    assert fixture.sync(POISON) is Sync.BLOCKED
    assert fixture.sync("pool-a") is Sync.SYNCED


def test_the_leader_outlives_a_bug_before_its_first_reconcile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standby would have met it as well, and nobody would be left."""
    signals, made = Signals(), list[int]()

    def make(options: object) -> NoReturn:
        made.append(1)
        signals.stops = len(made) >= 3
        raise ZeroDivisionError

    with LocalCluster(str(tmp_path / "cluster.db")) as cluster:
        clock = Clock()
        options = ControllerFixture(tmp_path, cluster, clock=clock).controller._options
        metrics = DaemonMetrics(lambda: daemon.status())

        daemon = Daemon(
            cluster,
            "shop",
            make,
            replace(options, on_bug=metrics.bug_met),
            TriggerQueue(clock.monotonic),
            signals,
            source="",
            serving=ExitStack,
        )
        monkeypatch.setattr(daemon, "_sleep", lambda seconds: None)
        daemon.run()
    assert len(made) == 3
    (bug,) = daemon.status().bugs
    assert (bug.scope, bug.where, bug.count) == ("pass", "stack shop", 3)
    assert b'reconcile_daemon_bugs_total{scope="pass"} 3.0' in generate_latest(metrics.registry)
