"""The daemon: rounds with time simulated, and whole processes."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster
from reconciler.agent.embedded import serving, simulators
from reconciler.apply import Outcome
from reconciler.clusters.base import Listing
from reconciler.daemon.status.pages import blocked
from reconciler.daemon.status.values import Sync
from reconciler.model.event_id import ends_of
from reconciler.model.journal import EntryType
from reconciler.model.problem import OperationFailed, Unavailable
from reconciler.model.resource import ResourceId
from support.controller import CLUSTER, FILES, PATIENCE, POOL, ControllerFixture, by_hand, disk, pool, until
from support.replica import replica, says
from support.scenario import served

RECONCILE = str(Path(sys.executable).with_name("reconcile"))


class Killed(BaseException):
    """The process has died: nothing of it runs any more."""


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[ControllerFixture]:
    folder = tmp_path / "shop"
    folder.mkdir()
    with served() as cluster:
        yield ControllerFixture(folder, cluster)


# Rounds ------------------------------------------------------------------------------------------------------


def test_it_makes_what_is_declared_and_then_rests(fixture: ControllerFixture) -> None:
    fixture.write("a.yaml", pool("pool-a") + disk("root", "pool-a"))
    first, second = fixture.settle()
    assert (first.full, first.error, first.results) == (True, "", {"created": 2})
    assert (second.planned, second.results) == (0, {})
    assert fixture.names() == {"pool-a", "root"}
    assert 0 < fixture.controller.due_in() <= 600
    assert {view.sync for view in fixture.controller.status.resources()} == {Sync.SYNCED}


def test_a_saved_file_moves_what_it_is_about_and_nothing_else(fixture: ControllerFixture) -> None:
    fixture.write("a.yaml", pool("pool-a"))
    fixture.write("b.yaml", pool("pool-b"))
    fixture.settle()
    rounds = fixture.settle(fixture.write("b.yaml", pool("pool-b", autostart=True)))
    assert rounds[0].results == {"changed": 1}
    assert not rounds[0].full
    assert fixture.operations()["pool-b", "autoStartPool"] == 1


def test_drift_is_taken_back_and_told_on_the_resource(fixture: ControllerFixture) -> None:
    fixture.write("a.yaml", pool("pool-a", spec=", state: Active"))
    fixture.settle()
    by_hand(fixture.cluster, POOL, "stopPool", {"type": "localfs"})
    rounds = fixture.settle(CLUSTER)
    assert rounds[0].results == {"changed": 1}
    reasons = {event["reason"] for event in fixture.cluster.list("Event").items}
    assert {"DriftFound", "DriftHealed"} <= reasons


def test_what_was_deleted_while_nobody_looked_is_not_made_again(tmp_path: Path) -> None:
    with LocalCluster(":memory:") as cluster:
        with serving(cluster):
            before = ControllerFixture(tmp_path, cluster)
            before.write("a.yaml", pool("pool-a") + disk("root", "pool-a"))
            before.settle()
        cluster.delete(ResourceId("VirtualMachineDisk", "root"))
        with serving(cluster):
            after = ControllerFixture(tmp_path, cluster)
            assert {str(each.results) for each in after.settle()} == {"{}"}
        assert after.operations()["root", "createDisk"] == 1
        (problem,) = after.controller.status.blocking
        assert problem.message == "VirtualMachineDisk/root exists and belongs to no stack"


def test_what_is_wrong_stays_as_it_was_and_the_rest_goes_on(fixture: ControllerFixture) -> None:
    fixture.write("a.yaml", pool("pool-a"))
    fixture.write("b.yaml", pool("pool-b"))
    fixture.settle()
    fixture.write("c.yaml", pool("pool-c"))
    hint = fixture.write("a.yaml", pool("pool-a", spec=", colour: red"))
    rounds = fixture.settle(hint, FILES)
    assert rounds[0].results == {"created": 1}
    assert not any(each.error for each in rounds)
    assert [each.problems for each in rounds] == [1] * len(rounds)
    (problem,) = fixture.controller.status.problems
    assert "colour" in str(problem)
    fixture.settle(fixture.write("a.yaml", pool("pool-a", autostart=True)))
    assert fixture.controller.status.problems == ()
    assert fixture.operations()["pool-a", "autoStartPool"] == 1


def test_what_is_blocked_is_no_success_and_logged_once(
    fixture: ControllerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    fixture.write("a.yaml", pool("pool-a"))
    fixture.settle()
    before = fixture.controller.status.succeeded
    assert before is not None
    fixture.clock.seconds += 10
    moved = pool("pool-a").replace("/var/lib/libvirt/", "/srv/")
    hints = fixture.write("a.yaml", moved), fixture.write("b.yaml", pool("pool-b") + disk("disk-a", "pool-a"))
    with caplog.at_level(logging.WARNING):
        fixture.settle(*hints)
        fixture.settle(FILES)
    assert len([record for record in caplog.records if "cannot be changed" in record.getMessage()]) == 1
    assert fixture.names() == {"pool-a", "pool-b"}, "the rest goes on"
    status = fixture.controller.status
    assert status.succeeded == before
    assert {each.id.name: each.sync for each in status.resources()} == {
        "pool-a": Sync.BLOCKED,
        "pool-b": Sync.SYNCED,
        "disk-a": Sync.BLOCKED,
    }
    fixture.settle(fixture.write("a.yaml", pool("pool-a")))
    assert fixture.controller.status.succeeded != before
    assert fixture.names() == {"pool-a", "pool-b", "disk-a"}


def test_a_prune_that_goes_too_far_is_no_success(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    with served() as cluster:
        fixture = ControllerFixture(folder, cluster, prune=True)
        fixture.write("reconcile.yaml", "apiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: shop}\n")
        fixture.write("a.yaml", pool("pool-a"))
        fixture.settle()
        before = fixture.controller.status.succeeded
        (folder / "a.yaml").unlink()
        fixture.settle(FILES)
        fixture.clock.seconds += 100
        done = fixture.settle(FILES)[-1]
        assert (done.problems, fixture.controller.status.succeeded) == (1, before)
        assert blocked(fixture.controller.status) == ["blocked by 1 error, see /status"]


def test_a_resource_whose_manifest_is_wrong_gets_no_step(fixture: ControllerFixture) -> None:
    """Not by its last good manifest either: what was changed together is not carried out in part."""
    fixture.write("a.yaml", pool("pool-a"))
    fixture.settle()
    hints = (
        fixture.write("a.yaml", pool("pool-a", spec=", colour: red")),
        fixture.write("b.yaml", disk("disk-a", "pool-a")),
    )
    fixture.settle(*hints)
    assert fixture.names() == {"pool-a"}
    fixture.settle(fixture.write("a.yaml", "a: [\n"))
    assert fixture.names() == {"pool-a"}
    fixture.settle(fixture.write("a.yaml", pool("pool-a")))
    assert fixture.names() == {"pool-a", "disk-a"}


def test_nothing_is_pruned_while_a_part_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    with served() as cluster:
        fixture = ControllerFixture(folder, cluster, prune=True)
        fixture.write("a.yaml", pool("pool-a"))
        fixture.write("b.yaml", pool("pool-b"))
        fixture.write("c.yaml", pool("pool-c"))
        fixture.settle()
        fixture.write("b.yaml", "a: [\n")
        (folder / "a.yaml").unlink()
        fixture.settle(FILES)
        fixture.clock.seconds += 100
        fixture.settle(FILES)
        assert fixture.names() == {"pool-a", "pool-b", "pool-c"}
        fixture.write("b.yaml", pool("pool-b"))
        fixture.settle(FILES)
        fixture.clock.seconds += 100
        fixture.settle(FILES)
        assert fixture.names() == {"pool-b", "pool-c"}


def test_without_a_stack_that_can_be_read_nothing_is_done(fixture: ControllerFixture) -> None:
    fixture.write("a.yaml", pool("pool-a"))
    fixture.write("reconcile.yaml", "apiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: [\n")
    done = fixture.reconcile()
    assert "cannot be used" in done.error
    assert fixture.names() == set()
    assert fixture.controller.due_in() > 0


def test_another_name_of_the_stack_is_not_taken_over(fixture: ControllerFixture) -> None:
    stack = "apiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {{name: {}}}\nspec: {{}}\n"
    fixture.write("reconcile.yaml", stack.format("shop"))
    fixture.write("a.yaml", pool("pool-a"))
    fixture.settle()
    rounds = fixture.settle(fixture.write("reconcile.yaml", stack.format("other")))
    assert [each.planned for each in rounds] == [0]
    assert "was started for shop" in str(fixture.controller.status.problems[0])


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
        fixture = ControllerFixture(folder, cluster)
        fixture.write("a.yaml", pool("pool-a") + disk("huge", "pool-a"))
        fixture.write("b.yaml", pool("pool-b"))
        fixture.settle()
        assert fixture.names() == {"pool-a", "pool-b"}
        assert fixture.sync("huge") is Sync.FAILED
        waits = []
        for _ in range(4):
            assert fixture.reconcile(CLUSTER).results == {}, "not before its time"
            waits.append(fixture.controller.due_in())
            fixture.clock.seconds += waits[-1] + 0.001
            assert fixture.reconcile().results == {"failed": 1}
        assert waits == sorted(waits)
        assert waits[-1] > 4 * waits[0]
        driver._broken = ""
        fixture.settle(fixture.write("a.yaml", pool("pool-a") + disk("huge", "pool-a", "9Gi")))
        assert fixture.sync("huge") is Sync.SYNCED, "what is declared anew is tried at once"
    cluster.close()


def test_a_cluster_that_does_not_answer_is_looked_at_again(
    fixture: ControllerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture.write("a.yaml", pool("pool-a", spec=", state: Active"))
    fixture.settle()

    def fail(*args: object, **given: object) -> Listing:
        raise Unavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(fixture.cluster, "list", fail)
        assert fixture.reconcile(CLUSTER).error == "gone"
    assert 0 < fixture.controller.due_in() <= 1
    by_hand(fixture.cluster, POOL, "stopPool", {"type": "localfs"})
    fixture.clock.seconds += 1
    assert fixture.controller.reconcile().results == {"changed": 1}, "what moved meanwhile is not missed"


def test_a_full_round_finds_what_the_others_had(fixture: ControllerFixture) -> None:
    fixture.write("a.yaml", pool("pool-a") + disk("root", "pool-a"))
    fixture.settle()
    for size in ("20Gi", "30Gi"):
        fixture.settle(fixture.write("a.yaml", pool("pool-a") + disk("root", "pool-a", size)))
        fixture.clock.seconds += 601
        (done,) = fixture.settle()
        assert (done.full, done.causes) == (True, ("resync",))
    assert fixture.cache_mismatches == 0


def test_the_journal_does_not_grow_for_as_long_as_it_lives(
    fixture: ControllerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.daemon.loop.controller.KEPT_ENTRIES", 10)
    lengths = []
    for size in range(10, 20):
        fixture.settle(fixture.write("a.yaml", pool("pool-a") + disk("root", "pool-a", f"{size}Gi")))
        fixture.clock.seconds += 601
        fixture.settle()
        lengths.append(len(fixture.cluster.records("shop")))
    assert max(lengths) < 15
    assert lengths[-5:] == lengths[-1:] * 5
    assert fixture.cluster.records("shop")[-1]["phase"] == EntryType.RUN_ENDED


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
        fixture = ControllerFixture(folder, cluster)
        fixture.write(
            "a.yaml", "---\n".join(pool(f"pool-{n}", autostart=True) + disk(f"disk-{n}", f"pool-{n}") for n in (1, 2))
        )
        fixture.killed_at = die
        if boundary:
            with suppress(Killed):
                fixture.settle()
        next_fixture = ControllerFixture(folder, cluster)
        next_fixture.settle()
        assert next_fixture.names() == {"pool-1", "pool-2", "disk-1", "disk-2"}
        assert set(next_fixture.operations().values()) == {1}
        assert next_fixture.reconcile().planned == 0


# Processes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.yaml").write_text(pool("pool-a"))
    return tmp_path


def test_the_next_one_takes_over_from_one_that_was_killed(shop: Path) -> None:
    with replica(shop / "shop", "--cluster", str(shop / "c.db")) as (first, log):
        until(says(log, "created: CreatePool"))
        with replica(shop / "shop", "--cluster", str(shop / "c.db")) as (second, other):
            until(says(other, "standing by"))
            first.send_signal(signal.SIGKILL)
            until(says(other, "became the leader of stack shop"))
            (shop / "shop" / "a.yaml").write_text(pool("pool-a", autostart=True))
            until(says(other, "changed: AutoStartPool"))
            second.send_signal(signal.SIGTERM)
            assert second.wait(PATIENCE) == 0
    with LocalCluster(str(shop / "c.db")) as cluster:
        ends = Counter(event["action"] for event in cluster.list("Event").items if list(ends_of(event)))
    assert ends == {"createPool": 1, "autoStartPool": 1}


def test_sighup_has_it_read_everything_again(shop: Path) -> None:
    with replica(shop / "shop", "--cluster", str(shop / "c.db"), "--polling", "100000") as (process, log):
        until(says(log, "created: CreatePool"))
        (shop / "shop" / "b.yaml").write_text(pool("pool-b"))
        process.send_signal(signal.SIGHUP)
        until(says(log, "created: CreatePool of VirtualMachinePool/pool-b"))


def git(folder: Path, *words: str) -> str:
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    environment = {**os.environ, **identity, "GIT_COMMITTER_EMAIL": "a@b"}
    done = subprocess.run(
        ["git", "-C", str(folder), *words], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(shop: Path, message: str) -> str:
    """Commit what the manifests say now; the short name of it."""
    git(shop, "add", "shop")
    git(shop, "commit", "-qm", message)
    return git(shop, "rev-parse", "HEAD")


def recorded(shop: Path) -> list[tuple[str, bool]]:
    """The commits of the runs in the journal, and whether the manifests were as they have them."""
    with LocalCluster(str(shop / "c.db")) as cluster:
        runs = [entry for entry in cluster.records("shop") if entry["phase"] == EntryType.RUN_STARTED]
    return [(run.get("commit", ""), run.get("dirty", False)) for run in runs]


def test_a_repository_is_followed_and_its_commit_recorded(shop: Path) -> None:
    git(shop, "init", "-q", "-b", "main")
    one = commit(shop, "one")
    words = ("--git", str(shop), "--path", "shop", "--interval", "1", "--checkouts", str(shop / "checkouts"))
    with replica(None, "--cluster", str(shop / "c.db"), *words, home=shop) as (_, log):
        until(says(log, "created: CreatePool of VirtualMachinePool/pool-a"))
        (shop / "shop" / "b.yaml").write_text(pool("pool-b"))
        two = commit(shop, "two")
        until(says(log, "created: CreatePool of VirtualMachinePool/pool-b"))
        lines = [json.loads(line) for line in log.read_text().splitlines() if "created: CreatePool" in line]
        assert [each["commit"] for each in lines] == [one[:12], two[:12]]
    assert recorded(shop) == [(one[:12], False), (two[:12], False)]


def test_the_commit_of_a_working_copy_is_recorded(shop: Path) -> None:
    git(shop, "init", "-q", "-b", "main")
    one = commit(shop, "one")
    with replica(shop / "shop", "--cluster", str(shop / "c.db")) as (_, log):
        until(says(log, "created: CreatePool of VirtualMachinePool/pool-a"))
        (shop / "shop" / "b.yaml").write_text(pool("pool-b"))
        until(says(log, "created: CreatePool of VirtualMachinePool/pool-b"))
    commits = recorded(shop)
    assert all(one.startswith(short) and short for short, _ in commits)
    clean, *later = [dirty for _, dirty in commits]
    assert not clean
    assert later
    assert all(later), "each run since has what is not committed"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["watch", "--git", "x", "manifests"], "--git and PATHs exclude each other"),
        (["--watch", "-"], "Standard input cannot be watched"),
        (["watch", "nowhere"], "cannot be read"),
        (["watch", "--allow", "everything", "shop"], "is no impact that needs permission"),
        (["watch", "--listen", "nonsense", "shop"], "nonsense"),
    ],
)
def test_what_cannot_be_watched_is_said(shop: Path, words: list[str], told: str) -> None:
    done = subprocess.run([RECONCILE, *words], cwd=shop, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
