"""Leases on an API that hangs or goes away, with time simulated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.clusters.kubernetes.leases import DURATION, RENEWAL, SAFE, KubernetesLease, KubernetesLeases
from reconciler.model.problem import Busy, Conflict, NotFound, Unavailable

STANDBY = 2.0  # seconds between two looks of a replica that stands by


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Store:
    """The leases of an API server, which answers or does not."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.away = False
        self.patience: list[tuple[float | None, float]] = []  # of each request, and its timeout

    def get(self, path: str, *, patience: float | None = None, timeout: float = 60.0) -> Any:
        self.patience.append((patience, timeout))
        if self.away:
            raise Unavailable("it does not answer")
        if path not in self.stored:
            raise NotFound(path)
        return self.stored[path]

    def write(self, method: str, path: str, body: Any, *, patience: float | None = None, timeout: float = 60.0) -> Any:
        self.patience.append((patience, timeout))
        if self.away:
            raise Unavailable("it does not answer")
        path = path if method == "PUT" else f"{path}/{body['metadata']['name']}"
        known = self.stored.get(path)
        if known and known["metadata"]["resourceVersion"] != body["metadata"].get("resourceVersion"):
            raise Conflict("it was changed")
        self.version += 1
        self.stored[path] = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.stored[path]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Store:
    return Store()


def leases(store: Store, clock: Clock) -> KubernetesLeases:
    """Those of one process."""
    return KubernetesLeases(store, "default", monotonic=clock, sleep=clock.sleep)  # type: ignore[arg-type]


def held(store: Store, clock: Clock, name: str = "stack web") -> KubernetesLease:
    """A lease whose renewals the test makes."""
    lease = leases(store, clock).lease(name, "alice")
    lease._stop.set()
    lease._thread.join()
    return lease


def until_taken(heir: KubernetesLeases, clock: Clock, name: str, seconds: float) -> Iterator[float]:
    """Looks every two seconds, until it has the lease."""
    end = clock.now + seconds
    while clock.now < end:
        try:
            heir.lease(name, "bob").__exit__()
        except (Busy, Unavailable):
            clock.sleep(STANDBY)
            yield clock.now
        else:
            return


@pytest.mark.parametrize("hang", [10, 15, 60, 3600])
def test_an_api_that_hangs_takes_no_lease_away(store: Store, clock: Clock, hang: int) -> None:
    lease, heir = held(store, clock), leases(store, clock)
    with pytest.raises(Busy):
        heir.lease("stack web", "bob")
    store.away = True
    for _ in until_taken(heir, clock, "stack web", hang):
        assert not lease.renew()
        assert not lease.lost
    assert lease.unsure is (clock.now - lease._renewed > SAFE)
    store.away = False
    with pytest.raises(Busy):  # whoever looks first when it is back
        heir.lease("stack web", "bob")
    clock.sleep(RENEWAL)
    assert lease.renew()
    assert not lease.lost
    assert not lease.unsure


def test_nobody_else_has_it_while_its_holder_is_sure(store: Store, clock: Clock) -> None:
    lease, heir = held(store, clock), leases(store, clock)
    for _ in until_taken(heir, clock, "stack web", 60):
        assert lease.unsure or clock.now - 1000 <= SAFE
    assert lease.unsure
    assert DURATION < clock.now - 1000 <= DURATION + STANDBY
    assert not lease.renew()
    assert lease.lost


def test_leases_that_were_looked_at_are_waited_for_at_the_same_time(store: Store, clock: Clock) -> None:
    """The leader and the apply that it was in die together; who takes over does not wait for one after the other."""
    for name in ("watch web", "stack web"):
        held(store, clock, name)
    heir = leases(store, clock)
    heir.look("stack web")
    for _ in until_taken(heir, clock, "watch web", 60):
        heir.look("stack web")
    with heir.lease("stack web", "bob"):
        assert clock.now - 1000 <= DURATION + STANDBY


def test_no_request_about_a_lease_waits_for_longer_than_the_lease_is_sure(store: Store, clock: Clock) -> None:
    lease = held(store, clock)
    store.away = True
    store.patience.clear()
    assert not lease.renew()
    lease.__exit__()
    assert store.patience
    assert all(patience is not None and patience + timeout < SAFE for patience, timeout in store.patience)
