"""What a daemon says of itself, leading or standing by, while the cluster answers and while it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster
from reconciler.clusters.base import Lease
from reconciler.clusters.composed import WrappedCluster
from reconciler.daemon.loop.controller import StackController
from reconciler.daemon.loop.daemon import STALLED_AFTER, Daemon, Signals
from reconciler.daemon.sources.trigger import TriggerQueue
from reconciler.daemon.status.pages import SILENCE, stuck_watches
from reconciler.model.problem import Busy, Unavailable
from support.controller import Clock, ControllerFixture, pool
from support.scenario import served

AWAY = "https://10.0.0.1 does not answer: connection refused"


class Held:
    """A lease, as sure as the test says."""

    lost = unsure = False

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *exc: object) -> None: ...


class Cluster(WrappedCluster):
    """A cluster that is away when the test says so, and whose leases are what the test says."""

    away = ""
    looked: list[str]
    leased: Callable[[], Lease]

    def silence(self, timeout: float) -> str:
        return self.away

    def look(self, name: str) -> None:
        self.looked.append(name)

    def lease(self, name: str, holder: str, *, wait: float = 0.0, annotation: str = "") -> Lease:
        if self.away:
            raise Unavailable(self.away)
        return self.leased()

    def list(self, kind: str, **given: Any) -> Any:
        if self.away:
            raise Unavailable(self.away)
        return super().list(kind, **given)


class Replica:
    """A daemon, one turn of its loop at a time, and the questions that its other thread asks."""

    def __init__(self, folder: Path, cluster: LocalCluster) -> None:
        self.clock, self.signals = Clock(), Signals()
        self.cluster = Cluster(cluster)
        self.cluster.looked, self.cluster.leased = [], Held
        self.fixture = ControllerFixture(folder, self.cluster, clock=self.clock)  # type: ignore[arg-type]
        self.triggers = TriggerQueue(self.clock.monotonic)
        self.daemon = Daemon(
            self.cluster,
            folder.name,
            self._controller,
            self.fixture.controller._options,
            self.triggers,
            self.signals,
            source=str(folder),
        )
        self.daemon._sleep = lambda seconds: self.pass_time(seconds)  # type: ignore[method-assign]

    def _controller(self, options: Any) -> StackController:
        return self.fixture.controller

    def pass_time(self, seconds: float) -> None:
        """It is asked every two seconds whether the cluster answers."""
        for _ in range(int(seconds / 2)):
            self.clock.seconds += 2
            self.daemon._reachability.ask()

    def lead(self) -> None:
        """It is the leader, and reconciles once."""
        self.daemon._standby_error, self.daemon._lease = "", self.cluster.leased()
        self.daemon._controller = self.fixture.controller
        self.turn()

    def turn(self) -> None:
        """It reconciles; what failed is tried again at once if something asks for it."""
        self.daemon._last_poll = self.clock.seconds
        self.fixture.reconcile(*self.triggers.take())


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "a.yaml").write_text(pool("pool-a"))
    with served() as cluster:
        yield Replica(folder, cluster)


def busy() -> Lease:
    raise Busy("watch shop is in use by first, last renewed now", "first")


def test_a_leader_is_not_ready_until_it_really_works_again(replica: Replica) -> None:
    replica.lead()
    assert replica.daemon.ready() == []
    replica.cluster.away = AWAY
    replica.pass_time(6)
    (reason,) = replica.daemon.ready()
    assert "has not answered for" in reason
    assert AWAY in reason
    replica.turn()
    replica.cluster.away = ""
    replica.pass_time(2)
    assert replica.daemon.ready() == [AWAY]  # it answers, but the stack was not reconciled since
    assert replica.triggers.pending == 1
    replica.turn()
    assert replica.daemon.ready() == []


def test_a_leader_that_is_not_sure_of_it_is_not_ready(replica: Replica) -> None:
    replica.lead()
    replica.daemon._lease = unsure = Held()
    unsure.unsure = True
    (reason,) = replica.daemon.ready()
    assert "could not be renewed" in reason


def test_who_stands_by_is_ready_once_it_knows_who_acts_and_while_the_cluster_answers(replica: Replica) -> None:
    assert replica.daemon.ready() == ["which replica acts is not known yet"]
    replica.cluster.leased = busy
    replica.daemon._lead_or_stand_by()
    assert replica.daemon.ready() == []
    assert replica.daemon.status().holder == "first"
    replica.cluster.away = AWAY
    for _ in range(4):
        replica.daemon._lead_or_stand_by()
    assert "has not answered for" in replica.daemon.ready()[0]
    replica.cluster.away = ""
    replica.daemon._lead_or_stand_by()
    assert replica.daemon.ready() == []


def test_who_stands_by_says_little(replica: Replica, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    renewed = iter(range(1000))

    def renewed_again() -> Lease:
        raise Busy(f"watch shop is in use by first, last renewed {next(renewed)}", "first")

    replica.cluster.leased = renewed_again
    for _ in range(10):
        replica.daemon._lead_or_stand_by()
    assert len([text for text in caplog.messages if "standing by" in text]) == 1
    replica.cluster.away, before = AWAY, len(caplog.messages)
    for _ in range(100):
        replica.daemon._lead_or_stand_by()
    assert len(caplog.messages) - before <= 2
    replica.cluster.away = ""
    replica.daemon._lead_or_stand_by()
    assert "answers again" in caplog.messages[-1]


def test_who_stands_by_looks_at_the_lease_of_the_stack_too(replica: Replica) -> None:
    replica.cluster.leased = busy
    for _ in range(3):
        replica.daemon._lead_or_stand_by()
    assert replica.cluster.looked == ["stack shop"] * 3


def test_nobody_restarts_a_daemon_because_the_cluster_is_away(replica: Replica) -> None:
    replica.lead()
    replica.cluster.away = AWAY
    replica.pass_time(3600)

    def unhealthy() -> list[str]:
        return [*replica.daemon.healthy(), *stuck_watches(replica.daemon.status().watches, SILENCE)]

    assert unhealthy() == []
    replica.cluster.away = ""
    replica.pass_time(10)
    assert unhealthy() == []  # it has some time to go on
    replica.pass_time(STALLED_AFTER)
    assert "the control loop has been stuck" in unhealthy()[0]


def test_the_status_says_how_old_it_is(replica: Replica) -> None:
    replica.lead()
    replica.pass_time(2)
    assert replica.daemon.status().cluster == ("", 0.0)
    replica.cluster.away = AWAY
    replica.pass_time(30)
    away, silence = replica.daemon.status().cluster
    assert AWAY in away
    assert silence == 30.0
    assert [each.id.name for each in replica.daemon.status().resources()] == ["pool-a"]
