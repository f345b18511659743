"""The daemon: rounds with time simulated, and whole processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scenario import OPTIONS, served

from reconciler import LocalCluster, Policy
from reconciler.apply import Outcome
from reconciler.clusters.base import Listing
from reconciler.clusters.local import LocalCluster as Local
from reconciler.daemon.hint import Hint
from reconciler.daemon.input import Input
from reconciler.daemon.keeper import Keeper, Ways
from reconciler.daemon.status import Pass, Sync
from reconciler.embedded import serving, simulators
from reconciler.eventid import done_of
from reconciler.observe import observe
from reconciler.problem import OperationFailed, Unavailable
from reconciler.resource import ResourceId

PATIENCE = 30.0
RECONCILE = str(Path(sys.executable).with_name("reconcile"))
POOL = ResourceId("VirtualMachinePool", "pool-a")
FILES = Hint("files")
CLUSTER = Hint("cluster")


class Killed(BaseException):
    """The process has died: nothing of it runs any more."""


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self.seconds)


class Term:
    """A keeper of the manifests in a folder, on a cluster of its own, round by round."""

    def __init__(self, folder: Path, cluster: Local, *, prune: bool = False, clock: Clock | None = None) -> None:
        self.folder, self.cluster, self.clock = folder, cluster, clock or Clock()
        self.differed = 0
        self.killed_at: Callable[[Outcome], None] = lambda outcome: None
        ways = Ways(
            policy=lambda stack: Policy(allow=frozenset({"restart", "data"}) | stack.allow, prune=prune or stack.prune),
            monotonic=self.clock.monotonic,
            now=self.clock.now,
            options=OPTIONS,
            on_outcome=lambda outcome: self.killed_at(outcome),
            on_differed=self._differ,
        )
        self.keeper = Keeper(cluster, folder.name, Input([str(folder)], self.clock.monotonic), ways)

    def _differ(self) -> None:
        self.differed += 1

    def write(self, name: str, text: str) -> Hint:
        (self.folder / name).write_text(text)
        return Hint("files", str(self.folder / name))

    def round(self, *hints: Hint) -> Pass:
        """Look at the cluster as it is now, without a thread that follows it."""
        self.keeper.mirror._lost = True
        return self.keeper.round(hints)

    def settle(self, *hints: Hint) -> list[Pass]:
        """Rounds until nothing is left to do at once."""
        rounds = [self.round(*hints)]
        while self.keeper.due_in() == 0.0 or self._waits():
            assert len(rounds) < 1000, "it does not come to rest"
            rounds.append(self.round())
        return rounds

    def _waits(self) -> bool:
        """Whether something was under way, at whose end a watch would hint."""
        plan = self.keeper.status.plan
        return plan is not None and any("under way" in note.text for note in plan.notes)

    def names(self) -> set[str]:
        return {id.name for id, each in observe(self.cluster).resources.items() if each.exists}

    def sync(self, name: str) -> Sync:
        return next(view.sync for view in self.keeper.status.views() if view.id.name == name)

    def operations(self) -> Counter[tuple[str, str]]:
        """How often each operation of each resource has ended."""
        ended = [event for event in self.cluster.list("Event").items if list(done_of(event))]
        return Counter((event["regarding"]["name"], event["action"]) for event in ended)


def pool(name: str, *, autostart: bool = False, spec: str = "") -> str:
    return f"""apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {{name: {name}}}
spec: {{nodeName: node22, type: localfs, url: /var/lib/libvirt/{name}, autostart: {str(autostart).lower()}{spec}}}
"""


def disk(name: str, pool: str, size: str = "10Gi") -> str:
    return f"""---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {{name: {name}}}
spec: {{nodeName: node22, pool: {pool}, capacity: {size}}}
"""


@pytest.fixture
def term(tmp_path: Path) -> Iterator[Term]:
    folder = tmp_path / "shop"
    folder.mkdir()
    with served() as cluster:
        yield Term(folder, cluster)


# Rounds ------------------------------------------------------------------------------------------------------


def test_it_makes_what_is_declared_and_then_rests(term: Term) -> None:
    term.write("a.yaml", pool("pool-a") + disk("root", "pool-a"))
    first, second = term.settle()
    assert (first.full, first.error, first.results) == (True, "", {"created": 2})
    assert (second.planned, second.results) == (0, {})
    assert term.names() == {"pool-a", "root"}
    assert 0 < term.keeper.due_in() <= 600
    assert {view.sync for view in term.keeper.status.views()} == {Sync.SYNCED}


def test_a_saved_file_moves_what_it_is_about_and_nothing_else(term: Term) -> None:
    term.write("a.yaml", pool("pool-a"))
    term.write("b.yaml", pool("pool-b"))
    term.settle()
    rounds = term.settle(term.write("b.yaml", pool("pool-b", autostart=True)))
    assert rounds[0].results == {"changed": 1}
    assert not rounds[0].full
    assert term.operations()["pool-b", "autoStartPool"] == 1


def test_drift_is_taken_back_and_told_on_the_resource(term: Term) -> None:
    term.write("a.yaml", pool("pool-a", spec=", state: Active"))
    term.settle()
    by_hand(term.cluster, POOL, "stopPool", {"type": "localfs"})
    rounds = term.settle(CLUSTER)
    assert rounds[0].results == {"changed": 1}
    reasons = {event["reason"] for event in term.cluster.list("Event").items}
    assert {"DriftFound", "DriftHealed"} <= reasons


def by_hand(cluster: LocalCluster, id: ResourceId, key: str, parameters: dict[str, str]) -> None:
    """Have an operation run that no plan asks for, and wait for its end."""
    resource = cluster.get(id)
    assert resource is not None
    resource["metadata"]["labels"]["eventId"] = "by-hand"
    resource["spec"]["lifecycle"] = {key: parameters}
    cluster.update(resource)
    until(lambda: not observe(cluster).resources[id].under_way)


def until(true: Callable[[], object], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


def test_what_is_wrong_stays_as_it_was_and_the_rest_goes_on(term: Term) -> None:
    term.write("a.yaml", pool("pool-a"))
    term.write("b.yaml", pool("pool-b"))
    term.settle()
    term.write("c.yaml", pool("pool-c"))
    hint = term.write("a.yaml", pool("pool-a", spec=", colour: red"))
    rounds = term.settle(hint, FILES)
    assert rounds[0].results == {"created": 1}
    assert not any(each.error for each in rounds)
    (problem,) = term.keeper.status.problems
    assert "colour" in str(problem)
    term.settle(term.write("a.yaml", pool("pool-a", autostart=True)))
    assert term.keeper.status.problems == ()
    assert term.operations()["pool-a", "autoStartPool"] == 1


def test_nothing_is_pruned_while_a_part_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    with served() as cluster:
        term = Term(folder, cluster, prune=True)
        term.write("a.yaml", pool("pool-a"))
        term.write("b.yaml", pool("pool-b"))
        term.write("c.yaml", pool("pool-c"))
        term.settle()
        term.write("b.yaml", "a: [\n")
        (folder / "a.yaml").unlink()
        term.settle(FILES)
        term.clock.seconds += 100
        term.settle(FILES)
        assert term.names() == {"pool-a", "pool-b", "pool-c"}
        term.write("b.yaml", pool("pool-b"))
        term.settle(FILES)
        term.clock.seconds += 100
        term.settle(FILES)
        assert term.names() == {"pool-b", "pool-c"}


def test_without_a_stack_that_can_be_read_nothing_is_done(term: Term) -> None:
    term.write("a.yaml", pool("pool-a"))
    term.write("reconcile.yaml", "apiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: [\n")
    done = term.round()
    assert "cannot be used" in done.error
    assert term.names() == set()
    assert term.keeper.due_in() > 0


def test_another_name_of_the_stack_is_not_taken_over(term: Term) -> None:
    stack = "apiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {{name: {}}}\nspec: {{}}\n"
    term.write("reconcile.yaml", stack.format("shop"))
    term.write("a.yaml", pool("pool-a"))
    term.settle()
    rounds = term.settle(term.write("reconcile.yaml", stack.format("other")))
    assert [each.planned for each in rounds] == [0]
    assert "begun as shop" in str(term.keeper.status.problems[0])


class Failing:
    """A simulated host on which nothing can be done with one resource."""

    def __init__(self, driver: Any, broken: str) -> None:
        self._driver, self._broken = driver, broken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def run(self, id: ResourceId, operation: str, parameters: Any) -> Any:
        if id.name == self._broken:
            raise OperationFailed("LibvirtError", "no space left")
        return self._driver.run(id, operation, parameters)


def test_what_fails_is_tried_later_and_later_and_holds_nothing_back(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    cluster = LocalCluster(":memory:")
    driver: Any = Failing(simulators(cluster)("node22"), "huge")
    with serving(cluster, lambda node: driver):
        term = Term(folder, cluster)
        term.write("a.yaml", pool("pool-a") + disk("huge", "pool-a"))
        term.write("b.yaml", pool("pool-b"))
        term.settle()
        assert term.names() == {"pool-a", "pool-b"}
        assert term.sync("huge") is Sync.FAILED
        waits = []
        for _ in range(4):
            assert term.round(CLUSTER).results == {}, "not before its time"
            waits.append(term.keeper.due_in())
            term.clock.seconds += waits[-1] + 0.001
            assert term.round().results == {"failed": 1}
        assert waits == sorted(waits)
        assert waits[-1] > 4 * waits[0]
        driver._broken = ""
        term.settle(term.write("a.yaml", pool("pool-a") + disk("huge", "pool-a", "9Gi")))
        assert term.sync("huge") is Sync.SYNCED, "what is declared anew is tried at once"
    cluster.close()


def test_a_cluster_that_does_not_answer_is_looked_at_again(term: Term, monkeypatch: pytest.MonkeyPatch) -> None:
    term.write("a.yaml", pool("pool-a", spec=", state: Active"))
    term.settle()

    def fail(*args: object, **given: object) -> Listing:
        raise Unavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(term.cluster, "list", fail)
        assert term.round(CLUSTER).error == "gone"
    assert 0 < term.keeper.due_in() <= 1
    by_hand(term.cluster, POOL, "stopPool", {"type": "localfs"})
    term.clock.seconds += 1
    assert term.keeper.round().results == {"changed": 1}, "what moved meanwhile is not missed"


def test_a_full_round_finds_what_the_others_had(term: Term) -> None:
    term.write("a.yaml", pool("pool-a") + disk("root", "pool-a"))
    term.settle()
    for size in ("20Gi", "30Gi"):
        term.settle(term.write("a.yaml", pool("pool-a") + disk("root", "pool-a", size)))
        term.clock.seconds += 601
        (done,) = term.settle()
        assert (done.full, done.causes) == (True, ("resync",))
    assert term.differed == 0


@pytest.mark.parametrize("boundary", range(8))
def test_who_dies_between_any_two_steps_leaves_nothing_undone_or_done_twice(tmp_path: Path, boundary: int) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    seen: list[Outcome] = []

    def die(outcome: Outcome) -> None:
        seen.append(outcome)
        if len(seen) == boundary:
            raise Killed

    with served() as cluster:
        term = Term(folder, cluster)
        term.write(
            "a.yaml", "---\n".join(pool(f"pool-{n}", autostart=True) + disk(f"disk-{n}", f"pool-{n}") for n in (1, 2))
        )
        term.killed_at = die
        if boundary:
            with suppress(Killed):
                term.settle()
        next_term = Term(folder, cluster)
        next_term.settle()
        assert next_term.names() == {"pool-1", "pool-2", "disk-1", "disk-2"}
        assert set(next_term.operations().values()) == {1}
        assert next_term.round().planned == 0


# Processes ---------------------------------------------------------------------------------------------------


@contextmanager
def daemon(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """``reconcile watch`` on the manifests in ``folder/shop``; ends, by force if it must."""
    log = folder / f"log-{time.monotonic_ns()}"
    command = [RECONCILE, "watch", "--cluster", str(folder / "c.db"), "--listen", "", *words]
    with open(log, "w") as stream:
        process = subprocess.Popen([*command, str(folder / "shop")], stderr=stream, text=True)
    try:
        yield process, log
    finally:
        process.kill()
        process.wait(PATIENCE)


def says(log: Path, text: str) -> Callable[[], bool]:
    return lambda: any(text in json.loads(line)["message"] for line in log.read_text().splitlines() if line[:1] == "{")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.yaml").write_text(pool("pool-a"))
    return tmp_path


def test_the_next_one_takes_over_from_one_that_was_killed(shop: Path) -> None:
    with daemon(shop) as (first, log):
        until(says(log, "created: CreatePool"))
        with daemon(shop) as (second, other):
            until(says(other, "standing by"))
            first.send_signal(signal.SIGKILL)
            until(says(other, "acting for the stack shop"))
            (shop / "shop" / "a.yaml").write_text(pool("pool-a", autostart=True))
            until(says(other, "changed: AutoStartPool"))
            second.send_signal(signal.SIGTERM)
            assert second.wait(PATIENCE) == 0
    with LocalCluster(str(shop / "c.db")) as cluster:
        ends = Counter(event["action"] for event in cluster.list("Event").items if list(done_of(event)))
    assert ends == {"createPool": 1, "autoStartPool": 1}


def test_sighup_has_it_read_everything_again(shop: Path) -> None:
    with daemon(shop, "--polling", "100000") as (process, log):
        until(says(log, "created: CreatePool"))
        (shop / "shop" / "b.yaml").write_text(pool("pool-b"))
        process.send_signal(signal.SIGHUP)
        until(says(log, "created: CreatePool of VirtualMachinePool/pool-b"))


def test_a_repository_is_followed_and_its_commit_recorded(shop: Path) -> None:
    def git(*words: str) -> str:
        identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
        environment = {**os.environ, **identity, "GIT_COMMITTER_EMAIL": "a@b"}
        done = subprocess.run(
            ["git", "-C", str(shop), *words], env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    git("add", "shop")
    git("commit", "-qm", "one")
    words = ["--git", str(shop), "--path", "shop", "--interval", "1", "--checkouts", str(shop / "checkouts")]
    log = shop / "log"
    command = [RECONCILE, "watch", "--cluster", str(shop / "c.db"), "--listen", "", *words]
    with open(log, "w") as stream:
        process = subprocess.Popen(command, stderr=stream, text=True)
    try:
        until(says(log, "created: CreatePool of VirtualMachinePool/pool-a"))
        (shop / "shop" / "b.yaml").write_text(pool("pool-b"))
        git("add", "shop")
        git("commit", "-qm", "two")
        until(says(log, "created: CreatePool of VirtualMachinePool/pool-b"))
        commit = git("rev-parse", "HEAD")[:12]
        lines: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        assert [each["commit"] for each in lines if "created: CreatePool" in each["message"]][-1] == commit
        with LocalCluster(str(shop / "c.db")) as cluster:
            assert any(entry.get("commit") == commit for entry in cluster.records("shop"))
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["watch", "--git", "x", "manifests"], "--git and PATHs exclude each other"),
        (["--watch", "-"], "Standard input cannot be watched"),
        (["watch", "nowhere"], "cannot be read"),
        (["watch", "--allow", "everything", "shop"], "--allow takes"),
        (["watch", "--listen", "nonsense", "shop"], "nonsense"),
    ],
)
def test_what_cannot_be_watched_is_said(shop: Path, words: list[str], told: str) -> None:
    done = subprocess.run([RECONCILE, *words], cwd=shop, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
