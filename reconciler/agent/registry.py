"""The drivers an agent can serve its one node with, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.problem import ClusterError

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.drivers.base import Driver
    from reconciler.drivers.nics import Machines

DEFAULT_STATE = ".reconcile/simulator.db"
DEFAULT_URI = "qemu:///system"
DEFAULT_SHUTDOWN = 60.0
DEFAULT_OVS = "unix:/run/openvswitch/db.sock"


class Networks(NamedTuple):
    """The databases of OVN and Open vSwitch: ``unix:PATH``, ``tcp:HOST:PORT`` or ``ssl:HOST:PORT``."""

    northbound: str = ""  # of OVN; empty where the node serves no networks
    vswitch: str = DEFAULT_OVS  # of the node
    key: str = ""  # files in PEM, for ``ssl:``
    certificate: str = ""
    authority: str = ""


class NodeSettings(NamedTuple):
    """The node that a driver serves, and the settings of every driver."""

    name: str
    address: str = ""  # where other nodes reach it
    state: str = ""  # file in which the simulator keeps its hosts
    latency: float = 0.0  # seconds an operation of the simulator takes
    uri: str = DEFAULT_URI  # where libvirt answers
    shutdown: float = DEFAULT_SHUTDOWN  # seconds a guest of libvirt may take to shut down
    allowed: tuple[str, ...] = ()  # directories and devices that operations of libvirt may use beside its pools
    networks: Networks = Networks()


def _simulator(node: NodeSettings, cluster: Cluster) -> Driver:
    """On an embedded cluster the simulated nodes are in the cluster's file, which other commands use as well."""
    from reconciler.clusters.local import LocalCluster
    from reconciler.drivers.simulator.driver import Simulator

    beside = isinstance(cluster, LocalCluster) and not node.state
    hosts = cluster if isinstance(cluster, LocalCluster) and beside else LocalCluster(node.state or DEFAULT_STATE)
    return Simulator(hosts.world(), node.name, address=node.address, latency=lambda operation: node.latency)


def _libvirt(node: NodeSettings, cluster: Cluster) -> Driver:
    try:
        from reconciler.drivers.libvirt.driver import Libvirt
        from reconciler.drivers.libvirt.host import Host
    except ImportError as error:
        if error.name not in ("libvirt", "pycdlib"):
            raise
        raise ClusterError(
            f"the libvirt driver needs {error.name}: in a checkout, run pip install '.[libvirt]' "
            "(it needs libvirt-dev, pkg-config and a C compiler)"
        ) from error
    routed = bool(node.networks.northbound)
    driver = Libvirt(Host(node.uri, node.name, shutdown=node.shutdown, allowed=node.allowed, routed=routed))
    return with_networks(driver, driver.nics, node) if node.networks.northbound else driver


def with_networks(driver: Driver, nics: Machines, node: NodeSettings) -> Driver:
    """The driver of machines, with networks of OVN. It is closed where those cannot be had."""
    try:
        from reconciler.drivers.network.certificates import Certificates
        from reconciler.drivers.network.connection import connected
        from reconciler.drivers.network.driver import Networked

        northbound, vswitch, *files = node.networks
        return Networked(driver, connected(northbound, vswitch, Certificates(*files), node.name, nics))
    except ImportError as error:
        driver.close()
        if error.name not in ("ovs", "ovsdbapp"):
            raise
        raise ClusterError(f"networks of OVN need {error.name}: in a checkout, run pip install '.[ovn]'") from error
    except ClusterError:
        driver.close()
        raise


DRIVERS: dict[str, Callable[[NodeSettings, Cluster], Driver]] = {"libvirt": _libvirt, "simulator": _simulator}


def driver_of(name: str, node: NodeSettings, cluster: Cluster) -> Callable[[str], Driver | None]:
    """A function from the name of a node to its driver: that of this node, None for any other.

    Raises ``ClusterError`` where the driver cannot be had, and what its connection raises.
    """
    driver, host = DRIVERS[name](node, cluster), node.name.lower()
    return lambda asked: driver if asked == host else None
