"""The options that several verbs share, so that each means the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from reconciler.agent.registry import DEFAULT_SHUTDOWN, DEFAULT_URI, DRIVERS
from reconciler.clusters.connection import KUBERNETES, ClusterReference


def cluster_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which cluster is meant; the verb gets them as one ``ClusterReference``."""

    @wraps(function)
    def verb(*args: Any, cluster: str | None, context: str | None, kubeconfig: str | None, **given: Any) -> Any:
        if cluster not in (None, "", KUBERNETES) and (context or kubeconfig):
            raise click.UsageError(f"--context and --kubeconfig mean a Kubernetes API, --cluster {cluster} a file.")
        return function(*args, cluster=ClusterReference(cluster or "", context or "", kubeconfig or ""), **given)

    for option in (
        click.option(
            "--kubeconfig", metavar="FILE", help="Kubernetes, by this file (default: $KUBECONFIG, else ~/.kube/config)."
        ),
        click.option("--context", metavar="NAME", help="Kubernetes, by this context of the kubeconfig."),
        click.option(
            "--cluster",
            metavar="FILE|kubernetes",
            envvar="RECONCILE_CLUSTER",
            show_envvar=True,
            help="File of the embedded cluster, or the current Kubernetes context"
            " (default: the Stack's, else .reconcile/cluster.db).",
        ),
    ):
        verb = option(verb)
    return verb


LOOKING = ("driver", "node", "uri")  # what a host is looked at with
SERVING = ("latency", *LOOKING, "shutdown")  # what carries operations out for an embedded cluster


def options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that several verbs share, by name, so that each means the same everywhere."""
    table: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
        "paths": click.argument("paths", nargs=-1, metavar="[PATH]..."),
        "cluster": cluster_options,
        "output": click.option(
            "-o",
            "--output",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="Format.",
        ),
        "shown": click.option(
            "-o",
            "--output",
            type=click.Choice(["text", "json", "markdown", "html"]),
            default="text",
            show_default=True,
            help="Format; markdown is for the comment of a pull request, html a page by itself.",
        ),
        "out": click.option("--out", metavar="FILE", help="Save the plan, for 'reconcile apply FILE'."),
        "allow": click.option(
            "--allow",
            metavar="IMPACTS",
            multiple=True,
            help="Release held steps: restart, recreate, data (comma-separated).",
        ),
        "prune": click.option("--prune", is_flag=True, help="Delete what the stack owns and no longer describes."),
        "max_deletions": click.option(
            "--max-deletions",
            metavar="N|SHARE%",
            help="Stop where --prune would delete more (default: the Stack's; if nothing is described, any).",
        ),
        "adopt": click.option("--adopt", is_flag=True, help="Take over resources that belong to no stack."),
        "target": click.option(
            "--target", metavar="KIND/NAME", multiple=True, help="Only this resource and what it needs."
        ),
        "yes": click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        "rehearse": click.option(
            "--rehearse",
            is_flag=True,
            help="Try the plan out on a simulated copy; go no further unless it converges.",
        ),
        "inject": click.option(
            "--inject",
            metavar="STEP[=fail|silent|lost]",
            multiple=True,
            help="Rehearse with a fault: OPERATION, OPERATION:KIND/NAME or a step's id.",
        ),
        "parallel": click.option(
            "--parallel",
            type=click.IntRange(1, 256),
            default=16,
            show_default=True,
            help="Operations at once.",
        ),
        "timeout": click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            help="Seconds a step may take.",
        ),
        "lease": click.option(
            "--lock-timeout",
            "lease",
            type=click.FloatRange(min=0),
            default=30.0,
            show_default=True,
            help="Seconds to wait for another run of the same stack to end.",
        ),
        "latency": click.option(
            "--latency",
            type=click.FloatRange(min=0),
            default=0.0,
            help="Seconds each simulated operation takes.",
        ),
        "uri": click.option(
            "--libvirt-uri",
            metavar="URI",
            default=DEFAULT_URI,
            show_default=True,
            help="Where the libvirt driver finds libvirt.",
        ),
        "shutdown": click.option(
            "--shutdown-timeout",
            metavar="SECONDS",
            type=click.FloatRange(min=1),
            default=DEFAULT_SHUTDOWN,
            show_default=True,
            help="Seconds the libvirt driver gives a guest to shut down or restart, before the operation fails.",
        ),
        "driver": click.option(
            "--driver",
            type=click.Choice(sorted(DRIVERS)),
            default="simulator",
            show_default=True,
            help="What carries operations out for an embedded cluster; libvirt: this host, as the node --node.",
        ),
        "node": click.option(
            "--node", metavar="NAME", help="What manifests call this host, with --driver libvirt (default: its name)."
        ),
        "exitcode": click.option(
            "--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes, or some are held."
        ),
    }

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            function = table[name](function)
        return function

    return decorate
