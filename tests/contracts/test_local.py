"""The embedded cluster: the contract, and what is particular to a file that several processes share."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from contracts.cluster_contract import ClusterContract, change, machine, names, until, watched
from reconciler.clusters.base import EventType
from reconciler.clusters.local import LocalCluster, database
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import ClusterError, Expired, InvalidInput, Unavailable
from reconciler.model.resource import Resource, ResourceId
from support.paths import ROOT, TESTS

Process = subprocess.Popen[str]


def start(program: str, *arguments: Path | str) -> Process:
    """Another process that has ``LocalCluster`` and ``change`` at hand."""
    prelude = (
        "import sys\n"
        "from contracts.cluster_contract import change, machine\n"
        "from reconciler.clusters.local import LocalCluster\n"
        "from reconciler.model.kinds import MACHINE\n"
        "from reconciler.model.resource import ResourceId\n"
        "cluster = LocalCluster(sys.argv[1])\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", prelude + program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def event(name: str) -> Resource:
    return machine(name, kind="Event")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cluster.db"


def test_a_file_is_itself_wherever_it_is_opened_and_no_other(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "one.db") as one, LocalCluster(tmp_path / "two.db") as two:
        with closing(one.copy()) as copy:
            assert copy.identity() == one.identity() != two.identity()
            assert copy.digest_key() != two.digest_key()
        identity = one.identity()
    (tmp_path / "one.db").rename(tmp_path / "moved.db")
    with LocalCluster(tmp_path / "moved.db") as moved:
        assert moved.identity() == identity


class TestLocalCluster(ClusterContract):
    @pytest.fixture
    def cluster(self, path: Path) -> Iterator[LocalCluster]:
        with closing(LocalCluster(path)) as cluster:
            yield cluster


class TestInMemory(ClusterContract):
    @pytest.fixture
    def cluster(self) -> Iterator[LocalCluster]:
        with closing(LocalCluster(":memory:")) as cluster:
            yield cluster


class TestTheFile:
    def test_it_and_its_directory_are_made_when_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "stack" / ".reconcile" / "cluster.db"
        LocalCluster(path).close()
        assert sorted(os.listdir(path.parent)) == [".gitignore", "cluster.db"]
        assert (path.parent / ".gitignore").read_text() == "*\n"

    def test_a_directory_that_was_there_is_not_hidden_from_git(self, path: Path) -> None:
        LocalCluster(path).close()
        assert os.listdir(path.parent) == ["cluster.db"]

    def test_its_name_may_be_any_text(self, tmp_path: Path) -> None:
        path = tmp_path / "100% wahr? ä#1&mode=ro.db"
        with closing(LocalCluster(str(path))) as cluster:
            cluster.create(machine("web"))
        assert os.listdir(tmp_path) == [path.name]

    def test_everything_is_there_after_reopening(self, path: Path) -> None:
        with closing(LocalCluster(path)) as cluster:
            cluster.create(machine("gone"))
            listing = cluster.list(MACHINE)
            created = cluster.create(machine("web", cpus=1))
            cluster.delete(ResourceId(MACHINE, "gone"))
            cluster.record("shop", {"step": 1})
            cluster.world()["host"] = {"running": ["web"]}
        with closing(LocalCluster(path)) as cluster:
            assert cluster.list(MACHINE).items == [created]
            assert cluster.records("shop") == [{"step": 1}]
            assert cluster.world()["host"] == {"running": ["web"]}
            watch = cluster.watch(since=listing.version, kinds=[MACHINE])
            assert [notice.type for notice in watch.next(0)] == [EventType.ADDED, EventType.DELETED]

    def test_opening_and_reading_write_nothing(self, path: Path) -> None:
        with closing(LocalCluster(path)) as cluster:
            cluster.create(machine("web"))
        before = path.read_bytes(), path.stat().st_mtime_ns
        with closing(LocalCluster(path)) as cluster:
            assert names(cluster.list(MACHINE).items) == ["web"]
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before

    def test_two_openings_in_one_process_share_it(self, path: Path) -> None:
        with closing(LocalCluster(path)) as first, closing(LocalCluster(path)) as second:
            watch = first.watch(since=first.list(MACHINE).version, kinds=[MACHINE])
            second.create(machine("web"))
            watched(watch, until(EventType.ADDED, "web"))

    def test_closing_twice_is_fine_and_then_nothing_works(self, path: Path) -> None:
        cluster = LocalCluster(path)
        watch = cluster.watch(since="0", kinds=[MACHINE])
        cluster.close()
        cluster.close()
        for use in (lambda: cluster.list(MACHINE), lambda: watch.next(0), lambda: cluster.record("s", {})):
            with pytest.raises(ClusterError, match="closed"):
                use()

    def test_closing_wakes_a_waiting_watch(self, path: Path) -> None:
        with closing(LocalCluster(path)) as cluster, ThreadPoolExecutor() as pool:
            watch = cluster.watch(since="0", kinds=[MACHINE])
            waiting = pool.submit(watch.next, 60)
            watch.close()
            assert waiting.result(timeout=10) == []

    def test_the_clock_is_the_callers(self) -> None:
        moment = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
        with closing(LocalCluster(":memory:", now=lambda: moment)) as cluster:
            assert cluster.create(machine("web"))["metadata"]["creationTimestamp"] == "2031-02-03T04:05:06Z"


def write_nothing_sensible(path: Path) -> None:
    path.write_bytes(b"this is not a database, only text that is long enough to be one. " * 100)


def write_few_bytes(path: Path) -> None:
    path.write_bytes(b"SQLite")


def write_nothing(path: Path) -> None:
    path.touch()


def write_foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("CREATE TABLE resources (body)")
        connection.commit()


def write_newer_file(path: Path) -> None:
    with closing(LocalCluster(path)) as cluster:
        cluster.create(machine("web"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION + 1}")


def write_truncated_file(path: Path) -> None:
    with closing(LocalCluster(path)) as cluster:
        cluster.create(machine("web"))
    path.write_bytes(path.read_bytes()[:6000])


def write_overwritten_file(path: Path) -> None:
    LocalCluster(path).close()
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * (path.stat().st_size - 100))


class TestRefusals:
    @pytest.mark.parametrize(
        "write",
        [
            write_nothing_sensible,
            write_few_bytes,
            write_nothing,
            write_foreign_database,
            write_newer_file,
            write_truncated_file,
            write_overwritten_file,
        ],
    )
    def test_what_is_not_ours_is_refused_and_left_alone(self, path: Path, write: Callable[[Path], None]) -> None:
        write(path)
        before = path.read_bytes()
        with pytest.raises(InvalidInput) as refusal:
            LocalCluster(path)
        [problem] = refusal.value.problems
        assert problem.origin.file == str(path)
        assert problem.remedy
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]

    def test_a_foreign_database_in_use_is_left_alone(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE notes (body)")
            files = {file: (path.parent / file).read_bytes() for file in os.listdir(path.parent)}
            with pytest.raises(InvalidInput):
                LocalCluster(path)
            assert {file: (path.parent / file).read_bytes() for file in os.listdir(path.parent)} == files

    def test_a_newer_file_says_so(self, path: Path) -> None:
        write_newer_file(path)
        with pytest.raises(InvalidInput, match=r"newer.*\n.*Upgrade"):
            LocalCluster(path)

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="is a directory"):
            LocalCluster(tmp_path)
        assert os.listdir(tmp_path) == []

    def test_a_path_through_a_file_is_refused(self, path: Path) -> None:
        path.write_text("a file")
        with pytest.raises(InvalidInput):
            LocalCluster(path / "cluster.db")

    def test_a_device_is_refused(self) -> None:
        with pytest.raises(InvalidInput):
            LocalCluster("/dev/null")

    @pytest.mark.parametrize("mode", [0o000, 0o200])
    def test_a_file_we_may_not_read_is_refused(self, mode: int) -> None:
        assert as_nobody("os.chmod('cluster.db', 0o644)") == "written, leased"
        assert as_nobody(f"os.chmod('cluster.db', {mode})") == "refused"

    @pytest.mark.parametrize("leave", ["", "cluster = LocalCluster('cluster.db'); cluster.create(machine('other'))"])
    @pytest.mark.parametrize(
        ("what", "leased"), [("'cluster.db', 0o400", "leased"), ("'.', 0o500", "not leased")], ids=["file", "directory"]
    )
    def test_what_we_may_not_write_is_read(self, what: str, leased: str, leave: str) -> None:
        """Also what another process has written and not yet moved from its log into the file."""
        others = "other " if leave else ""
        assert as_nobody(f"{leave}\nos.chmod({what})") == f"read {others}web-1, not written, {leased}"

    def test_nobody_else_may_read_it(self, path: Path) -> None:
        path = path.parent / "new" / "cluster.db"
        with closing(LocalCluster(path)) as cluster, cluster.lease("stack shop", "me"):
            cluster.create(machine("web-1"))
            found = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
            assert path.parent.stat().st_mode & 0o777 == 0o700
        written = {name: mode for name, mode in found.items() if name != ".gitignore"}
        assert len(written) == 4, "the file, its log, the index of that, and a lease"
        assert set(written.values()) == {0o600}


def as_nobody(prepare: str) -> str:
    """What comes of opening a cluster file after ``prepare``, in a process that permissions bind."""
    script = f"""
import os, sys
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
made = LocalCluster("cluster.db")
made.create(machine("web-1"))
made.close()
{prepare}
try:
    opened = LocalCluster("cluster.db")
except InvalidInput:
    print("refused")
    sys.exit()
read = " ".join(each["metadata"]["name"] for each in opened.list("VirtualMachine").items)
try:
    opened.create(machine("web-2"))
    text = "written"
except Forbidden:
    text = f"read {{read}}, not written"
try:
    opened.lease("stack shop", "me")
    print(f"{{text}}, leased")
except Forbidden:
    print(f"{{text}}, not leased")
"""
    # Everything is imported while the package can still be read; it may lie in a home of root's.
    script = (
        "import encodings.idna, tempfile, sqlite3\n"
        "from reconciler.clusters.local import LocalCluster\n"
        "from reconciler.model.problem import Forbidden, InvalidInput\n"
        "from contracts.cluster_contract import machine\n" + script
    )
    with TemporaryDirectory(dir="/tmp") as folder:
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{TESTS}"}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=folder, env=environment, timeout=60
        )
        os.chmod(folder, 0o700)
    assert not done.stderr
    return done.stdout.strip()


class TestTwoProcesses:
    WRITER = """
print("ready", flush=True)
sys.stdin.readline()
for number in range(100):
    cluster.create(machine(f"theirs-{number}"))
    change(cluster, ResourceId(MACHINE, "shared"), lambda it: it["spec"]["marks"].append(["theirs", number]))
    cluster.record("shop", {"who": "theirs", "number": number})
cluster.create(machine("theirs-last"))
"""

    def test_nothing_is_lost_when_both_write(self, path: Path) -> None:
        with closing(LocalCluster(path)) as cluster, start(self.WRITER, path) as other:
            cluster.create(machine("shared", marks=[]))
            watch = cluster.watch(since=cluster.list(MACHINE).version, kinds=[MACHINE])
            assert other.stdout
            assert other.stdin
            assert other.stdout.readline() == "ready\n"
            other.stdin.write("go\n")
            other.stdin.flush()
            for number in range(100):
                cluster.create(machine(f"ours-{number}"))
                self.mark(cluster, number)
                cluster.record("shop", {"who": "ours", "number": number})
            told = watched(watch, until(EventType.ADDED, "theirs-last"))
            assert other.wait() == 0

            both = [(who, number) for who in ("ours", "theirs") for number in range(100)]
            created = {f"{who}-{number}" for who, number in both} | {"theirs-last"}
            assert set(names(cluster.list(MACHINE).items)) == created | {"shared"}
            assert {notice.resource["metadata"]["name"] for notice in told} == created | {"shared"}
            shared = cluster.get(ResourceId(MACHINE, "shared"))
            assert shared is not None
            assert sorted(map(tuple, shared["spec"]["marks"])) == both
            records = [(record["who"], record["number"]) for record in cluster.records("shop")]
            assert [record for record in records if record[0] == "theirs"] == both[100:]
            assert [record for record in records if record[0] == "ours"] == both[:100]

    @staticmethod
    def mark(cluster: LocalCluster, number: int) -> None:
        change(cluster, ResourceId(MACHINE, "shared"), lambda it: it["spec"]["marks"].append(["ours", number]))

    def test_all_that_begin_together_use_one_file(self, path: Path) -> None:
        program = "cluster.create(machine(sys.argv[2]))\ncluster.close()"
        others = [start(program, path, f"m{number}") for number in range(4)]
        for other in others:
            other.communicate()
            assert other.returncode == 0
        with closing(LocalCluster(path)) as cluster:
            assert names(cluster.list(MACHINE).items) == ["m0", "m1", "m2", "m3"]
        assert os.listdir(path.parent) == [path.name]

    def test_what_a_killed_writer_acknowledged_is_there(self, path: Path) -> None:
        program = """
import itertools
for number in itertools.count():
    cluster.create(machine(f"m{number}", number=number))
    cluster.record("shop", {"number": number})
    print(number, flush=True)
"""
        with start(program, path) as other:
            assert other.stdout
            acknowledged = [int(other.stdout.readline()) for _ in range(200)]
            other.kill()
            # A last line may be cut short.
            acknowledged += [int(line) for line in other.stdout if line.endswith("\n")]
        with closing(LocalCluster(path)) as cluster:
            stored = {resource["spec"]["number"] for resource in cluster.list(MACHINE).items}
            assert set(acknowledged) <= stored
            recorded = [record["number"] for record in cluster.records("shop")]
            assert recorded[: len(acknowledged)] == acknowledged
            cluster.create(machine("another"))

    def test_a_writer_that_waits_too_long_may_try_again(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.01)
        with closing(LocalCluster(path)) as first, closing(LocalCluster(path)) as second:
            with first.world().atomic(), pytest.raises(Unavailable) as failure:
                second.create(machine("web"))
            assert isinstance(failure.value.__cause__, sqlite3.OperationalError)
            second.create(machine("web"))


class TestVersions:
    @pytest.fixture
    def cluster(self) -> Iterator[LocalCluster]:
        with closing(LocalCluster(":memory:", keep_tombstones=3, keep_events=3)) as cluster:
            yield cluster

    def test_an_update_that_changes_nothing_makes_no_version(self, cluster: LocalCluster) -> None:
        created = cluster.create(machine("web", cpus=1, memory="2Gi"))
        version = cluster.list(MACHINE).version
        reordered = {key: created[key] for key in reversed(created)}
        assert cluster.update(reordered) == created
        assert cluster.list(MACHINE).version == version

    def test_a_change_of_type_is_a_change(self, cluster: LocalCluster) -> None:
        created = cluster.create(machine("web", value=1))
        updated = cluster.update({**created, "spec": {"value": True}})
        assert updated["spec"]["value"] is True
        assert updated["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]

    def test_a_watch_from_before_forgotten_deletions_has_expired(self, cluster: LocalCluster) -> None:
        for number in range(5):
            cluster.create(machine(f"m{number}"))
        versions = []
        for number in range(5):
            versions.append(cluster.list(MACHINE).version)
            cluster.delete(ResourceId(MACHINE, f"m{number}"))
        with pytest.raises(Expired):
            cluster.watch(since=versions[1], kinds=[MACHINE]).next(0)
        kept = cluster.watch(since=versions[2], kinds=[MACHINE]).next(0)
        assert [(n.type, n.resource["metadata"]["name"]) for n in kept] == [
            (EventType.DELETED, name) for name in ("m2", "m3", "m4")
        ]

    def test_the_oldest_events_are_forgotten(self, cluster: LocalCluster) -> None:
        start = cluster.list("Event").version
        watch = cluster.watch(since=start, kinds=["Event"])
        for number in range(5):
            cluster.create(event(f"e{number}"))
            assert names([notice.resource for notice in watch.next(0)]) == [f"e{number}"]
        assert names(cluster.list("Event").items) == ["e2", "e3", "e4"]
        with pytest.raises(Expired):
            cluster.watch(since=start, kinds=["Event"]).next(0)

    def test_what_lives_is_never_forgotten(self, cluster: LocalCluster) -> None:
        for number in range(10):
            cluster.create(machine(f"m{number}"))
            cluster.create(event(f"e{number}"))
        assert len(cluster.list(MACHINE).items) == 10

    @pytest.mark.parametrize("since", ["1000", "-1", "", "abc"])
    def test_a_version_that_never_was_has_expired(self, cluster: LocalCluster, since: str) -> None:
        with pytest.raises(Expired):
            cluster.watch(since=since, kinds=[MACHINE]).next(0)

    def test_created_again_without_its_labels_it_is_deleted_for_their_watch(self, cluster: LocalCluster) -> None:
        labelled = machine("web")
        labelled["metadata"]["labels"] = {"host": "node-1"}
        cluster.create(labelled)
        since = cluster.list(MACHINE).version
        cluster.delete(ResourceId(MACHINE, "web"))
        cluster.create(machine("web"))
        watch = cluster.watch(since=since, kinds=[MACHINE], labels={"host": "node-1"})
        assert [notice.type for notice in watch.next(0)] == [EventType.DELETED]


class TestShelf:
    @pytest.fixture
    def cluster(self) -> Iterator[LocalCluster]:
        with closing(LocalCluster(":memory:")) as cluster:
            yield cluster

    def test_it_is_a_mapping(self, cluster: LocalCluster) -> None:
        shelf = cluster.world()
        shelf["b"] = {"z": [1, None], "a": "ä"}
        shelf["a"] = 1
        shelf["a"] = 2
        assert dict(shelf) == {"a": 2, "b": {"z": [1, None], "a": "ä"}}
        assert list(shelf["b"]) == ["z", "a"]
        assert len(shelf) == 2
        assert "a" in shelf
        assert "c" not in shelf
        assert 1 not in shelf
        assert shelf.get("c") is None
        assert shelf.pop("a") == 2
        assert list(shelf) == ["b"]

    def test_what_is_not_there_is_a_key_error(self, cluster: LocalCluster) -> None:
        shelf = cluster.world()
        with pytest.raises(KeyError):
            shelf["a"]
        with pytest.raises(KeyError):
            del shelf["a"]

    def test_what_is_read_is_a_copy(self, cluster: LocalCluster) -> None:
        shelf = cluster.world()
        shelf["a"] = []
        shelf["a"].append(1)
        assert shelf["a"] == []

    def test_a_block_that_raises_writes_nothing(self, cluster: LocalCluster) -> None:
        shelf = cluster.world()
        shelf["kept"] = 1
        with suppress(ZeroDivisionError), shelf.atomic():
            shelf["kept"] = 2
            shelf["new"] = 3
            assert shelf["kept"] == 2
            raise ZeroDivisionError
        assert dict(shelf) == {"kept": 1}

    def test_an_inner_block_is_undone_alone(self, cluster: LocalCluster) -> None:
        shelf = cluster.world()
        with shelf.atomic():
            shelf["outer"] = 1
            with suppress(KeyError), shelf.atomic():
                shelf["inner"] = 2
                del shelf["absent"]
            with shelf.atomic():
                shelf["second"] = 3
        assert dict(shelf) == {"outer": 1, "second": 3}

    def test_an_outer_block_undoes_the_inner(self, cluster: LocalCluster) -> None:
        shelf = cluster.world()
        with suppress(ZeroDivisionError), shelf.atomic():
            with shelf.atomic():
                shelf["inner"] = 1
            raise ZeroDivisionError
        assert dict(shelf) == {}

    def test_no_other_thread_comes_between(self, cluster: LocalCluster) -> None:
        shelf = cluster.world()
        shelf["count"] = 0

        def add(_: Any) -> None:
            for _ in range(50):
                with shelf.atomic():
                    shelf["count"] += 1

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, range(4)))
        assert shelf["count"] == 200

    def test_a_watch_hears_of_a_block_when_it_ends(self, cluster: LocalCluster) -> None:
        watch = cluster.watch(since=cluster.list(MACHINE).version, kinds=[MACHINE])
        with suppress(ZeroDivisionError), cluster.world().atomic():
            cluster.create(machine("undone"))
            raise ZeroDivisionError
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(watched, watch, bool)
            with cluster.world().atomic():
                cluster.create(machine("web"))
            assert names([notice.resource for notice in waiting.result()]) == ["web"]
