"""Plans in files: what ``plan --out`` seals and writes, and ``apply``, ``plan`` and ``graph`` read."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from reconciler.cli.errors import CommandFailed
from reconciler.cli.terminal import say

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.planner.plan import Plan

MAX_PLAN = 256 * 1024**2  # bytes of a file
MAKE_AGAIN = "Make it again with --plan --out FILE"
WHO_SEALS = "Who may read the cluster's identity and key can seal one (docs/how-to/saved-plans.md)."


class SavedPlan(NamedTuple):
    """A plan that was read from a file, and the fingerprint of all that the file says (``output.plan_seal``)."""

    path: str
    plan: Plan
    fingerprint: bytes


def seal(plan: Plan, cluster: Cluster) -> Plan:
    """The plan, sealed for its cluster; where key or identity of that may not be read, as it is, with a warning."""
    from reconciler.model.problem import Forbidden
    from reconciler.output.plan_seal import sealed

    try:
        return sealed(plan, cluster.identity(), cluster.digest_key())
    except Forbidden as error:
        message = f"warning: the plan is not sealed, and 'reconcile apply' will refuse it: {error}. {WHO_SEALS}"
        say(message)
        return plan


def save(plan: Plan, path: str) -> None:
    """Write a plan to a file, whole or not at all, or to ``/dev/stdout`` and the like. Raises ``CommandFailed``."""
    import tempfile

    from reconciler.model.file_place import linked_place, output_descriptor, put_in_place, write_to_descriptor
    from reconciler.output.escaping import json_text
    from reconciler.output.plan_json import to_json

    text = json_text(to_json(plan), indent=2) + "\n"
    written = ""
    try:
        if (descriptor := output_descriptor(path)) is not None:
            write_to_descriptor(descriptor, text)
            return
        place = linked_place(path)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=os.path.dirname(place), delete=False) as stream:
            written = stream.name
            stream.write(text)
        put_in_place(written, place)
    except OSError as error:
        with suppress(OSError):
            os.unlink(written)
        raise _not_written(path, error) from None
    say(f"Saved to {path}" + (f"; run it with: reconcile apply {path}" if plan.seal else "."))


def require_place(path: str) -> None:
    """Raise ``CommandFailed`` where no file can be written, before anything is made for it."""
    from tempfile import TemporaryFile

    from reconciler.model.file_place import linked_place, output_descriptor

    try:
        if output_descriptor(path) is None:
            with TemporaryFile(dir=os.path.dirname(linked_place(path))):
                pass
    except OSError as error:
        raise _not_written(path, error) from None


def _not_written(path: str, error: OSError) -> CommandFailed:
    return CommandFailed("NotWritten", f"{path} cannot be written: {(error.strerror or str(error)).lower()}.")


def read_saved_plan(paths: tuple[str, ...]) -> SavedPlan | None:
    """The plan saved in the one file that is given; None where manifests are given. Raises ``InvalidInput``."""
    if len(paths) != 1 or not paths[0].endswith(".json") or not os.path.isfile(paths[0]):
        return None
    from reconciler.model.problem import InvalidInput, Origin, Problem
    from reconciler.model.user_file import read_user_file, reason_of
    from reconciler.output.plan_json import is_plan, plan_of, read_document
    from reconciler.output.plan_seal import fingerprint

    try:
        text = read_user_file(paths[0], MAX_PLAN).decode(errors="replace")
    except OSError as error:
        message = f"cannot be read: {reason_of(error)}"
        raise InvalidInput([Problem(Origin(paths[0]), message, "Check the path and its permissions.")]) from None
    if not is_plan(text):
        return None
    document = read_document(paths[0], text)
    return SavedPlan(paths[0], plan_of(document), fingerprint(document))


def shown(saved: SavedPlan) -> Plan:
    """The plan of a file that is only shown, with a warning if no apply would take it."""
    if not saved.plan.seal:
        say(f"warning: {saved.path} is not sealed: 'reconcile apply' will refuse it.")
    return saved.plan


def require_sealed(saved: SavedPlan) -> None:
    """Raise ``InvalidInput`` for a plan that nobody sealed."""
    if not (saved.plan.seal and saved.plan.identity):
        why = "it was not saved with --out, or by an older version, or where the cluster's key may not be read"
        _refuse(saved, f"is not sealed, so it may have been changed by anybody: {why}", f"{MAKE_AGAIN}. {WHO_SEALS}")


def require_made_for(saved: SavedPlan, cluster: Cluster, name: str) -> None:
    """Raise ``InvalidInput`` for a plan of another cluster, or one that was changed since it was made.

    ``name`` is what people call the cluster. Raises ``Forbidden`` where its identity or key may not be read.
    """
    from hmac import compare_digest

    from reconciler.clusters.connection import ClusterReference
    from reconciler.output.plan_seal import seal_of

    plan, identity = saved.plan, cluster.identity()
    if plan.identity != identity:
        other = f"{ClusterReference.from_json(plan.cluster).shown} ({plan.identity})"
        _refuse(saved, f"was made for another cluster, {other}, not for {name} ({identity})", f"{MAKE_AGAIN} there.")
    if not compare_digest(plan.seal, seal_of(cluster.digest_key(), saved.fingerprint)):
        _refuse(saved, "was changed since it was made: its seal is not that of what it says", f"{MAKE_AGAIN}.")


def _refuse(saved: SavedPlan, message: str, remedy: str) -> NoReturn:
    from reconciler.model.problem import InvalidInput, Origin, Problem

    raise InvalidInput([Problem(Origin(saved.path), message, remedy)])
