"""Who carries operations out for an embedded cluster, and looks at a host before a plan is made."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.drivers.base import Driver


def agent_for(cluster: Cluster, given: dict[str, Any]) -> AbstractContextManager[None]:
    """The embedded cluster's own agent; on Kubernetes the agents are on the nodes."""
    from reconciler.clusters.local import LocalCluster

    if not isinstance(cluster, LocalCluster):
        return nullcontext()
    from reconciler.agent.embedded import serving, serving_node, simulators

    if given["driver"] != "simulator":
        driver, name = _host(cluster, given)
        return serving_node(cluster, driver, name, workers=given["parallel"])
    drivers = simulators(cluster, latency=lambda operation: given["latency"], addresses=given.get("addresses"))
    return serving(cluster, drivers, workers=given["parallel"])


def looked_at(cluster: Cluster, given: dict[str, Any]) -> AbstractContextManager[Cluster]:
    """The cluster as it is to be planned on: with a driver of a host, as it shows that host now."""
    from reconciler.clusters.local import LocalCluster

    if not isinstance(cluster, LocalCluster) or given["driver"] == "simulator":
        return nullcontext(cluster)
    from reconciler.agent.embedded import scanned_copy

    driver, name = _host(cluster, given)
    return scanned_copy(cluster, driver, name)


def _host(cluster: Cluster, given: dict[str, Any]) -> tuple[Driver, str]:
    """The driver of this host, and what the host is called."""
    from reconciler.agent.registry import DRIVERS, Node

    host = Node(given["node"] or socket.gethostname(), uri=given["libvirt_uri"])
    if "shutdown_timeout" in given:
        host = host._replace(shutdown=given["shutdown_timeout"])
    return DRIVERS[given["driver"]](host, cluster), host.name
