"""The verb import."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.errors import CommandFailed
from reconciler.cli.inputs import choose, connected
from reconciler.cli.options import cluster_options, output_option
from reconciler.cli.provenance import provenance
from reconciler.cli.terminal import ask, say, show, show_problems, write
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.importer.result import ImportResult
    from reconciler.manifests.loader import Loaded
    from reconciler.model.provenance import Provenance
    from reconciler.model.resource import ResourceId
    from reconciler.observe.observed import Observation
    from reconciler.planner.plan import Plan


@click.command("import")
@click.argument("what", nargs=-1, metavar="[KIND[/NAME]]...")
@click.option("--out", metavar="DIR", help="Write a file for each resource, and reconcile.yaml if there is none.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.option("--stack", metavar="NAME", help="The stack it is for (default: the one in DIR, else DIR's name).")
@click.option("--adopt", is_flag=True, help="Take over what was written into the stack.")
@click.option(
    "--with", "known", metavar="FILE", multiple=True, help="Manifests, or parts of them, for fields the API hides."
)
@cluster_options()
@output_option("import")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def import_(
    what: tuple[str, ...],
    out: str | None,
    force: bool,
    stack: str | None,
    adopt: bool,
    known: tuple[str, ...],
    cluster: ClusterReference,
    output: str,
    yes: bool,
) -> None:
    """Write manifests of what is on the cluster: all of it, one kind or one resource, and what it refers to.

    Defaults and fields that a manifest cannot declare are left out. The manifests are read back and planned; a
    resource that cannot be read, or would need an operation, is left out, its fields are named, and the exit code
    is 1. No resource is owned unless --adopt is given, and what is imported is kept when its manifest is deleted
    (deletionPolicy: Retain).

    \b
    reconcile import --out manifests
    reconcile import vm/web-1
    reconcile import --out manifests --adopt --yes
    """
    from reconciler.output.documents import ImportOutput

    if adopt and not (out or stack):
        raise click.UsageError("--adopt needs --out DIR or --stack NAME: a resource is taken over into a stack.")
    existing = _existing(out)
    stack = _stack_for(out, stack, existing)
    made = _import(cluster, what, stack or "", _known(known))
    if out and made.documents:
        _write(made, out, stack or "", existing, force)
    document = ImportOutput(list(made.documents.values()), made.notes, made.problems)
    if output == "yaml" and not out:
        show(output, "import", document)
    _show_summary(made, out)
    if adopt and stack and made.documents:
        _adopt(cluster, made, stack, yes, provenance("import --adopt", (out,) if out else ()))
    if output == "json":  # last: where nothing could be taken over, programs get the document of the failure
        show(output, "import", document)
    if made.problems:
        sys.exit(1)


def _import(
    cluster: ClusterReference, what: tuple[str, ...], stack: str, known: dict[ResourceId, dict[str, Any]]
) -> ImportResult:
    """Manifests of the resources that ``what`` names; ``known`` are fields that the API does not show."""
    from reconciler.importer import import_resources
    from reconciler.observe.observed import observe

    with connected(cluster, reading=True) as opened:
        observed = observe(opened)
    if unknown := sorted(known.keys() - observed.resources.keys()):
        raise CommandFailed("NotFound", f"--with describes {unknown[0]}, which is not on the cluster.")
    chosen = choose(what, list(observed.resources))
    words = tuple(word for word in what if "/" in word)
    named = choose(words, chosen) if words else []
    return import_resources(observed, chosen, stack=stack, named=named, given=known)


def _existing(out: str | None) -> Loaded:
    """The manifests that the folder to write to already holds."""
    from reconciler.manifests.loader import Loaded, load

    holds = out is not None and os.path.isdir(out) and any(not name.startswith(".") for name in os.listdir(out))
    return load([out]) if out is not None and holds else Loaded()


def _stack_for(out: str | None, stack: str | None, existing: Loaded) -> str | None:
    """The stack to write for, if any. Raises ``UsageError`` for a name that is none, or not the folder's."""
    from reconciler.importer.result import stack_document
    from reconciler.manifests.schema import accepts
    from reconciler.manifests.stack import stack_name

    if stack is not None and not accepts("Stack")(stack_document(stack)):
        raise click.UsageError(f"{stack!r} is not the name of a stack: use lower-case letters, digits, '-' and '.'.")
    if existing.stack is None:
        return stack or (stack_name(os.path.basename(os.path.abspath(out))) if out else None)
    if stack not in (None, existing.stack.id.name):
        raise click.UsageError(f"{out} holds the stack {existing.stack.id.name}, not {stack}.")
    return existing.stack.id.name


def _known(files: tuple[str, ...]) -> dict[ResourceId, dict[str, Any]]:
    """The specs that the files of ``--with`` declare. Raises ``InvalidInput``."""
    from reconciler.manifests.loader import load
    from reconciler.model.problem import InvalidInput

    loaded = load(files)
    if loaded.problems:
        raise InvalidInput(loaded.problems)
    return {manifest.id: manifest.spec for manifest in loaded.manifests}


def _write(made: ImportResult, out: str, stack: str, existing: Loaded, force: bool) -> None:
    """Write the manifests to a folder, all files or none. Raises ``CommandFailed``."""
    from reconciler.importer.result import stack_document
    from reconciler.manifests.loader import STACK_FILE
    from reconciler.manifests.writer import write_files, yaml_text

    files = made.texts if existing.stack else {STACK_FILE: yaml_text([stack_document(stack)]), **made.texts}
    paths = {os.path.join(out, name) for name in files}
    if (exist := sorted(path for path in paths if os.path.lexists(path))) and not force:
        more = f" and {len(exist) - 1} more exist" if len(exist) > 1 else " exists"
        raise CommandFailed("NotWritten", f"{exist[0]}{more}: nothing was written. Add --force to overwrite.")
    for manifest in existing.manifests:
        if manifest.id in made.documents and manifest.source.name not in paths:
            place = manifest.origin("metadata", "name")
            raise CommandFailed("NotWritten", f"{manifest.id} is described at {place} already: nothing was written.")
    try:
        write_files(out, files)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        where = error.filename or out
        raise CommandFailed("NotWritten", f"{where} cannot be written: {reason}; nothing was written.") from None


def _show_summary(made: ImportResult, out: str | None) -> None:
    """Notes, problems and one line of totals, on standard error."""
    from reconciler.output.text import count, notes_text

    write(notes_text(made.notes), err=True)
    show_problems(made.problems)
    left_out = len({problem.id for problem in made.problems})
    text = f"Wrote {count(len(made.documents), 'resource')}{f' to {out}' if out else ''}; the plan of it is empty."
    if not made.documents:
        text = "Nothing to import." if not left_out else "Nothing was written."
    if left_out:
        text += f" Left out {count(left_out, 'resource')}, for the reasons above."
    say(text)


def _adopt(reference: ClusterReference, made: ImportResult, stack: str, yes: bool, origin: Provenance) -> None:
    """Mark what was written as owned by the stack, as an apply with --adopt does, and do nothing else.

    Raises ``CommandFailed`` where the plan would do more: the cluster has changed since it was read.
    """
    from reconciler.apply import Options
    from reconciler.importer.result import stack_document
    from reconciler.manifests.loader import STACK_FILE, load_texts
    from reconciler.manifests.validator import validate
    from reconciler.manifests.writer import yaml_text
    from reconciler.output.text import count
    from reconciler.planner import Policy
    from reconciler.reconcile import reconcile_once

    def approve(plan: Plan, observed: Observation) -> bool:
        _refuse_more_than_marks(plan)
        if plan.steps and not yes:
            ask(f"Take over {count(len(plan.steps), 'resource')} into the stack {stack}?")
        return bool(plan.steps)

    desired = validate(load_texts({**made.texts, STACK_FILE: yaml_text([stack_document(stack)])}))
    with connected(reference) as opened:
        options = Options(provenance=origin)
        _, report = reconcile_once(opened, desired, Policy(adopt=True), options=options, approve=approve)
    if report is None:
        say(f"All of it belongs to the stack {stack} already.")
        return
    if not report.ok:
        messages = [outcome.message for outcome in report.outcomes if outcome.message]
        raise CommandFailed("OperationFailed", "; ".join(messages))
    say(f"Took over {count(len(report.outcomes), 'resource')} into the stack {stack}.")


def _refuse_more_than_marks(plan: Plan) -> None:
    from reconciler.planner.plan import Action

    if plan.problems or any(step.action is not Action.MARK for step in plan.steps):
        raise CommandFailed(
            "StalePlan", "the cluster has changed since it was read: nothing was taken over. Import again."
        )
