"""The verb agent."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from reconciler.agent.registry import DRIVERS
from reconciler.cli.given import connected
from reconciler.cli.options import options
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.agent import Agent


@click.command()
@click.option("--node", metavar="NAME", required=True, help="The node it serves: resources labelled host=NAME.")
@click.option("--driver", type=click.Choice(sorted(DRIVERS)), required=True, help="What carries operations out.")
@options("cluster")
@click.option(
    "--state",
    metavar="FILE",
    help="Where the simulator keeps its hosts; agents of several nodes may share one"
    " (default: the cluster's file, on Kubernetes .reconcile/simulator.db).",
)
@options("uri", "shutdown")
@click.option("--address", metavar="IP", default="", help="Where other nodes reach this one, to migrate to it.")
@options("latency")
@click.option(
    "--parallel", type=click.IntRange(1, 256), default=8, show_default=True, help="Operations at once, one a resource."
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:9465",
    show_default=True,
    help="Answer /healthz, /readyz and /metrics there; in a pod 0.0.0.0:9465, '' for not at all.",
)
def agent(node: str, driver: str, cluster: ClusterReference, **given: Any) -> None:
    """Serve one node: claim the operations of its resources, run them, write back what is observed.

    Only one agent serves a node at a time; a second one waits, not ready, until the first is gone. What an agent
    that died had claimed is reported, never run again. SIGTERM or Ctrl-C: nothing more is picked up, what is
    under way is finished and written back; a second one leaves at once.

    On an embedded cluster other commands leave the node to this agent for as long as it runs.

    \b
    reconcile agent --node node22 --driver simulator
    reconcile agent --node node22 --driver simulator --cluster kubernetes --listen 0.0.0.0:9465
    reconcile agent --node node22 --driver libvirt --libvirt-uri qemu:///system
    reconcile agent --node node23 --driver simulator --cluster shop.db --address 10.0.0.23 --listen 127.0.0.1:9466
    """
    import socket

    from reconciler.agent import Agent
    from reconciler.agent.registry import Node, driver_of
    from reconciler.output import log
    from reconciler.output.metrics import AgentMetrics, probe

    log.begin(sys.stderr)
    told = Node(
        node,
        given["address"],
        given["state"] or "",
        given["latency"],
        uri=given["libvirt_uri"],
        shutdown=given["shutdown_timeout"],
    )
    with connected(cluster) as opened:
        metrics = AgentMetrics()
        serves = Agent(
            opened,
            driver_of(driver, told, opened),
            node=node,
            holder=f"{socket.gethostname()} process {os.getpid()}",
            workers=given["parallel"],
            observer=metrics,
        )
        metrics.since_beat.set_function(lambda: serves.since_beat)
        with probe(
            given["listen"], healthy=lambda: serves.healthy, ready=lambda: serves.ready, registry=metrics.registry
        ):
            _until_told(serves)


def _until_told(serves: Agent) -> None:
    """Have an agent work until SIGTERM or SIGINT, and finish; a second signal does not wait."""
    told: list[int] = []

    def tell(number: int, frame: object) -> None:
        told.append(number)
        if len(told) > 1:
            os._exit(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    serves.start()
    # A handler may run anywhere, inside any lock: it only takes note.
    while not serves.join(0.1):
        if told:
            serves.stop()
            while not serves.join(1.0):
                pass
            return
