"""What the words of a command line mean: manifests, the cluster, the policy, resources."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.terminal import show_problems
from reconciler.clusters.connection import KUBERNETES, ClusterReference, connect

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.manifests.desired import Desired
    from reconciler.manifests.loader import Loaded
    from reconciler.planner import Policy


def read(paths: tuple[str, ...]) -> tuple[Loaded, Desired]:
    """The valid manifests of the paths; shows their warnings. Raises ``InvalidInput``."""
    import gc

    from reconciler.manifests.loader import load
    from reconciler.manifests.validator import validate

    # Reading makes millions of small objects that all stay; collecting among them only costs time.
    gc.disable()
    loaded = load(paths or (".",))
    desired = validate(loaded)
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)  # what is planned from them stays as well: look for cycles seldom
    gc.enable()
    show_problems(desired.warnings)
    return loaded, desired


@contextmanager
def connected(
    given: ClusterReference, loaded: Loaded | None = None, desired: Desired | None = None, *, reading: bool = False
) -> Iterator[Cluster]:
    """The cluster that is meant, open until the block ends. ``reading`` makes none where there is none."""
    opened = connect(where_of(given, loaded, desired), reading=reading)
    try:
        yield opened
    finally:
        opened.close()


def where_of(given: ClusterReference, loaded: Loaded | None, desired: Desired | None) -> ClusterReference:
    """The cluster that is meant: the one given, else the Stack's, else the default."""
    if given.given or desired is None or loaded is None or loaded.stack is None:
        return given
    stack = desired.stack
    if stack.context is not None:
        return ClusterReference(KUBERNETES, stack.context)
    return (
        ClusterReference(os.path.join(os.path.dirname(loaded.stack.source.name), stack.cluster))
        if stack.cluster
        else given
    )


def policy_of(desired: Desired, given: dict[str, Any], *, delete: bool = False) -> Policy:
    """What a run may do: by the options given, and the Stack."""
    from reconciler.planner import DeletionLimit, Policy

    impacts = {impact.strip() for text in given["allow"] for impact in text.split(",") if impact.strip()}
    unknown = impacts - {"restart", "recreate", "data"}
    if unknown:
        raise click.UsageError(f"--allow takes restart, recreate and data, not {', '.join(sorted(unknown))}.")
    if delete:
        impacts |= {"restart", "recreate"}  # deleting a machine is asking for both
    target = given["target"]
    most = given.get("max_deletions") or desired.stack.max_deletions
    try:
        max_deletions = DeletionLimit.parse(most) if most else None
    except ValueError as error:
        raise click.UsageError(f"--max-deletions: {error}.") from None
    return Policy(
        allow=desired.stack.allow | impacts,
        prune=given.get("prune", False) or desired.stack.prune,
        max_deletions=max_deletions,
        adopt=given.get("adopt", False),
        delete=delete,
        targets=frozenset(choose(target, list(desired.resources))) if target else frozenset(),
    )


def choose(words: tuple[str, ...], known: list[Any]) -> list[Any]:
    """Ids that words name: ``vm``, ``vm/web-1``, ``VirtualMachine/web-1``; all without words."""
    from difflib import get_close_matches

    from reconciler.model.kinds import RANK, kind_named

    known = sorted(known, key=lambda id: (RANK[id.kind], id))
    if not words:
        return known
    chosen = []
    if len(words) == 2 and "/" not in words[0] and "/" not in words[1] and kind_named(words[1]) is None:
        words = (f"{words[0]}/{words[1]}",)
    for word in words:
        head, _, name = word.partition("/")
        kind = kind_of(head)
        found = [id for id in known if id.kind == kind and (not name or id.name == name)]
        if name and not found:
            near = get_close_matches(name, [id.name for id in known if id.kind == kind], n=1)
            raise click.ClickException(f"there is no {kind}/{name}." + (f" Did you mean {near[0]}?" if near else ""))
        chosen += found
    return chosen


def kind_of(word: str) -> str:
    """The kind that a word names."""
    from difflib import get_close_matches

    from reconciler.model.kinds import KINDS, kind_named

    kind = kind_named(word)
    if kind is None:
        names = [each for row in KINDS.values() for each in (row.name, *row.short)]
        near = get_close_matches(word, names, n=1)
        hint = f" Did you mean {near[0]}?" if near else f" Kinds: {', '.join(KINDS)}."
        raise click.UsageError(f"{word!r} is not a kind.{hint}")
    return kind
