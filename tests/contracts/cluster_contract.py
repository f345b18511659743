"""The contract of ``Cluster``: what is reached, whichever implementation is asked.

A test file inherits ``ClusterContract`` and overrides the fixture ``cluster``. Nothing here assumes that
versions are numbers, that a watch sees every write, or that it sees one at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

import pytest

from reconciler.agent.agent import Agent
from reconciler.clusters.base import Cluster, EventType, Lease, Watch, WatchEvent
from reconciler.daemon.loop.event_recorder import EventRecorder
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.journal import EntryType
from reconciler.model.kinds import DISK, MACHINE, POOL
from reconciler.model.problem import AlreadyExists, Busy, Conflict, NotFound
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import LABEL_STACK, WIRE_API_VERSION
from reconciler.observe.capabilities import announced

PATIENCE = 10.0  # seconds a watch may take to tell
SILENCE = 0.2  # seconds without a notice that count as none


def machine(name: str, *, kind: str = MACHINE, namespace: str = "", **spec: Any) -> Resource:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": WIRE_API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def labelled(resource: Resource, **labels: str) -> Resource:
    return {**resource, "metadata": {**resource["metadata"], "labels": labels}}


def names(resources: list[Resource]) -> list[str]:
    return [resource["metadata"]["name"] for resource in resources]


def version_of(resource: Resource) -> str:
    version = resource["metadata"]["resourceVersion"]
    assert isinstance(version, str)
    return version


def watched(watch: Watch, enough: Callable[[list[WatchEvent]], bool]) -> list[WatchEvent]:
    """What the watch tells until it is enough; with too little in the time, the test fails."""
    notices: list[WatchEvent] = []
    end = monotonic() + PATIENCE
    while not enough(notices):
        left = end - monotonic()
        assert left > 0, f"the watch told only {[(n.type, id_of(n.resource)) for n in notices]}"
        notices += watch.next(left)
    return notices


def until(movement: EventType, name: str) -> Callable[[list[WatchEvent]], bool]:
    return lambda notices: any(
        notice.type is movement and notice.resource["metadata"]["name"] == name for notice in notices
    )


def change(cluster: Cluster, id: ResourceId, edit: Callable[[Resource], None]) -> None:
    """Read, edit, write, again while others are faster."""
    while True:
        resource = cluster.get(id)
        assert resource is not None
        edit(resource)
        try:
            cluster.update(resource)
            return
        except Conflict:
            continue


def append_mark(mark: Any, resource: Resource) -> None:
    resource["spec"]["marks"].append(mark)


class ClusterContract:
    @pytest.fixture
    def cluster(self) -> Iterator[Cluster]:
        """An empty cluster, closed afterwards."""
        raise NotImplementedError

    @pytest.fixture
    def elsewhere(self) -> str:
        """A namespace that exists and is not the default."""
        return "elsewhere"

    # create, get

    def test_a_created_resource_is_returned_as_stored(self, cluster: Cluster) -> None:
        created = cluster.create(machine("web", memory={"size": "2Gi"}))
        assert created["spec"] == {"memory": {"size": "2Gi"}}
        assert created["metadata"]["namespace"] == "default"
        assert created["metadata"]["uid"]
        datetime.strptime(created["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
        assert version_of(created)
        assert cluster.get(ResourceId(MACHINE, "web")) == created

    def test_what_does_not_exist_is_none(self, cluster: Cluster) -> None:
        cluster.create(machine("web"))
        assert cluster.get(ResourceId(MACHINE, "db")) is None
        assert cluster.get(ResourceId(DISK, "web")) is None

    def test_creating_twice_is_refused_and_changes_nothing(self, cluster: Cluster) -> None:
        first = cluster.create(machine("web", cpus=1))
        with pytest.raises(AlreadyExists):
            cluster.create(machine("web", cpus=2))
        assert cluster.get(ResourceId(MACHINE, "web")) == first

    def test_unknown_keys_survive(self, cluster: Cluster) -> None:
        spec: dict[str, Any] = {
            "x-new": [1, 2.5, True, None, {"deep": {"er": []}}],
            "domain": {"_type": "kvm", "text": ""},
        }
        created = cluster.create(machine("web", **spec))
        created["spec"]["another"] = {"key": "value"}
        cluster.update(created)
        stored = cluster.get(ResourceId(MACHINE, "web"))
        assert stored is not None
        assert stored["spec"] == {**spec, "another": {"key": "value"}}

    def test_text_is_any_unicode(self, cluster: Cluster) -> None:
        text = '虚拟机 é \U0001f5a5 "quoted" \\ \n\t\'; DROP TABLE resources; --'
        cluster.create(machine("web", note=text))
        stored = cluster.get(ResourceId(MACHINE, "web"))
        assert stored is not None
        assert stored["spec"]["note"] == text

    def test_what_is_returned_is_the_callers_to_change(self, cluster: Cluster) -> None:
        given = machine("web", disks=[{"target": "vda"}])
        created = cluster.create(given)
        id = ResourceId(MACHINE, "web")
        for resource in (given, created, cluster.get(id)):
            assert resource is not None
            resource["spec"]["disks"].append({"target": "vdb"})
            resource["metadata"]["name"] = "changed"
        stored = cluster.get(id)
        assert stored is not None
        assert stored["spec"]["disks"] == [{"target": "vda"}]

    def test_what_is_given_is_left_alone(self, cluster: Cluster) -> None:
        given = machine("web")
        cluster.create(given)
        assert given == machine("web")

    # list

    def test_an_empty_cluster_lists_nothing_from_some_version(self, cluster: Cluster) -> None:
        listing = cluster.list(MACHINE)
        assert listing.items == []
        assert isinstance(listing.version, str)

    def test_a_list_is_of_one_kind_sorted_by_namespace_and_name(self, cluster: Cluster, elsewhere: str) -> None:
        for name in ("web-2", "web-10", "db"):
            cluster.create(machine(name))
        cluster.create(machine("app", namespace=elsewhere))
        cluster.create(machine("db", kind=DISK))
        items = cluster.list(MACHINE).items
        found = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items]
        here = [("default", "db"), ("default", "web-10"), ("default", "web-2")]
        assert found == sorted([*here, (elsewhere, "app")])

    def test_a_list_holds_what_get_returns(self, cluster: Cluster) -> None:
        created = [cluster.create(machine(name, cpus=1)) for name in ("a", "b", "c")]
        created[1]["spec"]["cpus"] = 2
        created[1] = cluster.update(created[1])
        assert cluster.list(MACHINE).items == created

    def test_labels_select(self, cluster: Cluster) -> None:
        cluster.create(labelled(machine("a"), host="node-1", tier="web"))
        cluster.create(labelled(machine("b"), host="node-1"))
        cluster.create(labelled(machine("c"), host="node-10", tier="web"))
        # What looks like the label in another place is not it.
        cluster.create(machine("d", labels={"host": "node-1", "tier": "web"}))
        assert names(cluster.list(MACHINE, labels={"host": "node-1"}).items) == ["a", "b"]
        assert names(cluster.list(MACHINE, labels={"host": "node-1", "tier": "web"}).items) == ["a"]
        assert names(cluster.list(MACHINE, labels={"host": "node-2"}).items) == []
        assert names(cluster.list(MACHINE, labels={}).items) == ["a", "b", "c", "d"]

    def test_the_events_of_a_stack_are_read_in_the_order_of_their_creation(
        self, cluster: Cluster, elsewhere: str
    ) -> None:
        clock = datetime(2026, 11, 24, tzinfo=UTC)
        shop, bank = (EventRecorder(cluster, stack, lambda: clock) for stack in ("shop", "bank"))
        ids = [ResourceId(MACHINE, f"web-{number}", where) for number in range(6) for where in ("default", elsewhere)]
        for number, id in enumerate(ids):
            for recorder in (shop, bank):
                recorder.record(id, "DriftFound", recorder.stack, warning=True, annotations={"number": str(number)})
        events = shop.recorded()
        assert [event["metadata"]["annotations"]["number"] for event in events] == [str(n) for n in range(len(ids))]
        assert {(event["note"], event["metadata"]["labels"][LABEL_STACK]) for event in events} == {("shop", "shop")}
        assert [event["regarding"]["namespace"] for event in events] == [id.namespace for id in ids]

    def test_one_name_in_two_namespaces_is_two_resources(self, cluster: Cluster, elsewhere: str) -> None:
        here = cluster.create(machine("web", cpus=1))
        there = cluster.create(machine("web", namespace=elsewhere, cpus=2))
        assert cluster.get(ResourceId(MACHINE, "web")) == here
        assert cluster.get(ResourceId(MACHINE, "web", elsewhere)) == there
        cluster.delete(ResourceId(MACHINE, "web", elsewhere))
        assert cluster.list(MACHINE).items == [here]

    # update

    def test_an_update_replaces_the_whole_and_keeps_the_identity(self, cluster: Cluster) -> None:
        created = cluster.create(labelled(machine("web", cpus=1, memory="2Gi"), tier="web"))
        replacement = machine("web", cpus=2)
        replacement["metadata"]["resourceVersion"] = version_of(created)
        updated = cluster.update(replacement)
        assert updated["spec"] == {"cpus": 2}
        assert "labels" not in updated["metadata"]
        assert updated["metadata"]["uid"] == created["metadata"]["uid"]
        assert updated["metadata"]["creationTimestamp"] == created["metadata"]["creationTimestamp"]
        assert cluster.get(ResourceId(MACHINE, "web")) == updated

    def test_every_change_makes_a_new_version(self, cluster: Cluster) -> None:
        resource = cluster.create(machine("web", cpus=0))
        versions = [version_of(resource)]
        for cpus in range(1, 6):
            resource["spec"]["cpus"] = cpus
            resource = cluster.update(resource)
            versions.append(version_of(resource))
        assert len(set(versions)) == len(versions)

    def test_an_update_of_what_moved_conflicts(self, cluster: Cluster) -> None:
        stale = cluster.create(machine("web", cpus=1))
        current = cluster.update({**stale, "spec": {"cpus": 2}})
        with pytest.raises(Conflict):
            cluster.update({**stale, "spec": {"cpus": 3}})
        assert cluster.get(ResourceId(MACHINE, "web")) == current

    def test_an_update_without_version_conflicts(self, cluster: Cluster) -> None:
        created = cluster.create(machine("web", cpus=1))
        with pytest.raises(Conflict):
            cluster.update(machine("web", cpus=2))
        assert cluster.get(ResourceId(MACHINE, "web")) == created

    def test_an_update_of_what_does_not_exist_is_refused(self, cluster: Cluster) -> None:
        created = cluster.create(machine("web"))
        cluster.delete(ResourceId(MACHINE, "web"))
        with pytest.raises(NotFound):
            cluster.update(created)
        assert cluster.list(MACHINE).items == []

    # delete

    def test_a_deleted_resource_is_gone(self, cluster: Cluster) -> None:
        cluster.create(machine("web"))
        cluster.create(machine("db"))
        cluster.delete(ResourceId(MACHINE, "web"))
        assert cluster.get(ResourceId(MACHINE, "web")) is None
        assert names(cluster.list(MACHINE).items) == ["db"]

    def test_deleting_what_does_not_exist_is_refused(self, cluster: Cluster) -> None:
        with pytest.raises(NotFound):
            cluster.delete(ResourceId(MACHINE, "web"))
        cluster.create(machine("web"))
        cluster.delete(ResourceId(MACHINE, "web"))
        with pytest.raises(NotFound):
            cluster.delete(ResourceId(MACHINE, "web"))

    def test_deleting_a_stale_version_conflicts(self, cluster: Cluster) -> None:
        id = ResourceId(MACHINE, "web")
        created = cluster.create(machine("web", cpus=1))
        current = cluster.update({**created, "spec": {"cpus": 2}})
        with pytest.raises(Conflict):
            cluster.delete(id, version=version_of(created))
        assert cluster.get(id) == current
        cluster.delete(id, version=version_of(current))
        assert cluster.get(id) is None

    def test_what_is_created_again_is_another(self, cluster: Cluster) -> None:
        first = cluster.create(labelled(machine("web", cpus=1), tier="web"))
        cluster.delete(ResourceId(MACHINE, "web"))
        second = cluster.create(machine("web", cpus=2))
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        assert version_of(second) != version_of(first)
        assert cluster.list(MACHINE).items == [second]
        with pytest.raises(Conflict):
            cluster.update(first)

    # watch

    def test_a_watch_sees_what_is_later_than_the_list(self, cluster: Cluster) -> None:
        cluster.create(machine("before"))
        stays = cluster.create(machine("stays", cpus=1))
        goes = cluster.create(machine("goes"))
        watch = cluster.watch(since=cluster.list(MACHINE).version, kinds=[MACHINE])
        added = cluster.create(machine("added"))
        stays = cluster.update({**stays, "spec": {"cpus": 2}})
        cluster.delete(id_of(goes))
        notices = watched(watch, until(EventType.DELETED, "goes"))
        watch.close()
        assert [(notice.type, id_of(notice.resource).name) for notice in notices] == [
            (EventType.ADDED, "added"),
            (EventType.MODIFIED, "stays"),
            (EventType.DELETED, "goes"),
        ]
        assert [notice.resource for notice in notices[:2]] == [added, stays]
        assert notices[2].resource["metadata"]["uid"] == goes["metadata"]["uid"]

    def test_a_watch_ends_with_the_newest_content(self, cluster: Cluster) -> None:
        resource = cluster.create(machine("web", cpus=0))
        watch = cluster.watch(since=version_of(resource), kinds=[MACHINE])
        for cpus in range(1, 20):
            resource["spec"]["cpus"] = cpus
            resource = cluster.update(resource)
        notices = watched(watch, lambda notices: bool(notices) and notices[-1].resource == resource)
        watch.close()
        seen = [notice.resource["spec"]["cpus"] for notice in notices]
        assert seen == sorted(set(seen))
        assert {notice.type for notice in notices} == {EventType.MODIFIED}

    def test_a_watch_goes_on_where_it_was(self, cluster: Cluster) -> None:
        watch = cluster.watch(since=cluster.list(MACHINE).version, kinds=[MACHINE])
        for name in ("a", "b", "c"):
            created = cluster.create(machine(name))
            notices = watched(watch, bool)
            assert [(n.type, n.resource) for n in notices] == [(EventType.ADDED, created)]
        watch.close()

    def test_another_watch_goes_on_where_one_is(self, cluster: Cluster) -> None:
        begun = cluster.list(MACHINE).version
        first = cluster.watch(since=begun, kinds=[MACHINE])
        assert first.version == begun
        cluster.create(machine("a"))
        watched(first, lambda notices: bool(notices) and first.version != begun)
        version = first.version
        first.close()
        later = cluster.create(machine("b"))
        second = cluster.watch(since=version, kinds=[MACHINE])
        assert watched(second, until(EventType.ADDED, "b"))[-1].resource == later
        second.close()

    def test_a_watch_sees_its_kinds_only(self, cluster: Cluster) -> None:
        watch = cluster.watch(since=cluster.list(MACHINE).version, kinds=[MACHINE, DISK])
        cluster.create(machine("pool", kind=POOL))
        cluster.create(machine("disk", kind=DISK))
        cluster.create(machine("web"))

        def both(notices: list[WatchEvent]) -> bool:
            return until(EventType.ADDED, "disk")(notices) and until(EventType.ADDED, "web")(notices)

        notices = watched(watch, both)
        watch.close()
        assert {id_of(notice.resource) for notice in notices} == {
            ResourceId(DISK, "disk"),
            ResourceId(MACHINE, "web"),
        }

    def test_a_watch_sees_its_labels_only(self, cluster: Cluster) -> None:
        since = cluster.list(MACHINE).version
        watch = cluster.watch(since=since, kinds=[MACHINE], labels={"host": "node-1"})
        cluster.create(machine("bare"))
        cluster.create(labelled(machine("other"), host="node-2"))
        cluster.create(machine("similar", labels={"host": "node-1"}))
        cluster.create(labelled(machine("mine"), host="node-1", tier="web"))
        notices = watched(watch, until(EventType.ADDED, "mine"))
        watch.close()
        assert names([notice.resource for notice in notices]) == ["mine"]

    def test_a_resource_that_loses_the_labels_is_deleted_for_the_watch(self, cluster: Cluster) -> None:
        moves = cluster.create(labelled(machine("moves"), host="node-1"))
        goes = cluster.create(labelled(machine("goes"), host="node-1"))
        watch = cluster.watch(since=cluster.list(MACHINE).version, kinds=[MACHINE], labels={"host": "node-1"})
        moves = cluster.update(labelled(moves, host="node-2"))
        cluster.update({**moves, "spec": {"cpus": 2}})
        cluster.delete(id_of(goes))
        notices = watched(watch, until(EventType.DELETED, "goes"))
        watch.close()
        assert {(notice.type, id_of(notice.resource).name) for notice in notices} == {
            (EventType.DELETED, "moves"),
            (EventType.DELETED, "goes"),
        }

    def test_a_watch_tells_nothing_when_nothing_moves(self, cluster: Cluster) -> None:
        cluster.create(machine("web"))
        watch = cluster.watch(since=cluster.list(MACHINE).version, kinds=[MACHINE])
        assert not watch.next(SILENCE)
        assert not watch.next(0)
        watch.close()

    def test_a_waiting_watch_is_woken(self, cluster: Cluster) -> None:
        watch = cluster.watch(since=cluster.list(MACHINE).version, kinds=[MACHINE])
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(watched, watch, until(EventType.ADDED, "web"))
            cluster.create(machine("web"))
            assert names([notice.resource for notice in waiting.result()]) == ["web"]
        watch.close()

    def test_every_watch_sees_the_same(self, cluster: Cluster) -> None:
        since = cluster.list(MACHINE).version
        watches = [cluster.watch(since=since, kinds=[MACHINE]) for _ in range(20)]
        with ThreadPoolExecutor(len(watches)) as pool:
            waiting = [pool.submit(watched, watch, until(EventType.ADDED, "last")) for watch in watches]
            for name in ("first", "second", "last"):
                cluster.create(machine(name))
            for told in waiting:
                seen = names([notice.resource for notice in told.result()])
                assert seen == ["first", "second", "last"]
        for watch in watches:
            watch.close()

    # many writers

    def test_no_change_of_concurrent_writers_is_lost(self, cluster: Cluster) -> None:
        id = ResourceId(MACHINE, "web")
        cluster.create(machine("web", marks=[]))
        writers, rounds = 4, 10

        def write(writer: int) -> None:
            for mark in ([writer, round] for round in range(rounds)):
                change(cluster, id, partial(append_mark, mark))

        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(write, range(writers)))
        stored = cluster.get(id)
        assert stored is not None
        wanted = [[writer, round] for writer in range(writers) for round in range(rounds)]
        assert sorted(stored["spec"]["marks"]) == wanted

    def test_of_concurrent_creators_one_wins(self, cluster: Cluster) -> None:
        def create(creator: int) -> bool:
            try:
                cluster.create(machine("web", creator=creator))
            except AlreadyExists:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(create, range(4)))
        stored = cluster.get(ResourceId(MACHINE, "web"))
        assert stored is not None
        assert [stored["spec"]["creator"]] == [creator for creator in range(4) if won[creator]]

    # journal

    def test_records_come_back_in_order(self, cluster: Cluster) -> None:
        entries = [{"step": step, "what": {"kind": MACHINE, "done": step % 2 == 0}} for step in range(50)]
        for entry in entries:
            cluster.record("shop", entry)
        assert cluster.records("shop") == entries

    def test_each_stack_has_its_records(self, cluster: Cluster) -> None:
        cluster.record("shop", {"step": 1})
        cluster.record("blog", {"step": 2})
        cluster.record("shop", {"step": 3})
        assert cluster.records("shop") == [{"step": 1}, {"step": 3}]
        assert cluster.records("blog") == [{"step": 2}]
        assert cluster.records("none") == []

    @pytest.mark.parametrize("newest", [0, 1, 7, 100])
    def test_only_the_newest_records_may_be_asked_for(self, cluster: Cluster, newest: int) -> None:
        entries = [{"step": step} for step in range(8)]
        for entry in entries:
            cluster.record("shop", entry)
            cluster.record("blog", entry)
        assert cluster.records("shop", newest=newest) == (entries[-newest:] if newest else [])

    def test_records_are_any_unicode(self, cluster: Cluster) -> None:
        entry = {"error": '磁盘已满 \U0001f4bd "/var/lib" \\ \n\'', "über": None}
        cluster.record("shop", entry)
        assert cluster.records("shop") == [entry]

    def test_no_record_of_concurrent_writers_is_lost(self, cluster: Cluster) -> None:
        def write(writer: int) -> None:
            for step in range(10):
                cluster.record("shop", {"writer": writer, "step": step})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        records = cluster.records("shop")
        for writer in range(4):
            steps = [record["step"] for record in records if record["writer"] == writer]
            assert steps == list(range(10))

    def test_a_run_without_an_end_is_unfinished(self, cluster: Cluster) -> None:
        def record(*phases: str) -> None:
            for number, phase in enumerate(phases):
                cluster.record("shop", {"phase": phase, "number": number})

        def unfinished() -> list[str]:
            return [entry["phase"] for entry in cluster.unfinished("shop")]

        assert unfinished() == []
        record(EntryType.RUN_STARTED, "start", "end", EntryType.RUN_ENDED)
        assert unfinished() == []
        record(EntryType.RUN_STARTED, "start")
        assert unfinished() == [EntryType.RUN_STARTED, "start"]
        assert cluster.unfinished("blog") == []
        record(EntryType.RUN_STARTED, "start", "end")
        assert unfinished() == [EntryType.RUN_STARTED, "start", "end"]
        record(EntryType.RUN_ENDED)
        assert unfinished() == []

    def test_a_shortened_journal_has_its_end_and_what_was_asked_for(self, cluster: Cluster) -> None:
        def run(number: int, steps: int) -> list[dict[str, Any]]:
            request = {"request": {"name": "backup", "content": "1"}} if number == 1 else {}
            middle = [{"phase": "start", "run": number, "step": step, **request} for step in range(steps)]
            return [
                {"phase": EntryType.RUN_STARTED, "run": number},
                *middle,
                {"phase": EntryType.RUN_ENDED, "run": number},
            ]

        entries = [entry for number in range(6) for entry in run(number, 60)]
        for entry in entries:
            cluster.record("shop", entry)
        cluster.record("blog", {"phase": EntryType.RUN_ENDED})
        cluster.shorten("shop", newest=70)
        kept = cluster.records("shop")
        assert kept[-70:] == entries[-70:]
        assert len(kept) < 60 + 2 * 62 + 100, "of the older ones no more than comes with them"
        assert [entry for entry in kept if "request" in entry] == [entry for entry in entries if "request" in entry]
        assert kept == [entry for entry in entries if entry in kept]
        assert len(cluster.records("blog")) == 1
        cluster.shorten("shop", newest=70)
        assert cluster.records("shop") == kept
        cluster.record("shop", {"phase": EntryType.RUN_STARTED, "run": 7})
        assert cluster.records("shop") == [*kept, {"phase": EntryType.RUN_STARTED, "run": 7}]

    def test_shortening_leaves_the_last_run_whole(self, cluster: Cluster) -> None:
        begun = [{"phase": EntryType.RUN_STARTED}, *({"phase": "start", "step": step} for step in range(250))]
        for entry in [{"phase": EntryType.RUN_ENDED}, *begun]:
            cluster.record("shop", entry)
        cluster.shorten("shop", newest=10)
        assert cluster.unfinished("shop") == begun

    # leases

    def test_a_lease_is_one_holders_until_given_back(self, cluster: Cluster) -> None:
        with cluster.lease("stack web", "alice@laptop") as lease:
            assert not lease.lost
            with pytest.raises(Busy, match="alice@laptop"):
                cluster.lease("stack web", "bob@ci")
            with cluster.lease("stack shop", "bob@ci"):
                pass
        with cluster.lease("stack web", "bob@ci"), pytest.raises(Busy, match="bob@ci"):
            cluster.lease("stack web", "alice@laptop")

    def test_a_lease_is_given_back_when_the_block_fails(self, cluster: Cluster) -> None:
        with pytest.raises(ZeroDivisionError), cluster.lease("stack web", "alice"):
            _ = 1 / 0
        with cluster.lease("stack web", "bob"):
            pass

    def test_who_waits_for_a_lease_gets_it(self, cluster: Cluster) -> None:
        with ThreadPoolExecutor() as pool:
            with cluster.lease("stack web", "alice"):
                waiting = pool.submit(cluster.lease, "stack web", "bob", wait=PATIENCE)
            with waiting.result():
                pass

    def test_what_is_written_on_a_lease_is_read_by_all_while_it_is_held(self, cluster: Cluster) -> None:
        assert list(cluster.lease_annotations("agent ")) == []
        text = '{"node": "node-1", "says": ["Zürich", "two\\nlines"]}'
        with cluster.lease("agent node-1", "alice", annotation=text):
            with cluster.lease("agent node-2", "bob"), cluster.lease("stack web", "carol", annotation="other"):
                assert list(cluster.lease_annotations("agent ")) == [text]
                with pytest.raises(Busy, match="alice"):
                    cluster.lease("agent node-1", "dave")
            assert list(cluster.lease_annotations("stack ")) == []
            assert list(cluster.lease_annotations("agent ")) == [text]
        assert list(cluster.lease_annotations("agent ")) == []
        with cluster.lease("agent node-1", "bob"):
            assert list(cluster.lease_annotations("agent ")) == []

    def test_what_the_driver_of_an_agent_carries_out_is_read_from_the_cluster(self, cluster: Cluster) -> None:
        driver = Simulator({}, "node-1")
        with Agent(cluster, lambda node: driver if node == "node-1" else None, node="Node-1") as agent:
            end = monotonic() + PATIENCE
            while not (found := announced(cluster)) and monotonic() < end:
                assert agent.healthy
        assert {node: each.driver for node, each in found.items()} == {"node-1": "simulator"}
        assert found["node-1"].supported == driver.capabilities().supported
        assert announced(cluster) == {}

    def test_of_concurrent_leases_one_wins(self, cluster: Cluster) -> None:
        def take(number: int) -> Lease | None:
            try:
                return cluster.lease("stack web", f"holder-{number}")
            except Busy:
                return None

        with ThreadPoolExecutor(4) as pool:
            leases = list(pool.map(take, range(4)))
        won = [lease for lease in leases if lease is not None]
        assert len(won) == 1
        with won[0]:
            pass

    # identity

    def test_a_cluster_has_one_identity_from_whichever_side(self, cluster: Cluster) -> None:
        with ThreadPoolExecutor(4) as pool:
            (identity,) = set(pool.map(lambda _: cluster.identity(), range(8)))
        assert identity == identity.strip() != ""

    # secrets

    def test_digests_are_keyed_alike_from_whichever_side(self, cluster: Cluster) -> None:
        with ThreadPoolExecutor(4) as pool:
            keys = set(pool.map(lambda _: cluster.digest_key(), range(8)))
        assert len(keys) == 1
        assert len(keys.pop()) >= 32

    def test_a_secret_that_is_not_there_is_none(self, cluster: Cluster) -> None:
        assert cluster.secret("default", "nowhere") is None
