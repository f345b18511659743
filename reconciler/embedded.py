"""The agent that comes with the embedded cluster: it runs in this process, on the simulator, for every node.

Only one process at a time serves a cluster file: whoever holds the lock beside it. Others submit to the same
file and take over when the holder goes. Nodes that an agent of their own serves (``reconcile agent``) are left
to it: an operation runs under its node's lease, here for as long as it takes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from reconciler.agent import Agent
from reconciler.clusters.base import Cluster, Lease
from reconciler.clusters.local import LocalCluster
from reconciler.drivers.base import Driver
from reconciler.drivers.simulator import Simulator
from reconciler.problem import Busy


def simulators(
    cluster: LocalCluster,
    *,
    latency: Callable[[str], float] = lambda operation: 0.0,
    addresses: Mapping[str, str] | None = None,
) -> Callable[[str], Driver]:
    """A simulator a node, all in the world kept beside the cluster's resources.

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


class Hosts:
    """The leases of nodes, each had from the first operation that runs on the node to the last."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._holder = f"process {os.getpid()}"
        self._lock = threading.Lock()
        self._users: dict[str, tuple[Lease, int]] = {}

    @contextmanager
    def held(self, host: str) -> Iterator[bool]:
        """Act on a node; False if an agent of its own does."""
        with self._lock:
            try:
                lease, users = self._users.get(host) or (self._cluster.lease(f"agent {host}", self._holder), 0)
            except Busy:
                lease, users = None, 0
            if lease is not None:
                if not users:
                    lease.__enter__()
                self._users[host] = lease, users + 1
        if lease is None:
            yield False
            return
        try:
            yield True
        finally:
            with self._lock:
                lease, users = self._users.pop(host)
                if users > 1:
                    self._users[host] = lease, users - 1
                else:
                    lease.__exit__(None, None, None)


@contextmanager
def serving(
    cluster: LocalCluster, driver_for: Callable[[str], Driver | None] | None = None, *, workers: int = 8
) -> Iterator[None]:
    """Have operations on ``cluster`` carried out for as long as the block runs, on simulators unless told."""
    driver_for = driver_for or simulators(cluster)
    stop = threading.Event()
    crashed: list[BaseException] = []

    def serve() -> None:
        try:
            with _only_one(cluster, stop) as mine:
                if mine:
                    with Agent(cluster, driver_for, workers=workers, held=Hosts(cluster).held):
                        stop.wait()
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
def _only_one(cluster: LocalCluster, stop: threading.Event) -> Iterator[bool]:
    """Wait to be the agent of the cluster file; False if ``stop`` came first."""
    while not stop.is_set():
        try:
            lease = cluster.lease("agent", f"process {os.getpid()}", wait=0.1)
        except Busy:
            continue
        with lease:
            yield True
        return
    yield False
