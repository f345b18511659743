"""The agent inside this process: it serves an embedded cluster, and shows a host before a plan is made."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from reconciler.cli.options import HostOptions

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.drivers.base import Driver


def serve_locally(
    cluster: Cluster, host: HostOptions, *, workers: int, addresses: Mapping[str, str] | None = None
) -> AbstractContextManager[None]:
    """Serve an embedded cluster until the block ends; nothing on Kubernetes, where agents run on the nodes.

    ``workers``: operations at once. ``addresses``: where simulated nodes are, by name.
    """
    from reconciler.clusters.local import LocalCluster

    if not isinstance(cluster, LocalCluster):
        return nullcontext()
    from reconciler.agent.embedded import serving, serving_node, simulators

    if host.driver != "simulator":
        driver, name = _driver_of(cluster, host)
        return serving_node(cluster, driver, name, workers=workers)
    drivers = simulators(cluster, latency=lambda operation: host.latency, addresses=addresses)
    return serving(cluster, drivers, workers=workers)


def with_host_state(cluster: Cluster, host: HostOptions) -> AbstractContextManager[Cluster]:
    """The cluster to plan on: with the driver of a host, as that host is now instead of as it was stored."""
    from reconciler.clusters.local import LocalCluster

    if not isinstance(cluster, LocalCluster) or host.driver == "simulator":
        return nullcontext(cluster)
    from reconciler.agent.embedded import scanned_copy

    driver, name = _driver_of(cluster, host)
    return scanned_copy(cluster, driver, name)


def _driver_of(cluster: Cluster, host: HostOptions) -> tuple[Driver, str]:
    """The driver of this host, and the name of its node."""
    from reconciler.agent.registry import DRIVERS

    node = host.of_node(host.node or socket.gethostname())
    return DRIVERS[host.driver](node, cluster), node.name
