"""The verb import."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.given import choose, connected
from reconciler.cli.options import options
from reconciler.cli.provenance import provenance
from reconciler.cli.terminal import ask, count, show_json, show_problems
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
@click.option("--with", "given", metavar="FILE", multiple=True, help="Manifests, or parts, that say what is not shown.")
@options("cluster", "output", "yes")
def import_(
    what: tuple[str, ...],
    cluster: ClusterReference,
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
    from reconciler.importer import import_resources
    from reconciler.manifests.writer import yaml_text
    from reconciler.observe.observed import observe

    if adopt and not (out or stack):
        raise click.UsageError("--adopt needs --out DIR or --stack NAME: what is taken over belongs to a stack.")
    there = _there(out)
    stack = _stack_for(out, stack, there)
    known = _given(given)
    with connected(cluster, reading=True) as opened:
        observed = observe(opened)
    if strangers := sorted(known.keys() - observed.resources.keys()):
        raise click.ClickException(f"--with describes {strangers[0]}, which is not on the cluster.")
    chosen = choose(what, list(observed.resources))
    words = tuple(word for word in what if "/" in word)
    named = choose(words, chosen) if words else []
    made = import_resources(observed, chosen, stack=stack or "", named=named, given=known)
    if out and made.documents:
        _write(made, out, stack or "", there, force)
    if output == "json":
        show_json(
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
        _take_over(cluster, made, stack, yes, provenance("import --adopt", (out,) if out else ()))
    if made.problems:
        sys.exit(1)


def _there(out: str | None) -> Loaded:
    """What the folder to write to describes already."""
    from reconciler.manifests.loader import Loaded, load

    holds = out is not None and os.path.isdir(out) and any(not name.startswith(".") for name in os.listdir(out))
    return load([out]) if out is not None and holds else Loaded()


def _stack_for(out: str | None, stack: str | None, there: Loaded) -> str | None:
    from reconciler.importer.result import stack_document
    from reconciler.manifests.schema import accepts
    from reconciler.manifests.validation import stack_name

    if stack is not None and not accepts("Stack")(stack_document(stack)):
        raise click.UsageError(f"{stack!r} is no name of a stack: lower-case letters, digits, '-' and '.'.")
    if there.stack is None:
        return stack or (stack_name(os.path.basename(os.path.abspath(out))) if out else None)
    if stack not in (None, there.stack.id.name):
        raise click.UsageError(f"{out} holds the stack {there.stack.id.name}, not {stack}.")
    return there.stack.id.name


def _given(files: tuple[str, ...]) -> dict[ResourceId, dict[str, Any]]:
    from reconciler.manifests.loader import load
    from reconciler.model.problem import InvalidInput

    loaded = load(files)
    if loaded.problems:
        raise InvalidInput(loaded.problems)
    return {manifest.id: manifest.spec for manifest in loaded.manifests}


def _write(made: ImportResult, out: str, stack: str, there: Loaded, force: bool) -> None:
    from reconciler.importer.result import stack_document
    from reconciler.manifests.loader import STACK_FILE
    from reconciler.manifests.writer import write_files, yaml_text

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


def _import_said(made: ImportResult, out: str | None) -> None:
    from reconciler.output.text import notes_text

    click.echo(notes_text(made.notes), nl=False, err=True)
    show_problems(made.problems)
    left = len({problem.origin for problem in made.problems})
    text = f"Wrote {count(len(made.documents), 'resource')}{f' to {out}' if out else ''}; the plan of it is empty."
    if not made.documents:
        text = "Nothing to import." if not left else "Nothing was written."
    click.echo(text + (f" Left out {count(left, 'resource')}, for the reasons above." if left else ""), err=True)


def _take_over(where: ClusterReference, made: ImportResult, stack: str, yes: bool, origin: Provenance) -> None:
    """The marks of an apply with --adopt, and nothing else."""
    from reconciler.apply import Options
    from reconciler.importer.result import stack_document
    from reconciler.manifests.loader import STACK_FILE, load_texts
    from reconciler.manifests.validation import validate
    from reconciler.manifests.writer import yaml_text
    from reconciler.planner import Policy
    from reconciler.planner.plan import Action
    from reconciler.reconcile import reconcile_once

    def approve(plan: Plan, observed: Observation) -> bool:
        if plan.problems or any(step.action is not Action.MARK for step in plan.steps):
            raise click.ClickException("the cluster has moved since it was read: nothing was taken over. Import again.")
        if plan.steps and not yes:
            ask(f"Take over {count(len(plan.steps), 'resource')} into the stack {stack}?")
        return bool(plan.steps)

    desired = validate(load_texts({**made.texts, STACK_FILE: yaml_text([stack_document(stack)])}))
    with connected(where) as opened:
        options = Options(provenance=origin)
        _, report = reconcile_once(opened, desired, Policy(adopt=True), options=options, approve=approve)
    if report is None:
        click.echo(f"All of it belongs to the stack {stack} already.", err=True)
        return
    if not report.ok:
        raise click.ClickException("; ".join(outcome.message for outcome in report.outcomes if outcome.message))
    click.echo(f"Took over {count(len(report.outcomes), 'resource')} into the stack {stack}.", err=True)
