"""The verb agent."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import click

from reconciler.agent.registry import DRIVERS
from reconciler.cli.inputs import connected
from reconciler.cli.options import OVN, HostOptions, cluster_options, host_options
from reconciler.cli.signals import on_stop
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.agent.agent import Agent


@click.command()
@click.option("--node", metavar="NAME", required=True, help="The node it serves: resources labelled host=NAME.")
@click.option("--driver", type=click.Choice(sorted(DRIVERS)), required=True, help="What carries operations out.")
@cluster_options()
@click.option(
    "--state",
    metavar="FILE",
    help="Where the simulator keeps its hosts; agents of several nodes may share one"
    " (default: the cluster's file, on Kubernetes .reconcile/simulator.db).",
)
@click.option("--address", metavar="IP", default="", help="Where other nodes reach this one, to migrate to it.")
@host_options("libvirt_uri", "shutdown_timeout", "allow_path", *OVN, "latency")
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Operations at once.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:9465",
    show_default=True,
    help="Serve /healthz, /readyz and /metrics at this address; in a pod 0.0.0.0:9465, '' for no server.",
)
def agent(
    node: str,
    driver: str,
    cluster: ClusterReference,
    state: str | None,
    address: str,
    host: HostOptions,
    parallel: int,
    listen: str,
) -> None:
    """Serve one node: claim the operations of its resources, run them, write back what is observed.

    One agent at a time serves a node; a second one waits, not ready, until the first is gone. What an agent that
    died had claimed is reported, never run again. SIGTERM or Ctrl-C: no further operation is claimed, running ones
    are finished and written back; a second signal stops at once.

    On an embedded cluster other commands leave the node to this agent for as long as it runs.

    \b
    reconcile agent --node node22 --driver simulator
    reconcile agent --node node22 --driver simulator --cluster kubernetes --listen 0.0.0.0:9465
    reconcile agent --node node22 --driver libvirt --libvirt-uri qemu:///system
    reconcile agent --node node22 --driver libvirt --ovn-nb tcp:10.0.0.1:6641
    reconcile agent --node node23 --driver simulator --cluster shop.db --address 10.0.0.23 --listen 127.0.0.1:9466
    """
    from reconciler.agent.agent import Agent
    from reconciler.agent.registry import driver_of
    from reconciler.output import log
    from reconciler.output.metrics import AgentMetrics, probe

    log.configure(sys.stderr)
    settings = host.of_node(node, address, state or "")
    with connected(cluster) as opened:
        metrics = AgentMetrics()
        worker = Agent(
            opened,
            driver_of(driver, settings, opened),
            node=node,
            holder=f"{socket.gethostname()} process {os.getpid()}",
            workers=parallel,
            observer=metrics,
        )
        metrics.since_beat.set_function(lambda: worker.since_beat)
        with probe(listen, healthy=lambda: worker.healthy, ready=lambda: worker.ready, registry=metrics.registry):
            _run_until_stopped(worker)


def _run_until_stopped(worker: Agent) -> None:
    """Have an agent work until SIGTERM or SIGINT, and finish; a second signal does not wait."""
    signals: list[None] = []

    def stop() -> None:
        signals.append(None)
        if len(signals) > 1:
            os._exit(1)

    on_stop(stop)
    worker.start()
    while not worker.join(0.1):
        if signals:
            worker.stop()
            while not worker.join(1.0):
                pass
            return
