"""The command line. Verbs only: it reads arguments, calls the stages and prints; it decides nothing.

Exit codes: 0 fine, 1 error, 2 (with --detailed-exitcode) the plan has changes or an apply left some held.
Imports of the stages happen inside the verbs, so that --version and --help stay quick.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from reconciler.connect import KUBERNETES, Where, connect
from reconciler.node import DRIVERS
from reconciler.version import __version__

if TYPE_CHECKING:
    from reconciler.agent import Agent
    from reconciler.apply import Report
    from reconciler.clusters.base import Cluster
    from reconciler.draft import Draft
    from reconciler.load import Loaded
    from reconciler.plan import Plan
    from reconciler.planner import Policy
    from reconciler.resource import ResourceId
    from reconciler.validate import Desired

EXAMPLES = """
\b
Examples:
  reconcile --plan examples/manifests/quickstart   what would happen
  reconcile examples/manifests/quickstart          show the plan, ask, apply
  reconcile --yes --allow restart manifests        apply in CI, restarts allowed
  kustomize build overlay | reconcile --plan -     from standard input
  reconcile get vm                                 what is on the cluster
  reconcile import --out manifests                 describe it: files whose plan is empty
  reconcile explain VirtualMachine.memory          what a field means, what moves it
"""


class _Verbs(click.Group):
    """``reconcile PATH`` means ``reconcile apply PATH``; ``--plan`` and ``--delete`` choose other verbs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in ("--help", "-h", "--version"):
            return super().parse_args(ctx, args)
        if "--plan" in args:
            index = args.index("--plan")
            args = ["plan", *args[:index], *args[index + 1 :]]
        elif not args or args[0] not in self.commands:
            verb = self._verb(args)
            args = [*verb, *args]
        return super().parse_args(ctx, args)

    def _verb(self, args: list[str]) -> list[str]:
        """Take the verb out of arguments that begin with an option; a path of its name is still a path."""
        if args and args[0].startswith("-"):
            for word in args:
                if word in self.commands and not os.path.exists(word):
                    args.remove(word)
                    return [word]
        return ["apply"]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("reconcile", "[--plan] [PATH...] | VERB ...")


def _cluster_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which cluster is meant; the verb gets them as one ``Where``."""

    @wraps(function)
    def verb(*args: Any, cluster: str | None, context: str | None, kubeconfig: str | None, **given: Any) -> Any:
        if cluster not in (None, "", KUBERNETES) and (context or kubeconfig):
            raise click.UsageError(f"--context and --kubeconfig mean a Kubernetes API, --cluster {cluster} a file.")
        return function(*args, cluster=Where(cluster or "", context or "", kubeconfig or ""), **given)

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


def _options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that several verbs share, by name, so that each means the same everywhere."""
    table: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
        "paths": click.argument("paths", nargs=-1, metavar="[PATH]..."),
        "cluster": _cluster_options,
        "output": click.option(
            "-o",
            "--output",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="Format.",
        ),
        "out": click.option("--out", metavar="FILE", help="Save the plan, for 'reconcile apply FILE'."),
        "allow": click.option(
            "--allow",
            metavar="IMPACTS",
            multiple=True,
            help="Release held steps: restart, recreate, data (comma-separated).",
        ),
        "prune": click.option("--prune", is_flag=True, help="Delete what the stack owns and no longer describes."),
        "adopt": click.option("--adopt", is_flag=True, help="Take over resources that belong to no stack."),
        "target": click.option(
            "--target", metavar="KIND/NAME", multiple=True, help="Only this resource and what it needs."
        ),
        "yes": click.option("-y", "--yes", is_flag=True, help="Do not ask."),
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
        "exitcode": click.option(
            "--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes, or some are held."
        ),
    }

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            function = table[name](function)
        return function

    return decorate


@click.group(cls=_Verbs, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="reconcile", message="%(prog)s %(version)s")
def cli() -> None:
    """GitOps for virtual machines: YAML in, an ordered plan out, applied and verified.

    Without a verb: show the plan for PATHs, ask, apply. With --plan: only show it.
    """


@cli.command()
@_options("paths", "cluster", "output", "out", "allow", "prune", "adopt", "target", "exitcode")
def plan(
    paths: tuple[str, ...],
    cluster: Where,
    output: str,
    out: str | None,
    detailed_exitcode: bool,
    **policy: Any,
) -> None:
    """Show the exact ordered operations that would make the cluster match; write nothing."""
    from reconciler.reconcile import plan as make

    loaded, desired = _read(paths)
    with _opened(cluster, loaded, desired, reading=True) as opened:
        made = make(desired, opened, _policy(desired, policy))
    _show_plan(made, output)
    if made.problems:
        sys.exit(1)
    if out:
        _save(made, out)
    if detailed_exitcode and made.steps:
        sys.exit(2)


@cli.command()
@_options(
    "paths",
    "cluster",
    "output",
    "allow",
    "prune",
    "adopt",
    "target",
    "yes",
    "parallel",
    "timeout",
    "lease",
    "latency",
    "exitcode",
)
def apply(paths: tuple[str, ...], **given: Any) -> None:
    """Show the plan, ask, apply it and verify every step. The default verb.

    With a plan saved by --plan --out: exactly its steps, unless something they rely on has moved since.
    """
    _run(paths, given, delete=False)


@cli.command()
@_options("paths", "cluster", "output", "allow", "target", "yes", "parallel", "timeout", "lease", "latency", "exitcode")
def delete(paths: tuple[str, ...], **given: Any) -> None:
    """Plan and apply with nothing desired: delete what PATHs describe, dependents first.

    Disks, images and snapshots stay unless their deletionPolicy is Delete and --allow data is given; so does
    whatever they need.
    """
    _run(paths, given, delete=True)


def _run(paths: tuple[str, ...], given: dict[str, Any], *, delete: bool) -> None:
    from reconciler.reconcile import apply_saved, reconcile_once

    if not delete and (saved := _saved(paths)):
        with _opened(given["cluster"]) as opened:
            _carry_out(opened, given, lambda **common: apply_saved(opened, saved, **common))
        return
    loaded, desired = _read(paths)
    policy = _policy(desired, given, delete=delete)
    with _opened(given["cluster"], loaded, desired) as opened:
        given["addresses"] = desired.stack.nodes
        _carry_out(opened, given, lambda **common: reconcile_once(opened, loaded, policy, **common))


def _carry_out(cluster: Cluster, given: dict[str, Any], act: Callable[..., tuple[Plan, Report | None]]) -> None:
    """Show, ask, act with progress, and end with what came of it."""
    from reconciler.apply import Options, Result
    from reconciler.planfile import to_json
    from reconciler.progress import Progress
    from reconciler.render import report_json, report_text

    as_json = given["output"] == "json"
    progress = Progress(quiet=as_json)
    interrupts = _Interrupts()

    def approve(made: Plan) -> bool:
        if not as_json:
            _show_plan(made, "text")
        if not made.runnable:
            return False
        if not given["yes"]:
            _ask(made)
        progress.begin(len(made.runnable))
        interrupts.begin()
        return True

    with _agent_for(cluster, given), interrupts:
        made, report = act(
            options=Options(parallel=given["parallel"], timeout=given["timeout"], lease=given.get("lease", 0.0)),
            approve=approve,
            on_start=progress.started,
            on_outcome=progress.ended,
            interrupts=interrupts.count,
        )
    progress.finish()
    if as_json:
        _json({"plan": to_json(made), "report": report_json(report) if report else None})
        _problems(made.problems)
    elif report is not None:
        click.echo(report_text(report), err=True)
    if made.problems or (report is not None and not report.ok):
        sys.exit(1)
    held = made.held or (report is not None and report.count(Result.HELD))
    if given.get("detailed_exitcode") and held:
        sys.exit(2)


class _Interrupts:
    """Ctrl-C and SIGTERM, counted from ``begin`` on instead of raised.

    An exception that comes from nowhere can leave a lock held that another thread waits for.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._before: dict[signal.Signals, Any] = {}

    def count(self) -> int:
        return self._seen

    def begin(self) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            self._before[each] = signal.signal(each, self._one)

    def _one(self, *_: object) -> None:
        self._seen += 1
        if self._seen == 1:
            # Not through a stream: this may come in the middle of a write to it.
            os.write(2, b"stopping: waiting for what is under way; once more to leave it to the next run.\n")

    def __enter__(self) -> _Interrupts:
        return self

    def __exit__(self, *exc: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)


def _agent_for(cluster: Cluster, given: dict[str, Any]) -> AbstractContextManager[None]:
    """The embedded cluster's own agent; on Kubernetes the agents are on the nodes."""
    from reconciler.clusters.local import LocalCluster

    if not isinstance(cluster, LocalCluster):
        return nullcontext()
    from reconciler.embedded import serving, simulators

    drivers = simulators(cluster, latency=lambda operation: given["latency"], addresses=given.get("addresses"))
    return serving(cluster, drivers, workers=given["parallel"])


def _saved(paths: tuple[str, ...]) -> Plan | None:
    """The saved plan that the one path given is, if it is one."""
    if len(paths) != 1 or not paths[0].endswith(".json") or not os.path.isfile(paths[0]):
        return None
    from reconciler.planfile import from_json, is_plan

    with open(paths[0], encoding="utf-8", errors="replace") as stream:
        text = stream.read()
    return from_json(paths[0], text) if is_plan(text) else None


def _save(made: Plan, out: str) -> None:
    """Write a plan whole or not at all."""
    import json
    import tempfile

    from reconciler.planfile import to_json

    folder = os.path.dirname(os.path.abspath(out))
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as stream:
            json.dump(to_json(made), stream, indent=2, ensure_ascii=False)
            stream.write("\n")
        os.replace(stream.name, out)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {(error.strerror or str(error)).lower()}.") from None
    click.echo(f"Saved to {out}; run it with: reconcile apply {out}", err=True)


@cli.command()
@click.argument("target", metavar="KIND/NAME")
@click.argument("operation")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--password-from", metavar="SOURCE", help="env:NAME or file:PATH of the parameter password.")
@click.option("--username-from", metavar="SOURCE", help="env:NAME or file:PATH of the parameter username.")
@_options("cluster", "output", "yes", "timeout", "latency")
def run(target: str, operation: str, parameters: tuple[str, ...], **given: Any) -> None:
    """Run one operation now: checked against the catalogue, shown with its impact, asked, verified, recorded.

    \b
    reconcile run vm/web-1 RebootVM
    reconcile run vm/web-1 BackupVM pool=backup-pool version=v20261123 full=true
    """
    import uuid

    from reconciler.reconcile import run_request
    from reconciler.request import request_from_words

    name = f"run-{uuid.uuid4().hex[:12]}"
    secrets = {"password": given["password_from"], "username": given["username_from"]}
    with _opened(given["cluster"], reading=True) as opened:
        from reconciler.observe import observe

        (id,) = _choose((target,), list(observe(opened).resources))[:1] or (None,)
    if "/" not in target or id is None:
        raise click.UsageError("Name one resource: vm/web-1.")
    request = request_from_words(name, id, operation, parameters, secrets)
    with _opened(given["cluster"]) as opened:
        _carry_out(opened, {**given, "parallel": 1}, lambda **common: run_request(opened, request, **common))


@cli.command()
@click.option("--node", metavar="NAME", required=True, help="The node it serves: resources labelled host=NAME.")
@click.option("--driver", type=click.Choice(sorted(DRIVERS)), required=True, help="What carries operations out.")
@_options("cluster")
@click.option(
    "--state",
    metavar="FILE",
    help="Where the simulator keeps its hosts; agents of several nodes may share one"
    " (default: the cluster's file, on Kubernetes .reconcile/simulator.db).",
)
@click.option("--address", metavar="IP", default="", help="Where other nodes reach this one, to migrate to it.")
@_options("latency")
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
def agent(node: str, driver: str, cluster: Where, **given: Any) -> None:
    """Serve one node: claim the operations of its resources, run them, write back what is observed.

    Only one agent serves a node at a time; a second one waits, not ready, until the first is gone. What an agent
    that died had claimed is reported, never run again. SIGTERM or Ctrl-C: nothing more is picked up, what is
    under way is finished and written back; a second one leaves at once.

    On an embedded cluster other commands leave the node to this agent for as long as it runs.

    \b
    reconcile agent --node node22 --driver simulator
    reconcile agent --node node22 --driver simulator --cluster kubernetes --listen 0.0.0.0:9465
    reconcile agent --node node23 --driver simulator --cluster shop.db --address 10.0.0.23 --listen 127.0.0.1:9466
    """
    import socket

    from reconciler import log
    from reconciler.agent import Agent
    from reconciler.node import Node, driver_of
    from reconciler.probe import AgentMetrics, probe

    log.begin(sys.stderr)
    told = Node(node, given["address"], given["state"] or "", given["latency"])
    with _opened(cluster) as opened:
        metrics = AgentMetrics()
        serves = Agent(
            opened,
            driver_of(driver, told, opened),
            node=node,
            holder=f"{socket.gethostname()} process {os.getpid()}",
            workers=given["parallel"],
            hooks=metrics,
        )
        metrics.turned.set_function(lambda: serves.since_turned)
        with probe(
            given["listen"], healthy=lambda: serves.healthy, ready=lambda: serves.ready, registry=metrics.registry
        ):
            _until_told(serves)


def _until_told(serves: Agent) -> None:
    """Have an agent work until SIGTERM or SIGINT, and finish; a second signal does not wait."""
    import signal

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


@cli.command()
@_options("paths", "output")
def validate(paths: tuple[str, ...], output: str) -> None:
    """Check manifests offline: syntax, schema, references, what must be unique."""
    _, desired = _read(paths)
    if output == "json":
        _json({"valid": True, "resources": [str(id) for id in desired.resources]})
    else:
        count = len(desired.resources)
        click.echo(f"{count} {'resource is' if count == 1 else 'resources are'} valid.")


@cli.command()
@click.argument("what", nargs=-1, metavar="[KIND[/NAME]]...")
@_options("cluster", "output")
def get(what: tuple[str, ...], cluster: Where, output: str) -> None:
    """List what is on the cluster: all kinds, one kind (vm, disk, VirtualMachinePool ...) or one resource."""
    from reconciler.observe import observe
    from reconciler.present import listing

    with _opened(cluster, reading=True) as opened:
        observed = observe(opened)
    chosen = _choose(what, list(observed.resources))
    if output == "json":
        _json([observed.resources[id].resource for id in chosen])
    else:
        click.echo(listing([observed.resources[id] for id in chosen]), nl=False)


@cli.command()
@click.argument("what", nargs=-1, required=True, metavar="KIND/NAME [PATH]...")
@_options("cluster", "output")
def describe(what: tuple[str, ...], cluster: Where, output: str) -> None:
    """Everything known of one resource: state, status, events; with PATHs also how it differs from them."""
    from reconciler.observe import observe
    from reconciler.present import description

    loaded, desired = _read(what[1:]) if what[1:] else (None, None)
    with _opened(cluster, loaded, desired, reading=True) as opened:
        observed = observe(opened)
        (id, *_) = _choose(what[:1], list(observed.resources))
        events = [
            event
            for event in opened.list("Event").items
            if (event.get("regarding", {}).get("kind"), event.get("regarding", {}).get("name")) == (id.kind, id.name)
        ]
    steps = None
    if desired is not None:
        from reconciler.planner import make_plan

        made = make_plan(desired, observed)
        _problems(made.problems)
        steps = [step for step in made.steps if step.subject == id]
    resource = observed.resources[id]
    if output == "json":
        _json({"resource": resource.resource, "shape": resource.shape, "events": events})
    else:
        click.echo(description(resource, events, steps), nl=False)


@cli.command("import")
@click.argument("what", nargs=-1, metavar="[KIND[/NAME]]...")
@click.option("--out", metavar="DIR", help="Write a file for each resource, and reconcile.yaml if there is none.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.option("--stack", metavar="NAME", help="The stack it is for (default: the one in DIR, else DIR's name).")
@click.option("--adopt", is_flag=True, help="Take over what was written into the stack.")
@click.option("--with", "given", metavar="FILE", multiple=True, help="Manifests, or parts, that say what is not shown.")
@_options("cluster", "output", "yes")
def import_(
    what: tuple[str, ...],
    cluster: Where,
    output: str,
    yes: bool,
    out: str | None,
    force: bool,
    stack: str | None,
    adopt: bool,
    given: tuple[str, ...],
) -> None:
    """Write manifests of what is on the cluster: all of it, one kind or one resource, and what it refers to.

    Only what a manifest may declare and would not be so anyway. The manifests are read back and planned: what
    cannot be read or would take an operation is left out, its fields are named, and the exit code is 1.
    Nothing is owned unless --adopt is given, and what is imported stays when its manifest goes
    (deletionPolicy: Retain).
    """
    from reconciler.draft import draft
    from reconciler.observe import observe
    from reconciler.write import yaml_text

    if adopt and not (out or stack):
        raise click.UsageError("--adopt needs --out DIR or --stack NAME: what is taken over belongs to a stack.")
    there = _there(out)
    stack = _stack_for(out, stack, there)
    known = _given(given)
    with _opened(cluster, reading=True) as opened:
        observed = observe(opened)
    if strangers := sorted(known.keys() - observed.resources.keys()):
        raise click.ClickException(f"--with describes {strangers[0]}, which is not on the cluster.")
    chosen = _choose(what, list(observed.resources))
    words = tuple(word for word in what if "/" in word)
    named = _choose(words, chosen) if words else []
    made = draft(observed, chosen, stack=stack or "", named=named, given=known)
    if out and made.documents:
        _write(made, out, stack or "", there, force)
    if output == "json":
        _json(
            {
                "documents": list(made.documents.values()),
                "notes": [{"resource": str(note.id), "message": note.text} for note in made.notes],
                "problems": [
                    {"resource": each.origin.file, "field": each.path, "message": each.message}
                    for each in made.problems
                ],
            }
        )
    elif not out:
        click.echo(yaml_text(made.documents.values()), nl=False)
    _import_said(made, out)
    if adopt and stack and made.documents:
        _take_over(cluster, made, stack, yes)
    if made.problems:
        sys.exit(1)


def _there(out: str | None) -> Loaded:
    """What the folder to write to describes already."""
    from reconciler.load import Loaded, load

    holds = out is not None and os.path.isdir(out) and any(not name.startswith(".") for name in os.listdir(out))
    return load([out]) if out is not None and holds else Loaded()


def _stack_for(out: str | None, stack: str | None, there: Loaded) -> str | None:
    from reconciler.draft import stack_document
    from reconciler.schema import accepts
    from reconciler.validate import stack_name

    if stack is not None and not accepts("Stack")(stack_document(stack)):
        raise click.UsageError(f"{stack!r} is no name of a stack: lower-case letters, digits, '-' and '.'.")
    if there.stack is None:
        return stack or (stack_name(os.path.basename(os.path.abspath(out))) if out else None)
    if stack not in (None, there.stack.id.name):
        raise click.UsageError(f"{out} holds the stack {there.stack.id.name}, not {stack}.")
    return there.stack.id.name


def _given(files: tuple[str, ...]) -> dict[ResourceId, dict[str, Any]]:
    from reconciler.load import load
    from reconciler.problem import InvalidInput

    loaded = load(files)
    if loaded.problems:
        raise InvalidInput(loaded.problems)
    return {manifest.id: manifest.spec for manifest in loaded.manifests}


def _write(made: Draft, out: str, stack: str, there: Loaded, force: bool) -> None:
    from reconciler.draft import stack_document
    from reconciler.load import STACK_FILE
    from reconciler.write import write_files, yaml_text

    files = made.texts if there.stack else {STACK_FILE: yaml_text([stack_document(stack)]), **made.texts}
    paths = {os.path.join(out, name) for name in files}
    if (exist := sorted(path for path in paths if os.path.lexists(path))) and not force:
        more = f" and {len(exist) - 1} more exist" if len(exist) > 1 else " exists"
        raise click.ClickException(f"{exist[0]}{more}: nothing was written. Add --force to overwrite.")
    for manifest in there.manifests:
        if manifest.id in made.documents and manifest.source.name not in paths:
            place = manifest.origin("metadata", "name")
            raise click.ClickException(f"{manifest.id} is described at {place} already: nothing was written.")
    try:
        write_files(out, files)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        where = error.filename or out
        raise click.ClickException(f"{where} cannot be written: {reason}; nothing was written.") from None


def _import_said(made: Draft, out: str | None) -> None:
    from reconciler.render import notes_text

    click.echo(notes_text(made.notes), nl=False, err=True)
    _problems(made.problems)
    left = len({problem.origin for problem in made.problems})
    text = f"Wrote {_count(len(made.documents), 'resource')}{f' to {out}' if out else ''}; the plan of it is empty."
    if not made.documents:
        text = "Nothing to import." if not left else "Nothing was written."
    click.echo(text + (f" Left out {_count(left, 'resource')}, for the reasons above." if left else ""), err=True)


def _take_over(where: Where, made: Draft, stack: str, yes: bool) -> None:
    """The marks of an apply with --adopt, and nothing else."""
    from reconciler.draft import stack_document
    from reconciler.load import load_texts
    from reconciler.plan import Action
    from reconciler.planner import Policy
    from reconciler.reconcile import reconcile_once
    from reconciler.write import yaml_text

    def approve(plan: Plan) -> bool:
        if plan.problems or any(step.action is not Action.MARK for step in plan.steps):
            raise click.ClickException("the cluster has moved since it was read: nothing was taken over. Import again.")
        if plan.steps and not yes:
            _ask_whether(f"Take over {_count(len(plan.steps), 'resource')} into the stack {stack}?")
        return bool(plan.steps)

    loaded = load_texts({**made.texts, "reconcile.yaml": yaml_text([stack_document(stack)])})
    with _opened(where) as opened:
        _, report = reconcile_once(opened, loaded, Policy(adopt=True), approve=approve)
    if report is None:
        click.echo(f"All of it belongs to the stack {stack} already.", err=True)
        return
    if not report.ok:
        raise click.ClickException("; ".join(outcome.message for outcome in report.outcomes if outcome.message))
    click.echo(f"Took over {_count(len(report.outcomes), 'resource')} into the stack {stack}.", err=True)


@cli.command()
@click.argument("field", required=False, metavar="[KIND[.FIELD...]]")
def explain(field: str | None) -> None:
    """What a kind or a field of its manifest means, takes, and which operations move it."""
    from reconciler.present import explanation

    click.echo(explanation(field), nl=False)


@cli.command()
@click.argument("name", required=False)
@_options("output")
def operations(name: str | None, output: str) -> None:
    """The catalogue: all operations, or one with its parameters, what it needs and leaves."""
    from reconciler.present import catalogue_json, catalogue_text

    if output == "json":
        _json(catalogue_json(name))
    else:
        click.echo(catalogue_text(name), nl=False)


@cli.command()
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="Format.")
def crds(kinds: tuple[str, ...], output: str) -> None:
    """The custom resource definitions of all kinds, or of those named, for kubectl.

    \b
    reconcile crds | kubectl apply -f -
    """
    from reconciler.crds import definitions
    from reconciler.kinds import KINDS
    from reconciler.write import yaml_text

    chosen = list(dict.fromkeys(map(_kind, kinds))) or list(KINDS)
    if output == "json":
        _json({"apiVersion": "v1", "kind": "List", "items": definitions(chosen)})
    else:
        click.echo(yaml_text(definitions(chosen)), nl=False)


# What the verbs share -------------------------------------------------------------------------------------


def _read(paths: tuple[str, ...]) -> tuple[Loaded, Desired]:
    import gc

    from reconciler.load import load
    from reconciler.validate import validate

    # Reading makes millions of small objects that all stay; collecting among them only costs time.
    gc.disable()
    loaded = load(paths or (".",))
    desired = validate(loaded)
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)  # what is planned from them stays as well: look for cycles seldom
    gc.enable()
    _problems(desired.warnings)
    return loaded, desired


def _where(given: Where, loaded: Loaded | None, desired: Desired | None) -> Where:
    """The cluster that is meant: the one given, else the Stack's, else the default."""
    if given.given or desired is None or loaded is None or loaded.stack is None:
        return given
    stack = desired.stack
    if stack.context is not None:
        return Where(KUBERNETES, stack.context)
    return Where(os.path.join(os.path.dirname(loaded.stack.source.name), stack.cluster)) if stack.cluster else given


@contextmanager
def _opened(
    given: Where, loaded: Loaded | None = None, desired: Desired | None = None, *, reading: bool = False
) -> Iterator[Cluster]:
    opened = connect(_where(given, loaded, desired), reading=reading)
    try:
        yield opened
    finally:
        opened.close()


def _policy(desired: Desired, given: dict[str, Any], *, delete: bool = False) -> Policy:
    from reconciler.planner import Policy

    impacts = {impact.strip() for text in given["allow"] for impact in text.split(",") if impact.strip()}
    unknown = impacts - {"restart", "recreate", "data"}
    if unknown:
        raise click.UsageError(f"--allow takes restart, recreate and data, not {', '.join(sorted(unknown))}.")
    if delete:
        impacts |= {"restart", "recreate"}  # deleting a machine is asking for both
    target = given["target"]
    return Policy(
        allow=desired.stack.allow | impacts,
        prune=given.get("prune", False) or desired.stack.prune,
        adopt=given.get("adopt", False),
        delete=delete,
        targets=frozenset(_choose(target, list(desired.resources))) if target else frozenset(),
    )


def _choose(words: tuple[str, ...], known: list[Any]) -> list[Any]:
    """Ids that words name: ``vm``, ``vm/web-1``, ``VirtualMachine/web-1``; all without words."""
    from difflib import get_close_matches

    from reconciler.kinds import RANK, kind_named

    known = sorted(known, key=lambda id: (RANK[id.kind], id))
    if not words:
        return known
    chosen = []
    if len(words) == 2 and "/" not in words[0] and "/" not in words[1] and kind_named(words[1]) is None:
        words = (f"{words[0]}/{words[1]}",)
    for word in words:
        head, _, name = word.partition("/")
        kind = _kind(head)
        found = [id for id in known if id.kind == kind and (not name or id.name == name)]
        if name and not found:
            near = get_close_matches(name, [id.name for id in known if id.kind == kind], n=1)
            raise click.ClickException(f"there is no {kind}/{name}." + (f" Did you mean {near[0]}?" if near else ""))
        chosen += found
    return chosen


def _kind(word: str) -> str:
    """The kind that a word names."""
    from difflib import get_close_matches

    from reconciler.kinds import KINDS, kind_named

    kind = kind_named(word)
    if kind is None:
        names = [each for row in KINDS.values() for each in (row.name, *row.short)]
        near = get_close_matches(word, names, n=1)
        hint = f" Did you mean {near[0]}?" if near else f" Kinds: {', '.join(KINDS)}."
        raise click.UsageError(f"{word!r} is not a kind.{hint}")
    return kind


def _ask(made: Plan) -> None:
    _ask_whether(f"Run {_count(len(made.runnable), 'step')}?")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _ask_whether(question: str) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException(
            "there is no terminal to ask on: nothing was applied. Add --yes to apply without a question."
        )
    if not click.confirm(question, err=True):
        raise click.ClickException("nothing was applied.")


def _coloured(stream: Any) -> bool:
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR")


def _paint(stream: Any) -> Callable[[str, str], str]:
    if not _coloured(stream):
        return lambda text, colour: text
    return lambda text, colour: click.style(text, fg=colour)


def _show_plan(made: Plan, output: str) -> None:
    from reconciler.planfile import to_json
    from reconciler.render import plan_text

    if output == "json":
        _json(to_json(made))
    else:
        click.echo(plan_text(made, _paint(sys.stdout)), nl=False)
    _problems(made.problems)


def _problems(problems: Any) -> None:
    from reconciler.render import problems_text

    click.echo(problems_text(problems, _paint(sys.stderr)), nl=False, err=True)


def _json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def main() -> None:
    """The console script: every expected failure becomes one message and exit code 1."""
    from reconciler.problem import InvalidInput, ReconcilerError

    try:
        cli.main(prog_name="reconcile", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.exceptions.Abort:
        click.echo("interrupted.", err=True)
        sys.exit(1)
    except click.UsageError as error:
        hint = f"\nSee '{error.ctx.command_path} --help'." if error.ctx else ""
        click.echo(f"error: {error.format_message()}{hint}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        sys.exit(1)
    except InvalidInput as invalid:
        _problems(invalid.problems)
        count = len(invalid.problems)
        click.echo(f"{count} {'problem' if count == 1 else 'problems'}; nothing was changed.", err=True)
        sys.exit(1)
    except ReconcilerError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("interrupted.", err=True)
        sys.exit(130)
