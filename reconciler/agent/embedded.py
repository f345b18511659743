"""The agent of the embedded cluster: it runs in this process, with simulators, for every node.

Only one process at a time serves a cluster file: whoever holds the lease ``agent``. Others submit to the same file
and take over when the holder ends. Nodes that an agent of their own serves (``reconcile agent``) are left to it: an
operation runs under the lease of its node.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from reconciler.agent.agent import Agent
from reconciler.agent.record import Records
from reconciler.clusters.base import Cluster, Lease
from reconciler.clusters.local import LocalCluster
from reconciler.drivers.base import Driver
from reconciler.drivers.simulator.context import key_of
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.problem import Busy, ClusterError
from reconciler.model.resource import ResourceId
from reconciler.observe.capabilities import announcement, lease_name

IDLE = 0.5  # seconds without an operation after which the lease of a node is released
MOST_LEASES = 64  # each is an open file


def simulators(
    cluster: LocalCluster,
    *,
    latency: Callable[[str], float] = lambda operation: 0.0,
    addresses: Mapping[str, str] | None = None,
) -> Callable[[str], Driver]:
    """A simulator for each node, all of the world that is kept beside the cluster's resources.

    ``latency`` gives the seconds an operation pretends to take; ``addresses`` (by node) is where nodes answer
    each other.
    """
    world = cluster.world()
    known = {node.lower(): (node, address) for node, address in (addresses or {}).items()}
    nodes: dict[str, Driver] = {
        key: Simulator(world, node, address=address, latency=latency) for key, (node, address) in known.items()
    }
    guard = threading.Lock()

    def driver_for(node: str) -> Driver:
        with guard:
            if node not in nodes:
                nodes[node] = Simulator(world, node, latency=latency)
            return nodes[node]

    return driver_for


def hidden_from(cluster: LocalCluster, ids: Iterable[ResourceId]) -> dict[ResourceId, str]:
    """Those of some resources that simulated nodes have though the cluster does not show them, with their nodes."""
    world = cluster.world()
    return {id: str(world[key]["node"]) for id in ids if (key := key_of(id)) in world}


def show_hidden(cluster: LocalCluster, hidden: Mapping[ResourceId, str]) -> None:
    """Have the cluster show what simulated nodes have of these resources. Raises ``ClusterError``."""
    driver_for, records = simulators(cluster), Records(cluster)
    for id, node in hidden.items():
        records.store(driver_for(node.lower()), id, node.lower())


class NodeLeases:
    """The leases of nodes. One is kept from an operation to the next, and released when its node is idle."""

    def __init__(self, cluster: Cluster, driver_for: Callable[[str], Driver | None]) -> None:
        self._cluster = cluster
        self._driver_for = driver_for
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}
        self._users: Counter[str] = Counter()
        self._used: set[str] = set()  # since idle ones were last released

    @contextmanager
    def held(self, host: str) -> Iterator[bool]:
        """Hold the lease of a node during the block; False if an agent of its own has it."""
        with self._lock:
            held = self._acquire(host)
            self._users[host] += held
        try:
            yield held
        finally:
            with self._lock:
                self._users[host] -= held

    def _acquire(self, host: str) -> bool:
        self._used.add(host)
        if host not in self._leases:
            try:
                self._leases[host] = _node_lease(self._cluster, host, self._driver_for(host)).__enter__()
            except Busy:
                return False
            if len(self._leases) > MOST_LEASES:
                self._release(set(self._leases) - {host})
        return True

    def release_idle(self) -> None:
        """Release the leases of nodes on which nothing ran since the last call."""
        with self._lock:
            self._release(set(self._leases) - self._used)
            self._used.clear()

    def close(self) -> None:
        """Release all leases that no operation holds."""
        with self._lock:
            self._release(set(self._leases))

    def _release(self, hosts: set[str]) -> None:
        for host in hosts:
            if not self._users[host]:
                del self._users[host]
                self._leases.pop(host).__exit__(None, None, None)


@contextmanager
def serving(
    cluster: LocalCluster, driver_for: Callable[[str], Driver | None] | None = None, *, workers: int = 8
) -> Iterator[None]:
    """Have operations on ``cluster`` carried out for as long as the block runs, by simulators unless told otherwise.

    Raises at the end what made the agent stop, if anything did.
    """
    driver_for = driver_for or simulators(cluster)
    stop = threading.Event()
    crashed: list[BaseException] = []

    def serve() -> None:
        try:
            with _cluster_lease(cluster, stop) as held:
                if held:
                    leases = NodeLeases(cluster, driver_for)
                    try:
                        with Agent(cluster, driver_for, workers=workers, held=leases.held):
                            while not stop.wait(IDLE):
                                leases.release_idle()
                    finally:
                        leases.close()
        except BaseException as error:
            crashed.append(error)

    thread = threading.Thread(target=serve, name="embedded-agent", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if crashed:
        raise crashed[0]


@contextmanager
def serving_node(cluster: LocalCluster, driver: Driver, node: str, *, workers: int = 8) -> Iterator[None]:
    """Have operations on one node carried out by a driver for as long as the block runs.

    The node is scanned before the block begins, unless an agent of its own serves it: then that one has scanned it,
    and goes on carrying operations out. The driver is closed at the end.
    """
    host = node.lower()
    try:
        with ExitStack() as stack:
            lease = None
            with suppress(Busy):
                lease = stack.enter_context(_node_lease(cluster, host, driver))
            agent = Agent(
                cluster, lambda asked: driver if asked == host else None, node=node, workers=workers, lease=lease
            )
            if lease is not None:
                agent.node_scan.run()
            stack.pop_all()  # the agent gives the lease back
            with agent:
                yield
    finally:
        driver.close()


@contextmanager
def scanned_copy(cluster: LocalCluster, driver: Driver, node: str) -> Iterator[LocalCluster]:
    """A copy of a cluster that shows one node as it is now; nothing is written to the cluster itself.

    It is ``cluster`` itself if an agent of its own serves the node: then that one has scanned it, and the operations
    it is running can be seen. The driver and the copy are closed at the end.
    """
    host = node.lower()
    try:
        with _node_lease(cluster, host, driver):
            shown = cluster.copy()
            Agent(shown, lambda asked: driver if asked == host else None, node=node).node_scan.run()
        _node_lease(shown, host, driver)  # for what it announces; it goes with the copy
    except Busy:
        shown = cluster
    try:
        yield shown
    finally:
        if shown is not cluster:
            shown.close()
        driver.close()


def _node_lease(cluster: Cluster, host: str, driver: Driver | None) -> Lease:
    """The lease of a node, on which is written what its driver carries out. Raises ``Busy`` if an agent has it."""
    says = announcement(host, driver.capabilities()) if driver is not None else ""
    return cluster.lease(lease_name(host), f"process {os.getpid()}", annotation=says)


@contextmanager
def _cluster_lease(cluster: LocalCluster, stop: threading.Event) -> Iterator[bool]:
    """Wait to be the agent of the cluster file; False if ``stop`` came first."""
    while not stop.is_set():
        try:
            lease = cluster.lease("agent", f"process {os.getpid()}", wait=0.1)
        except Busy:
            continue
        except ClusterError:  # there may be room for it soon; until then, each attempt tells who waits for the agent
            stop.wait(IDLE)
            continue
        with lease:
            yield True
        return
    yield False
