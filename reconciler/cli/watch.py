"""The verb watch."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.given import policy_of, where_of
from reconciler.cli.options import SERVING, options
from reconciler.cli.provenance import commit_of
from reconciler.cli.serving import agent_for

if TYPE_CHECKING:
    from reconciler.daemon.sources.desired import DesiredReader, Reading
    from reconciler.daemon.sources.git import GitSource


@click.command()
@click.option("--git", "url", metavar="URL", help="Take the manifests from a repository: a path, ssh or https.")
@click.option("--ref", metavar="NAME", default="main", show_default=True, help="Branch, tag or commit, with --git.")
@click.option("--path", metavar="DIR", default="", help="Folder or file of the repository, with --git.")
@click.option(
    "--checkouts",
    metavar="DIR",
    help="Where the repository is kept, one daemon each (default: reconcile/git in $XDG_CACHE_HOME or ~/.cache).",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Seconds between two looks at the repository.",
)
@click.option(
    "--resync",
    type=click.FloatRange(min=1),
    default=600.0,
    show_default=True,
    help="Seconds until everything is looked at anew.",
)
@click.option(
    "--polling",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    help="Look at every file so often: for file systems that tell of nothing, such as NFS.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:9467",
    show_default=True,
    help="Dashboard, /status, /healthz, /readyz and /metrics; '' for none.",
)
@options("paths", "cluster", "allow", "prune", "max_deletions", "adopt", "parallel", "timeout", *SERVING)
def watch(paths: tuple[str, ...], **given: Any) -> None:
    """Keep the cluster as PATHs say, until told to stop. 'reconcile --watch PATH' is the same.

    Files, a git repository and the cluster are followed, and everything is looked at anew now and then. What policy
    does not allow is held, as ever. Several may watch one stack: one acts, the others stand by. SIGTERM or Ctrl-C:
    nothing more is started, what is under way is waited for; once more: it is left to the next run. SIGHUP: read
    everything again.

    \b
    reconcile watch manifests
    reconcile --watch --allow restart manifests
    reconcile watch --git https://git.example.com/team/fleet.git --ref main --path manifests
    """
    import random
    import socket
    import time
    from datetime import UTC, datetime

    from reconciler.apply import Options
    from reconciler.catalogue.operation import OWN_AGENT
    from reconciler.clusters.connection import connect
    from reconciler.daemon.loop.controller import SAMPLED_ENTRIES, ControllerOptions, StackController
    from reconciler.daemon.loop.daemon import Daemon, Signals
    from reconciler.daemon.sources.desired import DesiredReader
    from reconciler.daemon.sources.files import FileSource
    from reconciler.daemon.sources.trigger import Source, TriggerQueue
    from reconciler.daemon.status.metrics import DaemonMetrics
    from reconciler.daemon.status.pages import show
    from reconciler.daemon.status.values import Status
    from reconciler.manifests.loader import Loaded
    from reconciler.manifests.validation import Desired, Stack
    from reconciler.model.journal import read_journal
    from reconciler.output import log
    from reconciler.output.history import Run, runs

    if given["url"] and paths:
        raise click.UsageError("--git and PATHs exclude each other; --path names a folder of the repository.")
    if "-" in paths:
        raise click.UsageError("Standard input cannot be watched: name files or folders.")
    log.begin(sys.stderr)
    signals, triggers = Signals(), TriggerQueue(time.monotonic)
    _listen_to_signals(signals)
    repository = _repository(given) if given["url"] else None
    where_from = repository.shown if repository is not None else " ".join(paths or (".",))

    def input() -> DesiredReader:
        return DesiredReader(paths or (".",), time.monotonic, repository)

    if repository is not None:
        repository.poll()
    first: Reading = input().read()
    loaded = Loaded(stack=first.stack)
    stack = first.desired.stack
    opened = connect(where_of(given["cluster"], loaded, first.desired))
    metrics = DaemonMetrics(lambda: daemon.status())
    ways = ControllerOptions(
        policy=lambda stack: policy_of(Desired(stack, {}), {**given, "target": ()}),
        monotonic=time.monotonic,
        now=lambda: datetime.now(UTC),
        random=random.random,
        apply_options=Options(given["parallel"], given["timeout"]),
        full_sync_interval=given["resync"],
        holder=f"{socket.gethostname()} process {os.getpid()}",
        on_outcome=metrics.step_ended,
        on_reconciled=metrics.reconciled,
        on_cache_mismatch=metrics.cache_mismatch,
        commit=lambda: commit_of(paths or (".",)) if repository is None else ("", False),
    )
    ways.policy(Stack())  # says what is wrong with the options before anything begins
    sources: list[Source] = (
        [repository] if repository is not None else [FileSource(paths or (".",), polling=given["polling"])]
    )
    daemon = Daemon(
        opened,
        stack.name,
        lambda ways: StackController(opened, stack.name, input(), ways, where_from),
        ways,
        triggers,
        signals,
        source=where_from,
        sources=sources,
        serving=lambda: agent_for(opened, {**given, "addresses": stack.nodes}),
        on_reread=repository.poll_now if repository is not None else lambda: None,
        abandons=stack.agent == OWN_AGENT,
    )

    def status() -> Status:
        from dataclasses import replace

        def history(newest: int) -> list[Run]:
            return runs(read_journal(opened.records(stack.name, newest=SAMPLED_ENTRIES)))[:newest]

        return replace(daemon.status(), history=history)

    try:
        with show(given["listen"], status, healthy=daemon.healthy, ready=daemon.ready, daemon_metrics=metrics):
            if given["listen"]:
                click.echo(f"watching {where_from}; see http://{given['listen']}/", err=True)
            daemon.run()
    finally:
        opened.close()


def _repository(given: dict[str, Any]) -> GitSource:
    import hashlib

    from reconciler.daemon.sources.git import GitSource

    key = hashlib.sha256(given["url"].encode()).hexdigest()[:16]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = given["checkouts"] or os.path.join(base, "reconcile", "git", key)
    return GitSource(given["url"], given["ref"], given["path"], folder, interval=given["interval"])


def _listen_to_signals(signals: Any) -> None:
    def end(number: int, frame: object) -> None:
        signals.stops += 1

    def reread(number: int, frame: object) -> None:
        signals.reread = True

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    signal.signal(signal.SIGHUP, reread)
