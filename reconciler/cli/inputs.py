"""What the arguments of a command line name: manifests, the cluster, the policy, resources."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from reconciler.cli.errors import CommandFailed
from reconciler.cli.options import PolicyOptions
from reconciler.cli.terminal import show_problems
from reconciler.clusters.connection import KUBERNETES, ClusterReference, connect

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.manifests.desired import Desired
    from reconciler.manifests.loader import Loaded
    from reconciler.model.resource import ResourceId
    from reconciler.model.secret_access import SecretAccess
    from reconciler.planner import Policy


KEEP_GOING = "Leave out what is concerned and go on with --keep-going."


def read_manifests(
    paths: tuple[str, ...],
    keep_going: bool | None = None,
    *,
    offline: bool = False,
    secrets: SecretAccess | None = None,
) -> tuple[Loaded, Desired]:
    """The valid manifests of the paths (default: this directory); shows warnings. Raises ``InvalidInput``.

    With ``keep_going``, resources that have errors are left out instead; None where a verb has no such option.
    ``offline``: nothing will look on the cluster for what is referred to. ``secrets``: what they may name, as they will
    be read.
    """
    from reconciler.manifests.loader import load
    from reconciler.manifests.validator import validate
    from reconciler.model.problem import InvalidInput

    # Reading makes millions of small objects that all stay; collecting among them only costs time.
    gc.disable()
    loaded = load(paths or (".",))
    try:
        desired = validate(loaded, keep_going=bool(keep_going), offline=offline, secrets=secrets)
    except InvalidInput as invalid:
        raise InvalidInput(invalid.problems, KEEP_GOING if keep_going is False else "") from None
    gc.freeze()
    gc.set_threshold(1_000_000, 50, 50)  # what is planned from them stays as well: look for cycles seldom
    gc.enable()
    show_problems(desired.warnings)
    return loaded, desired


def stack_here() -> tuple[Loaded, Desired]:
    """The Stack of the current directory, without its resources. Raises ``InvalidInput``."""
    from reconciler.manifests.loader import STACK_FILE, Loaded, load
    from reconciler.manifests.validator import validate
    from reconciler.model.problem import InvalidInput

    loaded = load([STACK_FILE]) if os.path.isfile(STACK_FILE) else Loaded()
    if loaded.problems:
        raise InvalidInput(loaded.problems)
    only = Loaded(stack=loaded.stack, root=os.path.basename(os.getcwd()))
    return only, validate(only)


@contextmanager
def connected(
    reference: ClusterReference, loaded: Loaded | None = None, desired: Desired | None = None, *, reading: bool = False
) -> Iterator[Cluster]:
    """The cluster that is meant, open until the block ends.

    With ``reading``, an embedded cluster that does not exist is empty and its file is not created.
    """
    cluster = connect(cluster_for(reference, loaded, desired), reading=reading)
    try:
        yield cluster
    finally:
        cluster.close()


def cluster_for(reference: ClusterReference, loaded: Loaded | None, desired: Desired | None) -> ClusterReference:
    """The cluster of the command line, else the Stack's, else the default."""
    if reference.given or desired is None or loaded is None or loaded.stack is None:
        return reference
    stack = desired.stack
    if stack.context is not None:
        return ClusterReference(KUBERNETES, stack.context)
    if not stack.cluster:
        return reference
    return ClusterReference(os.path.join(os.path.dirname(loaded.stack.source.name), stack.cluster))


def policy_of(desired: Desired, options: PolicyOptions, *, delete: bool = False) -> Policy:
    """What a run may do, by the options and the Stack. Raises ``UsageError`` for values that make no sense."""
    from reconciler.catalogue.operation import Impact
    from reconciler.planner import DeletionLimit, Policy
    from reconciler.planner.policy import interruption_limits

    impacts = impacts_of(options)
    if delete:
        impacts |= {Impact.INTERRUPT, Impact.RESTART, Impact.RECREATE}  # deleting a machine is asking for all of them
    limit = options.max_deletions or desired.stack.max_deletions
    try:
        max_deletions = DeletionLimit.parse(limit) if limit else None
    except ValueError as error:
        raise click.UsageError(f"--max-deletions: {error}.") from None
    return Policy(
        allow=desired.stack.allow | impacts,
        prune=options.prune or desired.stack.prune,
        max_deletions=max_deletions,
        max_interrupted=interruption_limits(desired.stack.max_interrupted),
        adopt=options.adopt,
        adopt_from=frozenset(options.adopt_from),
        delete=delete,
        targets=_targets(desired, options.target),
    )


def _targets(desired: Desired, words: tuple[str, ...]) -> frozenset[ResourceId]:
    """The described resources that ``--target`` names: as their manifests do, or by the names they have or had on the
    cluster. Raises as ``choose`` does."""
    if not words:
        return frozenset()
    described = desired.resources.keys() | _of_kinds(desired.invalid)
    former = {old: id for id, each in desired.resources.items() if (old := each.moved_from) is not None}
    return frozenset(former.get(id, id) for id in choose(words, [*(described | former.keys())]))


def _of_kinds(ids: Iterable[ResourceId]) -> set[ResourceId]:
    """Those of the ids that are of a kind of resources: an ``Operation`` cannot be named."""
    from reconciler.model.kinds import RANK

    return {id for id in ids if id.kind in RANK}


def impacts_of(options: PolicyOptions) -> frozenset[str]:
    """The permissions that ``--allow`` gives. Raises ``UsageError`` for a word that is none."""
    from reconciler.catalogue.permission import permission

    words = [word for text in options.allow for word in text.split(",") if word.strip()]
    try:
        return frozenset(map(permission, words))
    except ValueError as error:
        raise click.UsageError(f"--allow: {error}.") from None


def choose(words: tuple[str, ...], known: Sequence[ResourceId]) -> list[ResourceId]:
    """The ids that words name, ``vm``, ``vm/web-1`` or the two words ``vm web-1``; without words, all.

    In the order of kinds. Raises ``CommandFailed`` for a name that does not exist, ``UsageError`` for no kind.
    """
    from reconciler.model.kinds import RANK, kind_named
    from reconciler.model.nearest import did_you_mean

    known = sorted(known, key=lambda id: (RANK[id.kind], id))
    if not words:
        return known
    chosen: list[ResourceId] = []
    if len(words) == 2 and "/" not in words[0] and "/" not in words[1] and kind_named(words[1]) is None:
        words = (f"{words[0]}/{words[1]}",)
    for word in words:
        head, _, name = word.partition("/")
        kind = kind_of(head)
        found = [id for id in known if id.kind == kind and (not name or id.name == name)]
        if name and not found:
            hint = did_you_mean(name, [id.name for id in known if id.kind == kind])
            raise CommandFailed("NotFound", f"there is no {kind}/{name}.{hint}")
        chosen += found
    return chosen


def choose_one(word: str, known: Sequence[ResourceId]) -> ResourceId:
    """The one resource that ``vm/web-1`` names. Raises as ``choose`` does, ``UsageError`` for anything but one."""
    found = choose((word,), known)
    if len(found) != 1 or "/" not in word:
        raise click.UsageError("Name one resource: vm/web-1.")
    return found[0]


def kind_of(word: str) -> str:
    """The kind that a name, plural or short name means. Raises ``UsageError``."""
    from reconciler.model.kinds import KINDS, kind_named
    from reconciler.model.nearest import did_you_mean

    kind = kind_named(word)
    if kind is None:
        names = [each for row in KINDS.values() for each in (row.name, *row.short)]
        hint = did_you_mean(word, names) or f" Kinds: {', '.join(KINDS)}."
        raise click.UsageError(f"{word!r} is not a kind.{hint}")
    return kind
