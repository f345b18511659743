"""The cluster on Kubernetes: the contract, on a real API server, and what is particular to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from contracts.cluster_contract import ClusterContract, labelled, machine, names, until, version_of, watched
from reconciler.clusters.base import EventType
from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.clusters.kubernetes.api import Api, open_api
from reconciler.clusters.kubernetes.journal import PER_CHUNK, KubernetesJournal
from reconciler.clusters.kubernetes.leases import DURATION, RENEWAL, KubernetesLeases
from reconciler.clusters.kubernetes.resources import PAGE
from reconciler.clusters.kubernetes.watch import KubernetesWatch
from reconciler.model.journal import EntryType
from reconciler.model.kinds import DISK, MACHINE
from reconciler.model.problem import Busy, ClusterError, Expired, Forbidden, NotFound, Unavailable
from reconciler.model.resource import ResourceId
from reconciler.model.wire import LABEL_JOURNAL
from support.control_plane import ControlPlane
from support.empty_cluster import empty
from support.proxy import Asked, Fault, Proxy, proxied, times

WEB = ResourceId(MACHINE, "web")
MACHINES = "/apis/doslab.io/v1/virtualmachines"


@pytest.fixture(scope="module")
def elsewhere(control_plane: ControlPlane) -> str:
    control_plane.kubectl("create", "namespace", "elsewhere")
    return "elsewhere"


class TestKubernetesCluster(ClusterContract):
    @pytest.fixture
    def cluster(self, control_plane: ControlPlane) -> Iterator[KubernetesCluster]:
        empty(control_plane)
        with closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as cluster:
            yield cluster

    @pytest.fixture
    def elsewhere(self, elsewhere: str) -> str:
        return elsewhere


@pytest.fixture
def proxy(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Proxy]:
    empty(control_plane)
    with proxied(control_plane, tmp_path) as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: Proxy) -> Iterator[KubernetesCluster]:
    """The cluster, seen through the proxy."""
    with closing(KubernetesCluster.connect(kubeconfig=str(proxy.kubeconfig))) as cluster:
        yield cluster


def writes(asked: Asked) -> bool:
    return asked.method in ("POST", "PUT", "DELETE")


def reads(asked: Asked) -> bool:
    return asked.method == "GET"


class TestLists:
    def test_one_request_lists_a_page(
        self, proxy: Proxy, behind: KubernetesCluster, control_plane: ControlPlane
    ) -> None:
        disks = [machine(f"disk-{number:04}", kind=DISK) for number in range(2 * PAGE + 1)]
        control_plane.kubectl(
            "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": disks})
        )
        proxy.asked.clear()
        assert names(behind.list(DISK).items) == [disk["metadata"]["name"] for disk in disks]
        assert len(proxy.asked) == 3
        assert all(parse_qs(urlsplit(asked.path).query)["limit"] == [str(PAGE)] for asked in proxy.asked)

    def test_a_list_that_expires_between_pages_is_begun_again(self, proxy: Proxy, behind: KubernetesCluster) -> None:
        behind.create(machine("web"))
        proxy.faults.append(times(1, Fault(410), reads))
        assert names(behind.list(MACHINE).items) == ["web"]

    def test_a_kind_that_is_not_served_has_no_resources(self, proxy: Proxy, behind: KubernetesCluster) -> None:
        proxy.faults.append(times(1, Fault(404), reads))
        listing = behind.list(MACHINE)
        assert (listing.items, listing.version) == ([], "")

    def test_creating_what_is_not_served_says_what_to_install(self, proxy: Proxy, behind: KubernetesCluster) -> None:
        proxy.faults.append(times(2, Fault(404), lambda asked: MACHINES.rpartition("/")[2] in asked.path))
        with pytest.raises(NotFound, match=r"reconcile crds \| kubectl apply"):
            behind.create(machine("web"))


class TestFaults:
    @pytest.mark.parametrize("fault", [Fault(429), Fault(500), Fault(503), Fault()], ids=["429", "500", "503", "cut"])
    def test_what_is_read_is_asked_again(self, proxy: Proxy, behind: KubernetesCluster, fault: Fault) -> None:
        behind.create(machine("web"))
        proxy.faults.append(times(3, fault, reads))
        assert names(behind.list(MACHINE).items) == ["web"]

    @pytest.mark.parametrize(
        "fault",
        [Fault(429), Fault(504), Fault(), Fault(carried_out=True)],
        ids=["429", "504", "cut before", "cut after"],
    )
    def test_what_is_written_is_written_once(self, proxy: Proxy, behind: KubernetesCluster, fault: Fault) -> None:
        proxy.faults.append(times(1, fault, writes))
        created = behind.create(labelled(machine("web", cpus=1), tier="web"))
        assert behind.get(WEB) == created
        proxy.faults[:] = [times(1, fault, writes)]
        updated = behind.update({**created, "spec": {"cpus": 2}})
        assert updated["spec"] == {"cpus": 2}
        assert updated["metadata"]["generation"] == 2
        assert behind.get(WEB) == updated
        proxy.faults[:] = [times(1, fault, writes)]
        behind.delete(WEB, version=version_of(updated))
        assert behind.get(WEB) is None

    def test_an_entry_of_the_journal_is_written_once(self, proxy: Proxy, behind: KubernetesCluster) -> None:
        proxy.faults.append(times(1, Fault(carried_out=True), lambda asked: asked.method == "PATCH"))
        behind.record("shop", {"step": 1})
        behind.record("shop", {"step": 2})
        assert behind.records("shop") == [{"step": 1}, {"step": 2}]

    def test_the_server_says_when_to_come_back(self, proxy: Proxy) -> None:
        slept: list[float] = []
        proxy.faults.append(times(1, Fault(429, retry_after="7"), reads))
        with closing(api_of(proxy, sleep=slept.append)) as api:
            api.get(MACHINES)
        assert slept == [7.0]

    def test_patience_ends(self, proxy: Proxy) -> None:
        clock = [0.0]

        def sleep(seconds: float) -> None:
            clock[0] += seconds

        with closing(api_of(proxy, sleep=sleep, monotonic=lambda: clock[0], patience=30)) as api:
            api.get(MACHINES)
            proxy.faults.append(lambda asked: Fault(503))
            with pytest.raises(Unavailable):
                api.get(MACHINES)
        assert 20 < clock[0] <= 30

    def test_an_address_where_nobody_ever_answered_is_given_up_soon(self, proxy: Proxy) -> None:
        clock = [0.0]

        def sleep(seconds: float) -> None:
            clock[0] += seconds

        proxy.faults.append(lambda asked: Fault())
        with closing(api_of(proxy, sleep=sleep, monotonic=lambda: clock[0])) as api, pytest.raises(Unavailable):
            api.get(MACHINES)
        assert clock[0] <= 3

    def test_requests_are_paced(self, proxy: Proxy) -> None:
        slept: list[float] = []
        with closing(api_of(proxy, sleep=slept.append, monotonic=lambda: 0.0, rate=10, burst=5)) as api:
            for _ in range(8):
                api.get(MACHINES)
        assert slept == pytest.approx([0.1, 0.2, 0.3])


def api_of(proxy: Proxy, **given: object) -> Api:
    opened = open_api(kubeconfig=str(proxy.kubeconfig))
    return Api(opened._client, **given)  # type: ignore[arg-type]


def opened(proxy: Proxy) -> list[str]:
    """The versions from which streams were asked for."""
    asked = [parse_qs(urlsplit(asked.path).query) for asked in proxy.asked]
    return [query["resourceVersion"][0] for query in asked if "watch" in query]


class TestWatches:
    def test_a_watch_goes_on_after_its_connections_were_cut(
        self, proxy: Proxy, behind: KubernetesCluster, control_plane: ControlPlane
    ) -> None:
        with closing(behind.watch(since=behind.list(MACHINE).version, kinds=[MACHINE])) as watch:
            for name in ("first", "second", "third"):
                behind.create(machine(name))
                assert names([notice.resource for notice in watched(watch, until(EventType.ADDED, name))]) == [name]
                proxy.cut_streams()

    def test_a_watch_that_fell_silent_is_opened_again(self, proxy: Proxy, behind: KubernetesCluster) -> None:
        since = behind.list(MACHINE).version
        paths = {MACHINE: MACHINES}
        with closing(KubernetesWatch(behind.api, paths, {MACHINE: since}, None, renewal=1, slack=0.5)) as watch:
            behind.create(machine("heard"))
            watched(watch, until(EventType.ADDED, "heard"))
            proxy.deafen_streams()
            behind.create(machine("missed"))
            assert names([notice.resource for notice in watched(watch, until(EventType.ADDED, "missed"))]) == ["missed"]

    def test_a_watch_goes_on_after_the_server_ended_it(self, behind: KubernetesCluster, proxy: Proxy) -> None:
        since = behind.list(MACHINE).version
        with closing(KubernetesWatch(behind.api, {MACHINE: MACHINES}, {MACHINE: since}, None, renewal=1)) as watch:
            while len(opened(proxy)) < 3:
                assert not watch.next(0.1)
            behind.create(machine("web"))
            watched(watch, until(EventType.ADDED, "web"))

    def test_bookmarks_move_the_version_from_which_it_goes_on(self, proxy: Proxy, behind: KubernetesCluster) -> None:
        """What others wrote meanwhile need not be looked at again, and is not forgotten by the server so soon."""
        since = behind.list(MACHINE).version
        mine = {"host": "node22"}
        with closing(KubernetesWatch(behind.api, {MACHINE: MACHINES}, {MACHINE: since}, mine, renewal=3)) as watch:
            behind.create(labelled(machine("mine"), host="node22"))
            watched(watch, until(EventType.ADDED, "mine"))
            theirs = behind.create(labelled(machine("theirs"), host="node23"))
            while len(opened(proxy)) < 2:
                assert not watch.next(0.1)
        assert opened(proxy)[0] == since
        assert int(opened(proxy)[1]) >= int(version_of(theirs))

    def test_a_version_that_is_no_longer_kept_is_expired(self, behind: KubernetesCluster) -> None:
        with closing(behind.watch(since="1", kinds=[MACHINE])) as watch, pytest.raises(Expired):
            watch.next(10)

    def test_who_may_not_watch_is_told(self, control_plane: ControlPlane, tmp_path: Path) -> None:
        nobody = control_plane.identity("nobody", "nobodies", tmp_path / "nobody")
        with (
            closing(KubernetesCluster.connect(kubeconfig=str(nobody))) as cluster,
            closing(cluster.watch(since="0", kinds=[MACHINE])) as watch,
            pytest.raises(Forbidden),
        ):
            watch.next(10)

    def test_a_closed_watch_ends_its_streams(self, proxy: Proxy, behind: KubernetesCluster) -> None:
        watch = behind.watch(since=behind.list(MACHINE).version, kinds=[MACHINE, DISK])
        behind.create(machine("web"))
        watched(watch, bool)
        watch.close()
        behind.create(machine("late"))
        assert not watch.next(0.2)


class TestErrors:
    def test_who_may_not_is_told_what_they_may_not(self, control_plane: ControlPlane, tmp_path: Path) -> None:
        nobody = control_plane.identity("nobody", "nobodies", tmp_path / "nobody")
        with closing(KubernetesCluster.connect(kubeconfig=str(nobody))) as cluster:
            with pytest.raises(Forbidden, match='"nobody" cannot list resource "virtualmachines"'):
                cluster.list(MACHINE)
            with pytest.raises(Forbidden, match="cannot create"):
                cluster.create(machine("web"))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "is empty"),
            ("a: [", "expected the node content"),
            ("a: 1", "cannot be used"),
            ("\x00", "cannot be used"),
        ],
    )
    def test_a_kubeconfig_that_is_none_is_said_so(self, tmp_path: Path, text: str, said: str) -> None:
        (tmp_path / "config").write_text(text)
        with pytest.raises(ClusterError, match=said):
            KubernetesCluster.connect(kubeconfig=str(tmp_path / "config"))

    def test_a_context_that_is_not_there_is_named(self, control_plane: ControlPlane) -> None:
        with pytest.raises(ClusterError, match=r"there is no context production in .*; it has test"):
            KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig), context="production")

    def test_without_kubeconfig_and_pod_it_says_what_to_name(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(
            "reconciler.clusters.kubernetes.kubeconfig.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none")
        )
        with pytest.raises(ClusterError, match="Name one with --kubeconfig"):
            KubernetesCluster.connect()

    def test_a_server_that_cannot_be_trusted_is_not_asked(self, control_plane: ControlPlane, tmp_path: Path) -> None:
        text = control_plane.kubeconfig.read_text().replace("certificate-authority", "x-certificate-authority")
        (tmp_path / "config").write_text(text)
        with (
            closing(KubernetesCluster.connect(kubeconfig=str(tmp_path / "config"))) as cluster,
            pytest.raises(ClusterError, match="cannot be trusted"),
        ):
            cluster.list(MACHINE)


class TestJournal:
    def test_it_goes_on_in_another_config_map(self, behind: KubernetesCluster, control_plane: ControlPlane) -> None:
        entries = [{"step": step} for step in range(PER_CHUNK + 5)]
        for entry in entries[: PER_CHUNK - 2]:
            behind.record("shop", entry)
        with closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as another:
            for entry in entries[PER_CHUNK - 2 :]:
                another.record("shop", entry)
        assert behind.records("shop") == entries
        assert behind.records("shop", newest=7) == entries[-7:]
        found = control_plane.kubectl("get", "configmaps", "-l", f"{LABEL_JOURNAL}=shop", "-o", "name").split()
        assert found == ["configmap/reconcile-journal.shop.n000001", "configmap/reconcile-journal.shop.n000002"]

    def test_no_config_map_is_filled_beyond_what_it_holds(
        self, behind: KubernetesCluster, control_plane: ControlPlane
    ) -> None:
        """Two that write to the same one, entries of any size, and letters of several bytes."""
        entries = [{"step": step, "text": "\u673a" * 30_000} for step in range(40)]
        entries[35]["phase"] = EntryType.RUN_STARTED
        with closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as another:
            for entry in entries:
                (another if entry["step"] % 2 else behind).record("shop", entry)
            assert behind.records("shop") == entries
            another.shorten("shop", newest=7)
            kept = another.records("shop")
        assert kept == entries[-len(kept) :]
        assert 7 <= len(kept) < 20

    def test_a_clock_that_stands_still_or_goes_back_keeps_the_order(self, behind: KubernetesCluster) -> None:
        times = iter([5, 5, 5, 3, 3])
        journal = KubernetesJournal(behind.api, "default", lambda: next(times))
        for step in range(5):
            journal.record("shop", {"step": step})
        assert [entry["step"] for entry in journal.records("shop")] == [0, 1, 2, 3, 4]

    def test_it_is_begun_anew_when_somebody_cleared_it_away(
        self, behind: KubernetesCluster, control_plane: ControlPlane
    ) -> None:
        behind.record("shop", {"step": 1})
        control_plane.kubectl("delete", "configmaps", "-l", LABEL_JOURNAL)
        behind.record("shop", {"step": 2})
        assert behind.records("shop") == [{"step": 2}]


class Clock:
    """Time that passes only where it is slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class TestLeases:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def leases(self, behind: KubernetesCluster, clock: Clock) -> KubernetesLeases:
        return KubernetesLeases(behind.api, "default", monotonic=clock, sleep=clock.sleep)

    def test_a_lease_whose_holder_died_is_free_after_its_duration(
        self, behind: KubernetesCluster, leases: KubernetesLeases, clock: Clock
    ) -> None:
        behind.lease("stack web", "dead")._stop.set()  # it renews no longer, and does not give it back
        with pytest.raises(Busy, match="dead"):
            leases.lease("stack web", "heir", wait=DURATION - 1)
        with leases.lease("stack web", "heir", wait=3), pytest.raises(Busy, match="heir"):
            behind.lease("stack web", "other")
        assert DURATION < clock.now < DURATION + 2

    def test_who_asks_again_and_again_gets_it_as_well(
        self, behind: KubernetesCluster, leases: KubernetesLeases, clock: Clock
    ) -> None:
        behind.lease("agent node22", "dead")._stop.set()
        while clock.now < DURATION:
            with pytest.raises(Busy):
                leases.lease("agent node22", "heir", wait=0)
            clock.sleep(1)
        with leases.lease("agent node22", "heir", wait=2):
            pass

    def test_a_lease_that_is_renewed_is_never_free(
        self, behind: KubernetesCluster, leases: KubernetesLeases, clock: Clock
    ) -> None:
        with behind.lease("stack web", "alive") as lease:
            for _ in range(10):
                with pytest.raises(Busy):
                    leases.lease("stack web", "heir", wait=0)
                clock.sleep(RENEWAL)
                lease._write({"renewTime": f"2026-01-01T00:00:{clock.now:09.6f}Z"})

    def test_a_holder_that_cannot_renew_is_not_sure_of_it(self, leases: KubernetesLeases, clock: Clock) -> None:
        with leases.lease("stack web", "alice", wait=0) as lease:
            assert not lease.unsure
            clock.sleep(11)
            assert lease.unsure
            assert not lease.lost

    def test_who_gives_back_what_another_took_over_takes_nothing_away(
        self, behind: KubernetesCluster, leases: KubernetesLeases
    ) -> None:
        with behind.lease("stack web", "slow") as slow:
            slow._stop.set()
            with leases.lease("stack web", "heir", wait=60):
                slow.__exit__()
                with pytest.raises(Busy, match="heir"):
                    behind.lease("stack web", "other")


class TestSecrets:
    def test_a_secret_is_read(self, behind: KubernetesCluster, control_plane: ControlPlane) -> None:
        control_plane.kubectl("create", "secret", "generic", "web-1", "--from-literal=root=hunter2")
        assert behind.secret("default", "web-1") == {"root": "aHVudGVyMg=="}

    def test_the_key_of_digests_is_kept_as_a_secret(
        self, behind: KubernetesCluster, control_plane: ControlPlane
    ) -> None:
        key = behind.digest_key()
        with closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as another:
            assert another.digest_key() == key
