"""The verb watch."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import click

from reconciler.cli.inputs import cluster_for, policy_of
from reconciler.cli.local_agent import serve_locally
from reconciler.cli.options import (
    ExecutionOptions,
    HostOptions,
    PolicyOptions,
    cluster_options,
    execution_options,
    host_options,
    option_group,
    paths_argument,
    policy_options,
)
from reconciler.cli.provenance import commit_of
from reconciler.cli.signals import on_hangup, on_stop
from reconciler.cli.terminal import say
from reconciler.clusters.connection import ClusterReference, connect
from reconciler.model.secret_access import SecretAccess

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.daemon.loop.controller import ControllerOptions
    from reconciler.daemon.loop.daemon import Daemon, Signals
    from reconciler.daemon.sources.desired_reader import DesiredReader
    from reconciler.daemon.sources.git import GitSource
    from reconciler.daemon.sources.trigger import TriggerSource
    from reconciler.daemon.status.metrics import DaemonMetrics
    from reconciler.daemon.status.run_history import RunHistory
    from reconciler.manifests.desired import Stack


class RepositoryOptions(NamedTuple):
    """A git repository that manifests are taken from; without ``url`` they are files of this host."""

    url: str | None
    ref: str
    path: str
    checkouts: str | None  # folder
    interval: float  # seconds


class WatchOptions(NamedTuple):
    """The polling intervals of a daemon, in seconds, and the address of its pages."""

    resync: float
    polling: float | None
    listen: str


repository_options = option_group(
    "repository",
    RepositoryOptions,
    {
        "url": click.option(
            "--git", "url", metavar="URL", help="Take the manifests from a repository: a path, ssh or https."
        ),
        "ref": click.option(
            "--ref", metavar="NAME", default="main", show_default=True, help="Branch, tag or commit, with --git."
        ),
        "path": click.option("--path", metavar="DIR", default="", help="Folder or file of the repository, with --git."),
        "checkouts": click.option(
            "--checkouts",
            metavar="DIR",
            help="Folder of the clone, one a daemon (default: reconcile/git in $XDG_CACHE_HOME or ~/.cache).",
        ),
        "interval": click.option(
            "--interval",
            metavar="SECONDS",
            type=click.FloatRange(min=1),
            default=60.0,
            show_default=True,
            help="Seconds between two fetches of the repository.",
        ),
    },
)

watch_options = option_group(
    "watching",
    WatchOptions,
    {
        "resync": click.option(
            "--resync",
            metavar="SECONDS",
            type=click.FloatRange(min=1),
            default=600.0,
            show_default=True,
            help="Seconds between two full syncs, in which everything is read and planned again.",
        ),
        "polling": click.option(
            "--polling",
            metavar="SECONDS",
            type=click.FloatRange(min=0.1),
            help="Check every file at this interval: for file systems that report no changes, such as NFS.",
        ),
        "listen": click.option(
            "--listen",
            metavar="HOST:PORT",
            default="127.0.0.1:9467",
            show_default=True,
            help="Serve the dashboard, /status, /healthz, /readyz and /metrics at this address; '' for no server.",
        ),
    },
)


@click.command()
@repository_options()
@watch_options()
@paths_argument
@cluster_options()
@policy_options("allow", "prune", "max_deletions", "adopt", "secret_env", "secret_dir")
@execution_options("parallel", "timeout")
@host_options()
def watch(
    paths: tuple[str, ...],
    repository: RepositoryOptions,
    watching: WatchOptions,
    cluster: ClusterReference,
    policy: PolicyOptions,
    execution: ExecutionOptions,
    host: HostOptions,
) -> None:
    """Keep the cluster as PATHs describe it, until stopped. 'reconcile --watch PATH' is the same.

    Changes of files, of a git repository and of the cluster are followed, and a full sync runs now and then. Steps
    that policy does not allow are held. Several may watch one stack: one leads, the others stand by. SIGTERM or
    Ctrl-C: no further step is started, running ones are waited for; a second signal leaves them to the next run.
    SIGHUP: read everything again.

    \b
    reconcile watch manifests
    reconcile --watch --allow restart manifests
    reconcile watch --git https://git.example.com/team/fleet.git --ref main --path manifests
    """
    from reconciler.daemon.loop.daemon import Signals
    from reconciler.daemon.status.metrics import DaemonMetrics
    from reconciler.model.user_file import own_descriptor
    from reconciler.output import log

    if repository.url and paths:
        raise click.UsageError("--git and PATHs exclude each other; --path names a folder of the repository.")
    if any(path == "-" or own_descriptor(path) is not None for path in paths):
        raise click.UsageError("Standard input cannot be watched: name files or folders.")
    log.configure(sys.stderr)
    signals = Signals()
    _handle_signals(signals)
    inputs = WatchInputs(paths or (".",), _clone(repository) if repository.url else None, watching, policy.secrets)
    metrics = DaemonMetrics(lambda: daemon.status())
    options = _controller_options(inputs, policy, execution, metrics)
    stack, reference = _first_reading(inputs, cluster)
    opened = connect(reference)
    daemon = _daemon(opened, stack, inputs, options, signals, host)
    try:
        _serve_and_run(daemon, opened, stack.name, inputs, metrics)
    finally:
        opened.close()


def _serve_and_run(daemon: Daemon, cluster: Cluster, stack: str, inputs: WatchInputs, metrics: DaemonMetrics) -> None:
    """Run a daemon until it is stopped, and its pages beside it."""
    from reconciler.daemon.status.pages import show

    listen, history = inputs.watching.listen, _history(cluster, stack)
    with show(
        listen,
        lambda: replace(daemon.status(), history=history.newest),
        healthy=daemon.healthy,
        ready=daemon.ready,
        daemon_metrics=metrics,
    ):
        if listen:
            say(f"watching {inputs.shown}; see http://{listen}/")
        daemon.run()


class WatchInputs(NamedTuple):
    """Where the manifests come from: files of this host or, if there is one, the clone of a repository."""

    paths: tuple[str, ...]
    clone: GitSource | None
    watching: WatchOptions
    secrets: SecretAccess

    @property
    def shown(self) -> str:
        """The source of the manifests, as people read it."""
        return self.clone.shown if self.clone is not None else " ".join(self.paths)

    def reader(self) -> DesiredReader:
        """The manifests, to be read as they change."""
        from reconciler.daemon.sources.desired_reader import DesiredReader

        return DesiredReader(self.paths, time.monotonic, self.clone, self.secrets)

    def sources(self) -> list[TriggerSource]:
        """The sources of triggers for changed manifests."""
        from reconciler.daemon.sources.files import FileSource

        return [self.clone] if self.clone is not None else [FileSource(self.paths, polling=self.watching.polling)]

    def commit(self) -> tuple[str, bool]:
        """The commit that files of this host are of, and whether they differ from it; a clone knows its own."""
        return commit_of(self.paths) if self.clone is None else ("", False)


def _first_reading(inputs: WatchInputs, cluster: ClusterReference) -> tuple[Stack, ClusterReference]:
    """The Stack, and the cluster that it is on. Raises ``InvalidInput``."""
    from reconciler.manifests.loader import Loaded

    if inputs.clone is not None:
        inputs.clone.poll()
    first = inputs.reader().read()
    return first.desired.stack, cluster_for(cluster, Loaded(stack=first.stack), first.desired)


def _controller_options(
    inputs: WatchInputs, policy: PolicyOptions, execution: ExecutionOptions, metrics: DaemonMetrics
) -> ControllerOptions:
    """Clocks, policy, limits and metrics of a daemon. Raises ``UsageError`` for a policy that makes no sense."""
    from reconciler.apply import Options
    from reconciler.daemon.loop.controller import ControllerOptions
    from reconciler.manifests.desired import Desired, Stack

    options = ControllerOptions(
        policy=lambda stack: policy_of(Desired(stack, {}), policy),
        monotonic=time.monotonic,
        now=lambda: datetime.now(UTC),
        random=random.random,
        apply_options=Options(execution.parallel, execution.timeout, secrets=inputs.secrets),
        full_sync_interval=inputs.watching.resync,
        holder=f"{socket.gethostname()} process {os.getpid()}",
        on_outcome=metrics.step_ended,
        on_reconciled=metrics.reconciled,
        on_cache_mismatch=metrics.cache_mismatch,
        on_bug=metrics.bug_met,
        commit=inputs.commit,
    )
    options.policy(Stack())
    return options


def _daemon(
    cluster: Cluster,
    stack: Stack,
    inputs: WatchInputs,
    options: ControllerOptions,
    signals: Signals,
    host: HostOptions,
) -> Daemon:
    from reconciler.daemon.loop.controller import StackController
    from reconciler.daemon.loop.daemon import Daemon
    from reconciler.daemon.sources.trigger import TriggerQueue
    from reconciler.model.wire import OWN_AGENT

    workers = options.apply_options.parallel
    reread: Callable[[], object] = inputs.clone.poll_now if inputs.clone is not None else lambda: None
    return Daemon(
        cluster,
        stack.name,
        lambda options: StackController(cluster, stack.name, inputs.reader(), options, inputs.shown),
        options,
        TriggerQueue(time.monotonic),
        signals,
        source=inputs.shown,
        sources=inputs.sources(),
        serving=lambda: serve_locally(cluster, host, workers=workers, addresses=stack.nodes),
        on_reread=reread,
        abandons=stack.agent == OWN_AGENT,
    )


def _history(cluster: Cluster, stack: str) -> RunHistory:
    from reconciler.daemon.loop.controller import SAMPLED_ENTRIES
    from reconciler.daemon.status.run_history import RunHistory
    from reconciler.model.journal import read_journal
    from reconciler.output.history import runs

    return RunHistory(lambda: runs(read_journal(cluster.records(stack, newest=SAMPLED_ENTRIES))))


def _clone(options: RepositoryOptions) -> GitSource:
    """The clone of the repository, in a folder of its own a URL."""
    from reconciler.daemon.sources.git import GitSource

    url = options.url or ""
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = options.checkouts or os.path.join(base, "reconcile", "git", key)
    return GitSource(url, options.ref, options.path, folder, interval=options.interval)


def _handle_signals(signals: Signals) -> None:
    def stop() -> None:
        signals.stops += 1

    def read_again() -> None:
        signals.reread = True

    on_stop(stop)
    on_hangup(read_again)
