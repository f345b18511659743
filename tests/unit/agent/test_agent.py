"""The agent: claims are safe, outcomes are not lost, nothing a cluster holds stops it."""

from __future__ import annotations

import copy
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler import serving
from reconciler.agent.agent import Agent
from reconciler.agent.observer import Observer
from reconciler.clusters.local import LocalCluster
from reconciler.drivers.base import Driver
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.event_id import ends_of
from reconciler.model.kinds import DISK, KINDS, MACHINE, POOL
from reconciler.model.problem import Conflict, Expired, NotFound, ReconcilerError, Unavailable
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import ADDRESSES, CLAIM, PAUSED_BY
from reconciler.output.log import configure
from reconciler.output.metrics import AgentMetrics, probe
from support.paths import ROOT

COMMAND = (sys.executable, "-c", "from reconciler.cli import main; main()")
PATIENCE = 30.0
NODE = "node22"
VMD = ResourceId(POOL, "vmd-pool")
VM = ResourceId(MACHINE, "web-1")
CREATE = {
    "createPool": {
        "type": "localfs",
        "content": "vmd",
        "url": "/var/lib/libvirt/vmd-pool",
        "uuid": "0123456789abcdef0123456789abcdef",
    }
}
METADATA = {
    "labels": {"host": NODE, "eventId": "e-1", "team": "web"},
    "annotations": {"gitops.doslab.io/last-applied": '{"a": 1}'},
    "finalizers": ["example.org/keep"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}],
}


class Faulty:
    """The cluster, but a test says which calls fail: before they are made, or after, with the answer lost."""

    def __init__(self, inner: LocalCluster) -> None:
        self.inner = inner
        self.before: dict[str, list[BaseException | None]] = {}
        self.after: dict[str, list[BaseException | None]] = {}
        self.then: dict[str, Callable[[], object]] = {}  # what happens once, just before a call
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.inner, name)
        if name not in ("get", "list", "create", "update", "delete", "watch", "lease"):
            return real

        def call(*words: Any, **given: Any) -> Any:
            what = "event" if name == "create" and words[0]["kind"] == "Event" else name
            self.calls.append(what)
            if happens := self.then.pop(what, None):
                happens()
            if (planned := self.before.get(what)) and (error := planned.pop(0)):
                raise error
            answer = real(*words, **given)
            if (planned := self.after.get(what)) and (error := planned.pop(0)):
                raise error
            return answer

        return call


class Counting:
    """A driver that counts what it runs, and does what the test says first."""

    def __init__(self, inner: Driver) -> None:
        self.inner = inner
        self.ran: list[tuple[str, str]] = []
        self.first: Callable[[str], object] = lambda operation: None

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        self.ran.append((operation, target.name))
        self.first(operation)
        return self.inner.run(target, operation, parameters)

    def scan(self) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Stage:
    """A cluster that can fail, one node on it, and an agent that never really sleeps."""

    def __init__(self) -> None:
        self.cluster = LocalCluster(":memory:")
        self.faulty = Faulty(self.cluster)
        self.simulator = Simulator(self.cluster.world(), NODE)
        self.driver = Counting(self.simulator)
        self.slept: list[float] = []
        self.clock = 0.0

    def agent(self, **given: Any) -> Agent:
        cluster, driver = self.faulty, self.driver
        given = {"sleep": self.sleep, "monotonic": lambda: self.clock, "node": NODE, **given}
        return Agent(cluster, lambda host: driver if host == NODE else None, **given)  # type: ignore[arg-type]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock += seconds

    def submit(self, lifecycle: Any, id: ResourceId = VMD, spec: Any = None, **metadata: Any) -> None:
        spec = spec if spec is not None else {"nodeName": NODE, "lifecycle": lifecycle}
        if (current := self.cluster.get(id)) is not None:
            current["spec"] = {**current["spec"], **spec}
            self.cluster.update(current)
            return
        given = {"labels": {"host": NODE, "eventId": "e-1"}, **metadata}
        self.cluster.create(
            {
                "apiVersion": "doslab.io/v1",
                "kind": id.kind,
                "metadata": {"name": id.name, "namespace": "default", **given},
                "spec": spec,
            }
        )

    def spec(self, id: ResourceId = VMD) -> dict[str, Any]:
        resource = self.cluster.get(id)
        assert resource is not None
        return dict(resource["spec"])

    def status(self, id: ResourceId = VMD) -> tuple[str, str]:
        waiting = self.spec(id)["status"]["conditions"]["state"]["waiting"]
        return waiting["reason"], waiting["message"]

    def events(self, **fields: str) -> list[Resource]:
        found = self.cluster.list("Event").items
        return [event for event in found if all(event.get(key) == value for key, value in fields.items())]

    def ends(self) -> list[tuple[str, str]]:
        return [(id, type) for event in self.events() for id, type, *_ in ends_of(event)]


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.cluster.close()


def until(true: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Wait for other threads or processes to make something so."""
    end = time.monotonic() + patience
    while not (found := true()):
        assert time.monotonic() < end, "it never came to be"
        threading.Event().wait(0.01)
    return found


# One operation -------------------------------------------------------------------------------------------------


def test_metadata_survives_every_write_byte_for_byte(stage: Stage) -> None:
    stage.submit(CREATE, **METADATA)
    before = (stage.cluster.get(VMD) or {})["metadata"]
    agent = stage.agent()
    assert agent.serve(VMD)
    stage.submit({"stopPool": {}})
    assert agent.serve(VMD)
    stage.submit({"nonsense": {}})
    assert agent.serve(VMD)
    after = (stage.cluster.get(VMD) or {})["metadata"]
    assert json.dumps({**after, "resourceVersion": before["resourceVersion"]}) == json.dumps(before)
    assert METADATA.items() <= after.items()
    assert stage.spec()["pool"]["state"] == "inactive"
    assert CLAIM not in stage.spec()


def test_the_claim_stands_until_the_outcome_is_written(stage: Stage) -> None:
    stage.submit(CREATE)
    seen: list[dict[str, Any]] = []
    stage.driver.first = lambda operation: seen.append(stage.spec())
    assert stage.agent().serve(VMD)
    assert seen == [{"nodeName": NODE, CLAIM: "createPool"}]
    assert CLAIM not in stage.spec()


def test_an_operation_takes_as_few_calls_as_it_can(stage: Stage) -> None:
    stage.submit(CREATE)
    assert stage.agent().serve(VMD)
    assert stage.faulty.calls == ["get", "update", "event", "get", "update", "event"]


@pytest.mark.parametrize(
    ("lifecycle", "said"),
    [
        ({"flyToTheMoon": {}}, "flyToTheMoon is not an operation of VirtualMachinePool"),
        ({"startVM": {}}, "startVM is not an operation"),
        ({"createPool": None}, "parameters must be an object"),
        ({"createPool": "x"}, "parameters must be an object"),
        ({"createPool": {"colour": "red"}}, "colour"),
        ({"createPool": {**CREATE["createPool"], "type": {"deep": [1]}}}, "type"),
        (["startPool"], "spec.lifecycle must be an object"),
        ("startPool", "spec.lifecycle must be an object"),
        (7, "spec.lifecycle must be an object"),
        ({"": {}}, "? is not an operation"),
        ({"x, status:Done, reporter:me, eventId:other": {}}, "is not an operation"),
        ({"я" * 4000: {}}, "is not an operation"),
    ],
)
def test_what_is_damaged_is_reported_and_the_next_operation_works(stage: Stage, lifecycle: Any, said: str) -> None:
    stage.submit(lifecycle)
    agent = stage.agent()
    assert agent.serve(VMD)
    assert stage.driver.ran == []
    reason, message = stage.status()
    assert (reason, said in message) == ("Exception", True), message
    assert not {"lifecycle", CLAIM} & set(stage.spec())
    assert stage.ends() == [("e-1", "Warning")]
    assert_valid(stage.events())
    stage.submit(CREATE)
    assert agent.serve(VMD)
    assert stage.status()[0] == "Ready"


def test_a_spec_that_is_no_object_is_reported(stage: Stage) -> None:
    stage.submit(None, spec=["what"])
    agent = stage.agent()
    assert agent.serve(VMD)
    assert stage.status() == ("Exception", "spec must be an object")
    assert stage.ends() == [("e-1", "Warning")]
    assert not agent.serve(VMD)
    stage.submit(CREATE)
    assert agent.serve(VMD)
    assert stage.status()[0] == "Ready"


def test_keys_of_the_spec_that_nobody_knows_do_no_harm(stage: Stage) -> None:
    stage.submit(None, spec={"lifecycle": CREATE, "colour": None, "status": "odd", "pool": 7})
    assert stage.agent().serve(VMD)
    assert stage.spec()["pool"]["state"] == "active"


def test_of_several_operations_the_first_runs_and_the_others_are_named(stage: Stage) -> None:
    stage.submit({"startPool": {}, **CREATE, "stopPool": {}})
    assert stage.agent().serve(VMD)
    assert stage.driver.ran == [("CreatePool", "vmd-pool")]
    (ignored,) = [event for event in stage.events() if "status:Ignored" in event["note"]]
    assert (ignored["type"], "operation:startPool stopPool," in ignored["note"]) == ("Warning", True)
    assert stage.ends() == [("e-1", "Normal")]


@pytest.mark.parametrize(
    ("labels", "id"),
    [
        ({"eventId": "ours", "kubestack.label.event.id": "theirs"}, "ours"),
        ({"kubestack.label.event.id": "theirs"}, "theirs"),
        ({}, "-1"),
    ],
)
def test_the_event_id_of_either_client_generation_is_reported(stage: Stage, labels: dict[str, str], id: str) -> None:
    stage.submit(CREATE, labels={"host": NODE, **labels})
    assert stage.agent().serve(VMD)
    assert stage.ends() == [(id, "Normal")]


def assert_valid(events: list[Resource]) -> None:
    """As the validation of events.k8s.io/v1 counts: bytes."""
    for event in events:
        sizes = {key: len(event[key].encode()) for key in ("note", "action", "reason", "reportingInstance")}
        assert sizes["note"] <= 1024
        assert all(0 < sizes[key] <= 128 for key in ("action", "reason", "reportingInstance"))
        assert event["regarding"]["namespace"] == event["metadata"]["namespace"]


def test_events_fit_a_real_api_however_long_names_are(stage: Stage) -> None:
    id = ResourceId(POOL, "p" * 253)
    stage.submit({key * 20: {} for key in ("someKey", "otherKey", "thirdKey")}, id)
    assert stage.agent().serve(id)
    assert len(stage.events()) == 3
    stage.submit(CREATE, labels={"host": NODE, "eventId": "e" * 1500})
    assert stage.agent().serve(VMD)
    assert_valid(stage.events())


def test_a_fault_of_the_driver_is_reported_and_does_not_tell_secrets(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "-".join(("correct", "horse"))

    def stumble(operation: str) -> None:
        raise KeyError(secret)

    stage.submit(CREATE)
    stage.driver.first = stumble
    agent = stage.agent()
    with caplog.at_level(logging.INFO, "reconciler"):
        assert agent.serve(VMD)
    assert stage.status()[0] == "Exception"
    assert "KeyError" in stage.status()[1]
    assert "in stumble" in caplog.text
    assert secret not in caplog.text + json.dumps(stage.spec()) + json.dumps(stage.events())
    assert stage.ends() == [("e-1", "Warning")]
    stage.driver.first = lambda operation: None
    stage.submit(CREATE)
    assert agent.serve(VMD)
    assert stage.status()[0] == "Ready"


# A cluster that fails ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["get", "update"])
@pytest.mark.parametrize("nth", [0, 1])
@pytest.mark.parametrize("error", [Unavailable("gone"), Conflict("moved")])
def test_no_outcome_is_lost_and_nothing_runs_twice(
    stage: Stage, when: str, call: str, nth: int, error: Exception
) -> None:
    if isinstance(error, Conflict) and call == "get":
        pytest.skip("reading conflicts with nothing")
    stage.submit(CREATE)
    getattr(stage.faulty, when)[call] = [None] * nth + [error] * 3
    assert stage.agent().serve(VMD)
    assert stage.driver.ran == [("CreatePool", "vmd-pool")]
    assert stage.spec()["pool"]["state"] == "active"
    assert not {"lifecycle", CLAIM} & set(stage.spec())
    assert stage.ends() == [("e-1", "Normal")]


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_event_of_the_end_is_told_once_however_often_the_cluster_fails(stage: Stage, when: str) -> None:
    stage.submit(CREATE)
    getattr(stage.faulty, when)["event"] = [None, *[Unavailable("gone")] * 3]
    assert stage.agent().serve(VMD)
    assert stage.ends() == [("e-1", "Normal")]


def test_events_that_cannot_be_made_stop_nothing(stage: Stage) -> None:
    stage.submit(CREATE)
    stage.faulty.before["event"] = [NotFound("no such namespace")] * 9
    assert stage.agent().serve(VMD)
    assert stage.status()[0] == "Ready"
    assert stage.events() == []


def test_pauses_grow_up_to_a_limit(stage: Stage) -> None:
    stage.submit(CREATE)
    stage.driver.first = lambda operation: stage.faulty.before.update(update=[Unavailable("gone")] * 9)
    assert stage.agent().serve(VMD)
    assert stage.slept == sorted(stage.slept)
    assert (stage.slept[0], stage.slept[-1]) == (0.1, 5.0)


def test_a_stopped_agent_gives_up_on_a_cluster_in_time_and_the_next_one_reports(stage: Stage) -> None:
    stage.submit(CREATE)
    agent = stage.agent(drain=20.0)

    def stop(operation: str) -> None:
        agent.stop()
        stage.faulty.before["get"] = [Unavailable("gone")] * 1000

    stage.driver.first = stop
    assert agent.serve(VMD)
    assert 20 <= stage.clock < 30
    assert stage.spec()[CLAIM] == "createPool"
    stage.faulty.before.clear()
    with stage.agent():
        until(lambda: CLAIM not in stage.spec())
    assert len(stage.driver.ran) == 1


def test_a_resource_deleted_during_its_operation_is_not_made_anew(stage: Stage) -> None:
    stage.submit(CREATE)
    stage.driver.first = lambda operation: stage.cluster.delete(VMD)
    assert stage.agent().serve(VMD)
    assert stage.cluster.get(VMD) is None


def test_an_operation_submitted_meanwhile_survives(stage: Stage) -> None:
    stage.submit(CREATE)
    stage.driver.first = lambda operation: stage.submit({"stopPool": {}})
    agent = stage.agent()
    assert agent.serve(VMD)
    assert stage.spec()["lifecycle"] == {"stopPool": {}}
    stage.driver.first = lambda operation: None
    assert agent.serve(VMD)
    assert [operation for operation, _ in stage.driver.ran] == ["CreatePool", "StopPool"]


def test_what_one_operation_writes_leaves_the_claim_of_another(stage: Stage) -> None:
    stage.submit(CREATE)
    agent = stage.agent()
    assert agent.serve(VMD)
    stage.submit(None, spec={CLAIM: "stopPool"})
    disk = ResourceId(DISK, "data")
    given = {"type": "localfs", "pool": "vmd-pool", "format": "qcow2", "capacity": "10000000000"}
    stage.submit({"createDisk": given}, disk)
    touches = stage.driver.run
    stage.driver.run = lambda *words: {*touches(*words), VMD}  # type: ignore[method-assign]
    assert agent.serve(disk)
    assert stage.spec(disk)["volume"]["pool"] == "vmd-pool"
    assert stage.spec()[CLAIM] == "stopPool"


@pytest.mark.parametrize("labels", [{"host": "node23"}, {}])
@pytest.mark.parametrize("there", [True, False])
def test_what_an_operation_changes_on_another_node_is_left_to_its_agent(
    stage: Stage, labels: dict[str, str], there: bool
) -> None:
    stage.submit(CREATE)
    agent = stage.agent()
    assert agent.serve(VMD)
    theirs = stage.cluster.get(VMD)
    assert theirs is not None
    stage.cluster.update({**theirs, "metadata": {**theirs["metadata"], "labels": labels}, "spec": {"mark": "theirs"}})
    disk = ResourceId(DISK, "data")
    given = {"type": "localfs", "pool": "vmd-pool", "format": "qcow2", "capacity": "10000000000"}
    stage.submit({"createDisk": given}, disk)
    touches, observe = stage.driver.run, stage.simulator.observe
    stage.driver.run = lambda *words: {*touches(*words), VMD}  # type: ignore[method-assign]
    stage.driver.observe = lambda id: observe(id) if there or id != VMD else None  # type: ignore[attr-defined]
    assert agent.serve(disk)
    assert stage.spec(disk)["volume"]["pool"] == "vmd-pool"
    assert stage.spec() == {"mark": "theirs"}


def test_the_target_is_written_last_so_that_its_claim_covers_the_rest(stage: Stage) -> None:
    stage.submit(CREATE)
    agent = stage.agent()
    assert agent.serve(VMD)
    written: list[str] = []
    observe = stage.simulator.observe
    stage.driver.observe = lambda id: (written.append(id.name), observe(id))[1]  # type: ignore[attr-defined]
    touches = stage.driver.run
    stage.driver.run = lambda *words: [words[0], VMD, *touches(*words)]  # type: ignore[method-assign]
    disk = ResourceId(DISK, "data")
    given = {"type": "localfs", "pool": "vmd-pool", "format": "qcow2", "capacity": "10000000000"}
    stage.submit({"createDisk": given}, disk)
    assert agent.serve(disk)
    assert written[-1] == "data"
    assert written.count("data") == 1


def test_what_is_written_is_never_older_than_what_it_replaces(stage: Stage) -> None:
    def move() -> None:
        Simulator(stage.cluster.world(), NODE).run(VMD, "StopPool", {})

    stage.submit(CREATE)
    stage.driver.first = lambda operation: stage.faulty.then.update(get=move)
    assert stage.agent().serve(VMD)
    assert stage.spec()["pool"]["state"] == "inactive"


def test_a_claim_left_behind_is_reported_before_the_next_operation_takes_its_place(stage: Stage) -> None:
    stage.submit(None, spec={"nodeName": NODE, CLAIM: "stopPool", "lifecycle": CREATE})
    assert stage.agent().serve(VMD)
    assert stage.driver.ran == [("CreatePool", "vmd-pool")]
    ends = {(event["action"], end.type, end.lost) for event in stage.events() for end in ends_of(event)}
    assert ends == {("stopPool", "Warning", True), ("createPool", "Normal", False)}


def left_by_a_dead_agent(stage: Stage, operation: str) -> list[tuple[str, str]]:
    """Make a pool, have it go, and have an agent take up the claim that another one left on it."""
    stage.submit(CREATE)
    agent = stage.agent()
    assert agent.serve(VMD)
    simulator = Simulator(stage.cluster.world(), NODE)
    simulator.run(VMD, "StopPool", {"type": "localfs"})
    simulator.run(VMD, "DeletePool", {"type": "localfs"})
    stage.submit(None, spec={CLAIM: operation})
    agent.node_scan.recover([stage.cluster.get(VMD)])  # type: ignore[list-item]
    ended = [(event["action"], event["type"]) for event in stage.events() if list(ends_of(event))]
    return [end for end in ended if end != ("createPool", "Normal")]


def test_a_deletion_whose_agent_died_is_told_as_done_when_the_thing_is_gone(stage: Stage) -> None:
    assert left_by_a_dead_agent(stage, "deletePool") == [("deletePool", "Normal")]
    assert stage.cluster.get(VMD) is None


def test_what_is_gone_after_another_operation_is_shown_as_gone(stage: Stage) -> None:
    assert left_by_a_dead_agent(stage, "startPool") == [("startPool", "Warning")]
    assert set(stage.spec()) == {"nodeName", "status"}, "a pool that is not there must not look as if it were"


# Serving a node ------------------------------------------------------------------------------------------------


def test_it_survives_a_cluster_that_comes_and_goes(stage: Stage) -> None:
    for call in ("list", "watch", "lease"):
        stage.faulty.before[call] = [Unavailable("gone")] * 3
    with stage.agent() as agent:
        until(lambda: agent.ready)
        stage.submit(CREATE)
        until(lambda: "pool" in stage.spec())
    assert stage.ends() == [("e-1", "Normal")]


def test_different_resources_are_worked_on_at_once(stage: Stage) -> None:
    meet = threading.Barrier(2, timeout=PATIENCE)
    stage.driver.first = lambda operation: meet.wait()
    for name in ("one-pool", "two-pool"):
        given = {
            **CREATE["createPool"],
            "url": f"/var/lib/libvirt/{name}",
            "uuid": name.replace("-", "").ljust(32, "0"),
        }
        stage.submit({"createPool": given}, ResourceId(POOL, name))
    with stage.agent():
        until(lambda: len(stage.ends()) == 2)
    assert stage.ends() == [("e-1", "Normal")] * 2


def test_one_agent_serves_a_node_and_the_next_takes_over(stage: Stage) -> None:
    with stage.agent(holder="second"[:6]) as first:
        until(lambda: first.ready)
        second = stage.agent(holder="".join(["sec", "ond"]))
        second.start()
        threading.Event().wait(0.2)
        assert not second.ready
        assert second.healthy
    until(lambda: second.ready)
    stage.submit(CREATE)
    until(lambda: "pool" in stage.spec())
    second.stop()
    assert second.join(PATIENCE)


def test_without_its_lease_it_picks_up_nothing(stage: Stage) -> None:
    class Losable:
        lost = unsure = False

        def __enter__(self) -> Losable:
            return self

        def __exit__(self, *exc: object) -> None: ...

    leases: list[Losable] = []
    free = threading.Event()

    def lease(name: str, holder: str, *, wait: float = 0.0, annotation: str = "") -> Losable:
        from reconciler.model.problem import Busy

        if leases and not free.wait(0.01):
            raise Busy("another has it")
        leases.append(Losable())
        return leases[-1]

    stage.faulty.lease = lease  # type: ignore[attr-defined]
    with stage.agent() as agent:
        until(lambda: agent.ready)
        leases[0].lost = True
        stage.submit(CREATE)
        until(lambda: not agent.ready)
        assert stage.driver.ran == []
        free.set()
        until(lambda: stage.driver.ran)
    assert len(leases) == 2


def test_a_claim_left_behind_is_reported_once_and_never_run(stage: Stage) -> None:
    Simulator(stage.cluster.world(), NODE).run(VMD, "CreatePool", CREATE["createPool"])
    stage.submit(None, spec={"nodeName": NODE, CLAIM: "createPool"}, **METADATA)
    with stage.agent() as agent:
        until(lambda: agent.ready)
    with stage.agent() as agent:
        until(lambda: agent.ready)
    assert stage.driver.ran == []
    assert stage.spec()["pool"]["state"] == "active"
    assert stage.status()[0] == "Exception"
    assert "stopped during createPool" in stage.status()[1]
    assert stage.ends() == [("e-1", "Warning")]


def test_a_relist_reports_nothing_that_is_under_way_here(stage: Stage) -> None:
    stage.submit(CREATE)
    inside, go = threading.Event(), threading.Event()
    stage.driver.first = lambda operation: (inside.set(), go.wait(PATIENCE))

    class Heard(Observer):
        again = 0

        def restarted(self) -> None:
            self.again += 1

    hooks = Heard()
    watches = stage.cluster.watch
    expire = threading.Event()

    def watch(**given: Any) -> Any:
        real = watches(**given)
        original = real.next

        def next(timeout: float) -> Any:
            if expire.is_set():
                expire.clear()
                raise Expired("too old")
            return original(min(timeout, 0.05))

        real.next = next  # type: ignore[method-assign]
        return real

    stage.faulty.watch = watch  # type: ignore[attr-defined]
    with stage.agent(observer=hooks) as agent:
        assert inside.wait(PATIENCE)
        expire.set()
        until(lambda: hooks.again)
        listed = len(stage.faulty.calls)
        until(lambda: agent.ready and stage.faulty.calls[listed - 1 :])
        go.set()
        until(lambda: "pool" in stage.spec())
    assert stage.status()[0] == "Ready"
    assert stage.ends() == [("e-1", "Normal")]
    assert len(stage.driver.ran) == 1


def test_a_claim_listed_before_it_ended_is_not_reported(stage: Stage) -> None:
    """The list is older than the end of the operation: what counts is what stands there now."""
    stage.submit(None, spec={CLAIM: "createPool"}, **METADATA)
    listed = [copy.deepcopy(stage.cluster.get(VMD))]
    stage.submit(None, spec={CLAIM: None})
    stage.agent().node_scan.recover(listed)  # type: ignore[arg-type]
    assert stage.events() == []


# Looking at the node -------------------------------------------------------------------------------------------


def test_what_moves_by_another_hand_is_seen_at_start_and_from_time_to_time(stage: Stage) -> None:
    host = Simulator(stage.cluster.world(), NODE)
    host.run(VMD, "CreatePool", CREATE["createPool"])
    with stage.agent() as agent:
        found = until(lambda: stage.cluster.get(VMD))
        assert found["metadata"]["labels"] == {"host": NODE}
        host.run(VMD, "StopPool", {})
        until(lambda: agent.ready)
        assert stage.spec()["pool"]["state"] == "active"
        stage.clock += 61
        until(lambda: stage.spec()["pool"]["state"] == "inactive")
        host.run(VMD, "DeletePool", {})
        stage.clock += 61
        until(lambda: "pool" not in stage.spec())
    assert stage.status() == ("Exception", "VirtualMachinePool/vmd-pool is not on node node22 any more")
    assert stage.events() == []


@pytest.mark.parametrize("metadata", [{"labels": {"host": "node23"}}, {"deletionTimestamp": "2026-11-23T00:00:00Z"}])
def test_what_is_another_nodes_or_is_being_deleted_is_left_alone(stage: Stage, metadata: dict[str, Any]) -> None:
    Simulator(stage.cluster.world(), NODE).run(VMD, "CreatePool", CREATE["createPool"])
    stage.submit(None, spec={"nodeName": NODE, "lifecycle": {"stopPool": {}}}, **metadata)
    before = stage.cluster.get(VMD)
    agent = stage.agent()
    with agent:
        until(lambda: agent.ready)
        until(lambda: stage.faulty.calls.count("list") >= 2 * len(KINDS))
        assert not agent.serve(VMD)
    assert stage.cluster.get(VMD) == before


def test_a_failure_stays_to_be_seen_when_the_thing_moves(stage: Stage) -> None:
    stage.submit(CREATE)
    agent = stage.agent()
    assert agent.serve(VMD)
    stage.submit({"nonsense": {}})
    assert agent.serve(VMD)
    Simulator(stage.cluster.world(), NODE).run(VMD, "StopPool", {})
    agent.node_scan.run()
    assert stage.spec()["pool"]["state"] == "inactive"
    assert stage.status()[0] == "Exception"


def test_what_the_driver_cannot_look_at_keeps_nobody_from_seeing_the_rest(stage: Stage) -> None:
    pools = [ResourceId("VirtualMachinePool", name) for name in ("pool-a", "pool-b")]
    for id in pools:
        stage.submit(None, id, spec={"nodeName": NODE, "pool": {"state": "active"}})

    def observe(id: ResourceId) -> Any:
        if id == pools[0]:
            raise ZeroDivisionError("a bug of the driver")
        return stage.simulator.observe(id)

    stage.driver.observe = observe  # type: ignore[attr-defined]
    stage.agent().node_scan.run()
    assert "pool" in stage.spec(pools[0])
    assert "pool" not in stage.spec(pools[1])


class Frozen:
    """A sight that goes on saying what was so when it was made."""

    def __init__(self, driver: Driver) -> None:
        self.specs = {id: driver.observe(id) for id in driver.inventory()}

    def inventory(self) -> Collection[ResourceId]:
        return list(self.specs)

    def observe(self, id: ResourceId) -> Any:
        return self.specs[id]


def test_a_look_at_what_has_not_moved_asks_for_nothing_singly(stage: Stage) -> None:
    ids = [ResourceId(POOL, f"pool-{number}") for number in range(5)]
    for id in ids:
        stage.simulator.run(id, "CreatePool", {**CREATE["createPool"], "url": f"/var/{id.name}"})
    stage.driver.scan = lambda: Frozen(stage.simulator)  # type: ignore[method-assign]
    agent = stage.agent()
    agent.node_scan.run()
    assert all("pool" in stage.spec(id) for id in ids)

    def observe(id: ResourceId) -> Any:
        raise AssertionError(f"{id} is asked for singly")

    stage.driver.observe = observe  # type: ignore[attr-defined]
    stage.faulty.calls.clear()
    versions = [stage.cluster.get(id)["metadata"]["resourceVersion"] for id in ids]  # type: ignore[index]
    agent.node_scan.run()
    assert set(stage.faulty.calls) == {"list"}
    assert [stage.cluster.get(id)["metadata"]["resourceVersion"] for id in ids] == versions  # type: ignore[index]


def test_an_address_is_written_when_it_changes_and_not_again(stage: Stage) -> None:
    shown: dict[str, Any] = {"nodeName": NODE, "powerstate": "Running", "domain": {"_id": 1}}
    stage.driver.inventory = lambda: [VM]  # type: ignore[attr-defined]
    stage.driver.observe = lambda id: dict(shown)  # type: ignore[attr-defined]
    agent = stage.agent()
    agent.node_scan.run()
    changes: dict[str, list[Any]] = {
        ADDRESSES: [
            [{"mac": "52:54:00:0a:00:01", "address": each, "source": "lease"}] for each in ("10.0.0.9", "10.0.0.10")
        ],
        PAUSED_BY: ["I/O error"],
    }
    for key, values in changes.items():
        for value in (*values, None):
            if value is None:
                del shown[key]
            else:
                shown[key] = value
            stage.faulty.calls.clear()
            agent.node_scan.run()
            assert stage.faulty.calls.count("update") == 1, (key, value)
            assert stage.spec(VM).get(key) == shown.get(key)
            stage.faulty.calls.clear()
            agent.node_scan.run()
            assert set(stage.faulty.calls) == {"list"}, "nothing has changed"
    assert stage.events() == []


@pytest.mark.parametrize("known", [True, False])
def test_what_was_stored_since_a_look_is_not_overwritten_with_what_it_saw(stage: Stage, known: bool) -> None:
    stage.simulator.run(VMD, "CreatePool", CREATE["createPool"])
    agent = stage.agent()
    if known:
        agent.node_scan.run()
    stage.simulator.run(VMD, "StopPool", {})
    looks = 0

    def look() -> Frozen:
        """Before the second look is used, an operation on something else has moved the pool, and stored that."""
        nonlocal looks
        looks += 1
        sight = Frozen(stage.simulator)
        if looks == 2:
            stage.simulator.run(VMD, "StartPool", {})
            stage.submit(None, spec=stage.simulator.observe(VMD))
        return sight

    stage.driver.scan = look  # type: ignore[method-assign]
    agent.node_scan.run()
    assert looks == 2
    assert stage.spec()["pool"]["state"] == "active"


def test_what_an_operation_took_since_a_look_does_not_come_back(stage: Stage) -> None:
    stage.submit(CREATE)
    agent = stage.agent()
    assert agent.serve(VMD)
    looks = 0

    def look() -> Frozen:
        nonlocal looks
        looks += 1
        sight = Frozen(stage.simulator)
        if looks == 1:
            stage.submit({"deletePool": {"type": "localfs"}})
            assert agent.serve(VMD)
            assert stage.cluster.get(VMD) is None
        return sight

    stage.simulator.run(VMD, "StopPool", {})
    stage.driver.scan = look  # type: ignore[method-assign]
    agent.node_scan.run()
    assert stage.cluster.get(VMD) is None


def test_what_the_driver_notices_is_shown_once_it_is_not_busy(stage: Stage) -> None:
    stage.submit(CREATE)
    agent = stage.agent(resync=1e9)
    assert agent.serve(VMD)
    assert agent.queue.acquire(VMD)
    scanned, noticed = threading.Event(), [set[ResourceId](), {VMD}]
    stage.driver.inventory = lambda: scanned.set() or stage.simulator.inventory()  # type: ignore[attr-defined]
    stage.driver.noticed = lambda: noticed.pop() if noticed else ()  # type: ignore[attr-defined]
    with agent:
        assert scanned.wait(PATIENCE)
        stage.simulator.run(VMD, "StopPool", {})

        def passes(count: int) -> bool:
            stage.clock += 1.0
            return len(noticed) <= count

        until(lambda: passes(0))
        assert stage.spec()["pool"]["state"] == "active"
        agent.queue.release(VMD)
        until(lambda: passes(0) and stage.spec()["pool"]["state"] == "inactive")


def test_a_bug_before_the_claim_is_not_run_into_again_at_once(stage: Stage) -> None:
    stage.submit(CREATE)
    tried: list[str] = []

    def driver_for(host: str) -> Any:
        tried.append(host)
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError("a bug of the host")
        return stage.driver

    agent = Agent(stage.faulty, driver_for, node=NODE, sleep=stage.sleep, monotonic=lambda: stage.clock)  # type: ignore[arg-type]
    assert agent.queue.acquire(VMD)
    worker = threading.Thread(target=agent.service.work, args=(VMD,))
    worker.start()
    worker.join(PATIENCE)
    assert not worker.is_alive()
    assert len(tried) == 1
    assert agent.queue.postponed(VMD)


def test_an_operation_whose_notice_was_lost_runs_at_the_next_look(stage: Stage) -> None:
    class Deaf:
        def next(self, timeout: float) -> list[Any]:
            threading.Event().wait(0.02)
            return []

        def close(self) -> None: ...

    stage.faulty.watch = lambda **given: Deaf()  # type: ignore[attr-defined]
    with stage.agent() as agent:
        until(lambda: agent.ready)
        until(lambda: stage.faulty.calls.count("list") >= 2 * len(KINDS))
        stage.submit(CREATE)
        stage.clock += 61
        until(lambda: "pool" in stage.spec())


def test_an_operation_seen_while_the_resource_is_looked_at_runs_at_the_next_turn(stage: Stage) -> None:
    stage.submit(CREATE)
    with stage.agent() as agent:
        until(lambda: agent.ready and "pool" in stage.spec())
        observe, looked = stage.driver.observe, threading.Event()

        def during(id: ResourceId) -> Any:
            if not looked.is_set():
                stage.submit({"stopPool": {}})
                until(lambda: VMD in agent.queue.seen_while_busy)
                looked.set()
            return observe(id)

        stage.driver.observe = during  # type: ignore[attr-defined]
        stage.clock += 61
        assert looked.wait(PATIENCE)
        until(lambda: stage.spec()["pool"]["state"] == "inactive", 5)


# With the embedded agent ---------------------------------------------------------------------------------------


def test_the_embedded_agent_leaves_a_node_to_an_agent_of_its_own(stage: Stage) -> None:
    other = ResourceId(POOL, "far-pool")
    with stage.agent() as agent:
        until(lambda: agent.ready)
        with serving(stage.cluster):
            stage.submit(CREATE)
            stage.submit(CREATE, other, labels={"host": "node23"})
            until(lambda: "pool" in stage.spec() and "pool" in stage.spec(other))
            assert stage.driver.ran == [("CreatePool", "vmd-pool")]
            agent.stop()
            assert agent.join(PATIENCE)
            stage.submit({"stopPool": {}})
            until(lambda: stage.spec()["pool"]["state"] == "inactive")
    assert stage.driver.ran == [("CreatePool", "vmd-pool")]


def test_the_embedded_agent_reports_no_claim_of_an_agent_that_lives(stage: Stage) -> None:
    stage.submit(CREATE)
    inside, go = threading.Event(), threading.Event()
    stage.driver.first = lambda operation: (inside.set(), go.wait(PATIENCE))
    with stage.agent():
        assert inside.wait(PATIENCE)
        with serving(stage.cluster):
            stage.submit(CREATE, ResourceId(POOL, "far-pool"), labels={"host": "node23"})
            until(lambda: "pool" in stage.spec(ResourceId(POOL, "far-pool")))
        go.set()
        until(lambda: "pool" in stage.spec())
    assert stage.status()[0] == "Ready"
    assert [type for _, type in stage.ends()] == ["Normal", "Normal"]


def test_the_embedded_agent_gives_an_idle_node_to_an_agent_of_its_own(stage: Stage) -> None:
    with serving(stage.cluster):
        stage.submit(CREATE)
        until(lambda: "pool" in stage.spec())
        with stage.agent() as agent:
            until(lambda: agent.ready)
            stage.submit({"stopPool": {}})
            until(lambda: stage.driver.ran)
    for number in range(200):
        id = ResourceId(POOL, f"pool-{number}")
        stage.submit({"stopPool": {}}, id, labels={"host": f"node-{number}"})
    with serving(stage.cluster):
        until(lambda: len(stage.ends()) == 202)
    with stage.cluster.lease("agent node-7", "test"):
        pass


# The command ---------------------------------------------------------------------------------------------------


@contextmanager
def command(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RECONCILE_CLUSTER", None)
    given = ["agent", "--node", NODE, "--driver", "simulator", "--cluster", "c.db", "--listen", "", *words]
    process = subprocess.Popen([*COMMAND, *given], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def filed(tmp_path: Path) -> Iterator[Stage]:
    """As ``stage``, but on a file that other processes share."""
    stage = Stage()
    stage.cluster.close()
    stage.cluster = LocalCluster(tmp_path / "c.db")
    yield stage
    stage.cluster.close()


def test_killed_in_an_operation_the_next_start_reports_it_once_and_never_runs_it(filed: Stage, tmp_path: Path) -> None:
    filed.submit(CREATE)
    with command(tmp_path, "--latency", "60") as process:
        until(lambda: CLAIM in filed.spec())
        process.send_signal(signal.SIGKILL)
        process.wait()
    for _ in range(2):
        with command(tmp_path) as process:
            if CLAIM in filed.spec():
                until(lambda: CLAIM not in filed.spec())
                until(filed.ends)
            else:
                assert process.stderr is not None
                assert "serving" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    assert "pool" not in filed.spec()
    assert filed.status()[0] == "Exception"
    assert filed.ends() == [("e-1", "Warning")]


def test_sigterm_finishes_what_is_under_way_and_takes_nothing_more(filed: Stage, tmp_path: Path) -> None:
    filed.submit(CREATE)
    with command(tmp_path, "--latency", "1.5") as process:
        until(lambda: CLAIM in filed.spec())
        process.send_signal(signal.SIGTERM)
        threading.Event().wait(0.3)
        filed.submit({"stopPool": {}})
        _, log = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    assert filed.spec()["pool"]["state"] == "active"
    assert filed.spec()["lifecycle"] == {"stopPool": {}}
    assert filed.ends() == [("e-1", "Normal")]
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["message"].split()[0] for line in lines] == ["serving", "claimed", "done"]
    assert lines[1]["operation"] == "createPool"
    assert lines[2]["resource"] == str(VMD)
    assert "/var/lib" not in log, "parameters may be secret"
    with filed.cluster.lease(f"agent {NODE}", "test"):
        pass


def test_a_second_signal_does_not_wait(filed: Stage, tmp_path: Path) -> None:
    filed.submit(CREATE)
    with command(tmp_path, "--latency", "60") as process:
        until(lambda: CLAIM in filed.spec())
        process.send_signal(signal.SIGTERM)
        threading.Event().wait(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 1
    assert filed.spec()[CLAIM] == "createPool"


def test_a_port_that_is_taken_is_named_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with command(tmp_path, "--listen", listen) as process:
            _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert said.splitlines() == [
        f"error: --listen {listen}: address already in use; choose another port, or '' for none."
    ]
    with (
        pytest.raises(ReconcilerError, match="not HOST:PORT"),
        probe("here", healthy=bool, ready=bool, registry=AgentMetrics().registry),
    ):
        pass


def page(where: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{where}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_and_metrics_over_http(stage: Stage) -> None:
    metrics = AgentMetrics()
    agent = stage.agent(observer=metrics)
    metrics.since_beat.set_function(lambda: agent.since_beat)
    stage.submit(None, spec={CLAIM: "stopPool"}, **METADATA)
    checks = {"healthy": lambda: agent.healthy, "ready": lambda: agent.ready}
    with probe("127.0.0.1:0", **checks, registry=metrics.registry) as where:  # type: ignore[arg-type]
        assert [page(where, path)[0] for path in ("/healthz", "/readyz", "/nowhere")] == [503, 503, 404]
        with agent:
            until(lambda: agent.ready)
            assert [page(where, path)[0] for path in ("/healthz", "/readyz")] == [200, 200]
            stage.submit(CREATE)
            until(lambda: "pool" in stage.spec())
            stage.submit({"whatever": {}})
            until(lambda: len(stage.ends()) == 3)
        assert [page(where, path)[0] for path in ("/healthz", "/readyz")] == [503, 503]
        text = page(where, "/metrics")[1]
    of = 'kind="VirtualMachinePool",operation='
    for line in (
        f'reconcile_agent_operations_total{{{of}"createPool",outcome="done"}} 1.0',
        f'reconcile_agent_operations_total{{{of}"unknown",outcome="failed"}} 1.0',
        f'reconcile_agent_operation_seconds_count{{{of}"createPool"}} 1.0',
        f'reconcile_agent_recovered_claims_total{{{of}"stopPool"}} 1.0',
        "reconcile_agent_operations_under_way 0.0",
        "reconcile_agent_watch_restarts_total 0.0",
        "reconcile_agent_seconds_since_turn ",
    ):
        assert line in text, text


def test_a_loop_that_hangs_is_not_healthy(stage: Stage) -> None:
    hangs, go = threading.Event(), threading.Event()
    stage.faulty.then["list"] = lambda: (hangs.set(), go.wait(PATIENCE))
    with stage.agent() as agent:
        assert hangs.wait(PATIENCE)
        assert agent.healthy
        stage.clock += 61
        assert not agent.healthy
        go.set()
        until(lambda: agent.healthy)


def test_the_log_is_text_for_people_and_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal:
        def __init__(self) -> None:
            self.text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None: ...

    log, terminal = logging.getLogger("reconciler"), Terminal()
    try:
        configure(terminal)  # type: ignore[arg-type]
        log.getChild("agent").info("claimed %s", "x", extra={"resource": "VirtualMachine/web-1"})
        assert terminal.text.endswith("INFO    claimed x\n")
        configure(sys.stderr)
        log.getChild("agent").info("claimed %s", "x", extra={"resource": "VirtualMachine/web-1"})
        line = json.loads(capsys.readouterr().err)
        assert (line["level"], line["message"], line["resource"]) == ("info", "claimed x", "VirtualMachine/web-1")
    finally:
        log.handlers[:] = []
        log.setLevel(logging.NOTSET)
