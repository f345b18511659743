"""python -m benchmarks.soak [RESOURCES] [MINUTES] [SEED]: a daemon's life, its time simulated.

A fleet of a file a resource is made, and then for every simulated minute thirty things happen to it, drawn by
SEED: files edited, added, removed and broken, machines and pools changed behind its back, operations that fail,
a cluster that does not answer or whose answer is lost, and the death of the daemon at any call to the cluster.
At the end of every minute each operation must have ended well as often as it was called for, neither less nor
more; every ten minutes a plan made from nothing must be empty. Printed are the counts, and the memory over time.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.fleet import documents
from reconciler import LocalCluster, Options, Policy, load, make_plan, observe, serving, validate
from reconciler.agent.embedded import simulators
from reconciler.clusters.base import Cluster
from reconciler.daemon.loop.controller import ControllerOptions, StackController
from reconciler.daemon.sources.desired_reader import DesiredReader
from reconciler.daemon.sources.trigger import Trigger, TriggerQueue
from reconciler.daemon.status.values import Reconciliation
from reconciler.drivers.base import Driver, HostSnapshot, Spec
from reconciler.drivers.capability import Capabilities
from reconciler.model.problem import OperationFailed, Unavailable
from reconciler.model.resource import ResourceId

THINGS = 30  # things that happen in a simulated minute
PATIENCE = 30.0  # real seconds until something counts as missed
POLICY = Policy(prune=True, allow=frozenset({"interrupt", "restart", "data"}))

Manifest = dict[str, Any]
Deed = tuple[str, str]  # the name of a resource, and a documented operation


class Killed(BaseException):
    """The daemon has died: nothing of it runs any more."""


class Clock:
    """Simulated time: it goes on as real time does, and further when it is told to."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def skip(self, seconds: float) -> None:
        self._skipped += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._skipped

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._skipped)


@dataclass
class Faults:
    """What goes wrong next, and how often it did."""

    chance: random.Random
    failing: set[str] = field(default_factory=set)  # names whose next operation fails
    storm: int = 0  # calls to the cluster of which some get no answer
    killed_in: int = 0  # calls until the daemon dies; 0 for never
    seen: Counter[str] = field(default_factory=Counter)

    def calm(self) -> None:
        self.failing.clear()
        self.storm = self.killed_in = 0


class Host:
    """A simulated host that fails when told to, and notes what it has done."""

    def __init__(self, under: Driver, faults: Faults, done: Counter[Deed]) -> None:
        self._under, self._faults, self._done = under, faults, done

    def capabilities(self) -> Capabilities:
        return self._under.capabilities()

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        if target.name in self._faults.failing:
            self._faults.failing.discard(target.name)
            self._faults.seen["operations that failed"] += 1
            raise OperationFailed("LibvirtError", "the host is out of sorts")
        moved = self._under.run(target, operation, parameters)
        self._done[target.name, operation] += 1
        return moved

    def observe(self, id: ResourceId) -> Spec | None:
        return self._under.observe(id)

    def inventory(self) -> Collection[ResourceId]:
        return self._under.inventory()

    def scan(self) -> HostSnapshot:
        return self

    def noticed(self) -> Collection[ResourceId]:
        return self._under.noticed()

    def close(self) -> None:
        self._under.close()


class Troubled:
    """A cluster on which a call may get no answer, before it has done anything or after, or may be a daemon's last."""

    CALLS = ("list", "get", "create", "update", "delete", "record", "records", "unfinished", "lease")

    def __init__(self, under: Cluster, faults: Faults) -> None:
        self._under, self._faults = under, faults

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._under, name)
        return self._perhaps(call) if name in self.CALLS else call

    def _perhaps(self, call: Callable[..., Any]) -> Callable[..., Any]:
        faults = self._faults

        def called(*args: Any, **given: Any) -> Any:
            error = self._error()
            late = error is not None and faults.chance.random() < 0.5
            if error is not None and not late:
                raise error
            answer = call(*args, **given)
            if error is None:
                return answer
            if hasattr(answer, "__exit__"):  # a lease: its holder's death gives it back
                answer.__exit__(None, None, None)
            raise error

        return called

    def _error(self) -> BaseException | None:
        faults = self._faults
        if faults.killed_in:
            faults.killed_in -= 1
            if not faults.killed_in:
                faults.seen["deaths"] += 1
                return Killed()
        if faults.storm:
            faults.storm -= 1
            if faults.chance.random() < 0.5:
                faults.seen["calls without an answer"] += 1
                return Unavailable("no answer")
        return None


class Soak:
    """A fleet, its manifests in ``folder``, and the daemon that keeps it. Raises ``AssertionError``."""

    def __init__(self, folder: Path, cluster: LocalCluster, count: int, seed: int) -> None:
        self.folder, self.cluster, self.count = folder, cluster, count
        self.chance = random.Random(seed)
        self.clock, self.triggers = Clock(), TriggerQueue(time.monotonic, quiet=0.0)
        self.faults = Faults(self.chance)
        self.done: Counter[Deed] = Counter()  # what hosts have done
        self.called_for: Counter[Deed] = Counter()  # what they should have, no more and no less
        self.happened: Counter[str] = Counter()
        self.cache_mismatches = 0
        self.reconciliations: list[Reconciliation] = []
        self.memory: list[float] = []  # MiB, at the end of every minute
        self._declared: dict[str, Manifest] = {}
        self._extra = 0
        self._broken: list[Manifest] = []
        self._restless: set[str] = set()  # what something has happened to in this minute
        self._controller: StackController | None = None

    # A life ------------------------------------------------------------------------------------------------

    @contextmanager
    def served(self) -> Iterator[None]:
        """Hosts that do what they are asked."""
        simulated = simulators(self.cluster)
        with serving(self.cluster, lambda node: Host(simulated(node), self.faults, self.done)):
            yield

    def begin(self) -> None:
        """Make the fleet."""
        for text in islice(documents(), self.count):
            self._write(yaml.load(text, yaml.CSafeLoader))
        self._turn()
        self._rest(lambda: len(self.done) > 0)
        self.done.clear()
        self._verify()

    def minute(self) -> None:
        """Let things happen, and then see that all of it has been dealt with."""
        self._restless.clear()
        for _ in range(THINGS):
            self.clock.skip(self.chance.expovariate(THINGS / 60))
            move = self.chance.choice(self.MOVES)
            while not move(self):
                move = self.chance.choice(self.MOVES)
            self.happened[move.__name__.strip("_").replace("_", " ")] += 1
            self._turn()
        self.faults.calm()
        for one in self._broken:
            self._write(one)
        self._broken.clear()
        self._rest(lambda: not self.called_for - self.done)
        twice, missed = self.done - self.called_for, self.called_for - self.done
        assert not twice, f"done more often than called for: {dict(twice)}"
        assert not missed, f"called for and not done: {dict(missed)}; {self._state()}"
        self.called_for.clear()
        self.done.clear()
        gc.collect()
        self.memory.append(_resident())

    def end(self) -> None:
        """Nothing is left to do, as far as a plan made from nothing can tell."""
        self._verify()
        assert not self.cache_mismatches, f"{self.cache_mismatches} full syncs found what the others had missed"
        if self._controller is not None:
            self._controller.resource_cache.stop()
            self._controller = None

    def _verify(self) -> None:
        plan = make_plan(validate(load([str(self.folder)])), observe(self.cluster), POLICY)
        assert not plan.steps, [step.id for step in plan.steps][:5]

    # The daemon --------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """What the loop of a daemon does until nothing is due."""
        while True:
            controller = self._controller or self._start()
            if self.triggers.due_in() != 0.0 and controller.due_in() > 0.0:
                return
            try:
                self.reconciliations.append(controller.reconcile(self.triggers.take()))
            except Killed:
                controller.resource_cache.stop()
                self._controller = None

    def _rest(self, reached: Callable[[], bool]) -> None:
        """Reconcile, the clock moving on to whatever is due next, until ``reached`` and nothing is planned."""
        end = time.monotonic() + PATIENCE + self.count / 20
        while True:
            self._turn()
            controller = self._controller or self._start()
            if reached() and not controller.status.problems and not controller.status.waiting and not self._under_way():
                return
            if time.monotonic() > end:
                return
            self.clock.skip(min(controller.due_in(), 1.0))
            time.sleep(0.001)

    def _state(self) -> str:
        """What the daemon says of itself."""
        status = (self._controller or self._start()).status
        steps = [(step.id, step.held_by) for step in status.plan.steps] if status.plan is not None else None
        return f"{status.problems=} {status.waiting=} {steps=} {status.reconciliations[:2]=}"

    def _under_way(self) -> bool:
        plan = self._controller.status.plan if self._controller is not None else None
        return plan is None or bool(plan.steps)

    def _start(self) -> StackController:
        options = ControllerOptions(
            policy=lambda stack: POLICY,
            monotonic=self.clock.monotonic,
            now=self.clock.now,
            random=self.chance.random,
            apply_options=Options(parallel=64, timeout=30),
            on_cache_mismatch=self._count_mismatch,
        )
        troubled: Any = Troubled(self.cluster, self.faults)
        self._controller = StackController(
            troubled, self.folder.name, DesiredReader([str(self.folder)], self.clock.monotonic), options
        )
        self._controller.resource_cache.start(self.triggers.add)
        return self._controller

    def _count_mismatch(self) -> None:
        self.cache_mismatches += 1

    # What happens ------------------------------------------------------------------------------------------

    def _edit_something(self) -> bool:
        kinds = {"VirtualMachinePool": self._edit_pool, "VirtualMachine": self._edit_machine}
        kind = self.chance.choice(sorted(kinds))
        return (one := self._pick(kind)) is not None and kinds[kind](one)

    def _edit_pool(self, one: Manifest) -> bool:
        one["spec"]["autostart"] = not one["spec"]["autostart"]
        self._write(one)
        return self._call_for(one, "AutoStartPool")

    def _edit_machine(self, one: Manifest) -> bool:
        running = one["spec"]["powerState"] == "Running"
        one["spec"]["powerState"] = "Stopped" if running else "Running"
        self._write(one)
        return self._call_for(one, "StopVM" if running else "StartVM")

    def _grow_a_disk(self) -> bool:
        if (one := self._pick("VirtualMachineDisk", "extra-")) is None:
            return False
        one["spec"]["capacity"] = f"{int(one['spec']['capacity'].removesuffix('Gi')) + 1}Gi"
        self._write(one)
        return self._call_for(one, "ResizeDisk")

    def _relabel_a_machine(self) -> bool:
        if (one := self._pick("VirtualMachine")) is None:
            return False
        one["metadata"]["labels"]["tier"] = self.chance.choice(["web", "data", "cache"])
        self._write(one)
        return True

    def _add_a_file(self) -> bool:
        pool = self.chance.choice([each for each in self._declared.values() if each["kind"] == "VirtualMachinePool"])
        self._extra += 1
        name = f"extra-{self._extra:05d}"
        self._restless.add(name)
        where = {"nodeName": pool["spec"]["nodeName"], "pool": pool["metadata"]["name"]}
        spec = {**where, "capacity": "10Gi", "deletionPolicy": "Delete"}
        one = {**pool, "kind": "VirtualMachineDisk", "metadata": {"name": name}, "spec": spec}
        self._write(one)
        return self._call_for(one, "CreateDisk")

    def _remove_a_file(self) -> bool:
        if (one := self._pick("VirtualMachineDisk", "extra-")) is None:
            return False
        del self._declared[one["metadata"]["name"]]
        file = self._file(one)
        file.unlink()
        self.triggers.add(Trigger("files", str(file)))
        return self._call_for(one, "DeleteDisk")

    def _break_a_file(self) -> bool:
        if (one := self._pick("VirtualMachinePool")) is None:
            return False
        self._publish(self._file(one), "kind: [")
        self._broken.append(one)
        return True

    def _stop_a_machine_by_hand(self) -> bool:
        one = self._pick("VirtualMachine")
        if one is None or one["spec"]["powerState"] != "Running":
            return False
        self._by_hand(one, "StopVMForce", {})
        return self._call_for(one, "StartVM")

    def _change_a_pool_by_hand(self) -> bool:
        if (one := self._pick("VirtualMachinePool")) is None:
            return False
        self._by_hand(one, "AutoStartPool", {"type": "localfs", "disable": one["spec"]["autostart"]})
        return self._call_for(one, "AutoStartPool")

    def _have_an_operation_fail(self) -> bool:
        before = set(self._restless)
        self._edit_something()
        self.faults.failing |= self._restless - before
        return self._restless != before

    def _have_calls_to_the_cluster_fail(self) -> bool:
        self.faults.storm = self.chance.randint(1, 10)
        return self._edit_something()

    def _kill_the_daemon(self) -> bool:
        self.faults.killed_in = self.chance.randint(1, 25)
        return self._edit_something()

    MOVES = (
        *(_edit_something, _grow_a_disk, _relabel_a_machine) * 2,
        *(_add_a_file, _remove_a_file, _break_a_file),
        *(_stop_a_machine_by_hand, _change_a_pool_by_hand),
        *(_have_an_operation_fail, _have_calls_to_the_cluster_fail, _kill_the_daemon),
    )

    # How ---------------------------------------------------------------------------------------------------

    def _pick(self, kind: str, prefix: str = "") -> Manifest | None:
        """Something that nothing has happened to in this minute: what is called for can then be counted."""
        names = [
            name
            for name, one in self._declared.items()
            if one["kind"] == kind and name.startswith(prefix) and name not in self._restless
        ]
        if not names:
            return None
        name = self.chance.choice(names)
        self._restless.add(name)
        return self._declared[name]

    def _call_for(self, one: Manifest, operation: str) -> bool:
        self.called_for[one["metadata"]["name"], operation] += 1
        return True

    def _file(self, one: Manifest) -> Path:
        return self.folder / f"{one['metadata']['name']}.yaml"

    def _write(self, one: Manifest) -> None:
        self._declared[one["metadata"]["name"]] = one
        self._publish(self._file(one), yaml.dump(one, Dumper=yaml.CSafeDumper))

    def _publish(self, file: Path, text: str) -> None:
        whole = file.with_suffix(".new")
        whole.write_text(text)
        whole.rename(file)
        self.triggers.add(Trigger("files", str(file)))

    def _by_hand(self, one: Manifest, operation: str, parameters: dict[str, Any]) -> None:
        """Another writer's operation, to its end."""
        id = ResourceId(one["kind"], one["metadata"]["name"])
        before = self.done[id.name, operation]
        resource = self.cluster.get(id)
        assert resource is not None
        resource["metadata"]["labels"]["eventId"] = f"by-hand-{self.happened.total()}"
        resource["spec"]["lifecycle"] = {operation[:1].lower() + operation[1:]: parameters}
        self.cluster.update(resource)
        self._call_for(one, operation)
        end = time.monotonic() + PATIENCE
        while self.done[id.name, operation] == before:
            assert time.monotonic() < end, f"{operation} of {id} by hand did not end"
            time.sleep(0.002)


def _resident() -> float:
    """MiB of memory that this process uses."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{number} x {what}" for what, number in sorted(counted.items()))


def main() -> None:
    logging.disable(logging.CRITICAL)
    count, minutes, seed = (int(word) for word in [*sys.argv[1:], *("10000", "60", "1")[len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "soak"
        folder.mkdir()
        with LocalCluster(Path(name) / "cluster.db") as cluster:
            soak = Soak(folder, cluster, count, seed)
            with soak.served():
                began = time.monotonic()
                soak.begin()
                print(f"{count} resources made in {time.monotonic() - began:.0f} s", flush=True)
                for minute in range(1, minutes + 1):
                    soak.minute()
                    if minute % 10 == 0:
                        soak._verify()
                        print(
                            f"minute {minute}: {soak.memory[-1]:.0f} MiB, {len(soak.reconciliations)} reconciles",
                            flush=True,
                        )
                soak.end()
                seconds = time.monotonic() - began
    third = max(1, minutes // 3)
    first, last = median(soak.memory[:third]), median(soak.memory[-third:])
    print(
        f"{soak.happened.total()} things happened: "
        + ", ".join(f"{n} x {what}" for what, n in sorted(soak.happened.items()))
    )
    print(f"faults: {dict(soak.faults.seen)}")
    full = sum(each.full for each in soak.reconciliations)
    print(f"{len(soak.reconciliations)} reconciles, {full} of them full, {seconds:.0f} s in all")
    print(f"memory: {first:.0f} MiB in the first third, {last:.0f} MiB in the last ({last / first:.2f})")


if __name__ == "__main__":
    main()
