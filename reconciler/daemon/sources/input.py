"""What is desired now: the manifests as they are, and in the place of what is wrong with them what was last good.

Whatever is wrong is told and holds back nothing else: a manifest with an error counts as it was before, one that never
was good counts as not written. Nothing may be deleted on the strength of a reading that is not ``complete``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from reconciler.daemon.sources.checkout import SHORT, Checkout
from reconciler.daemon.sources.manifest_cache import Look, ManifestCache
from reconciler.manifests.desired import Declared, Desired, Stack
from reconciler.manifests.loader import Loaded, Manifest
from reconciler.manifests.validator import ValidationResult, Validator
from reconciler.model.problem import InvalidInput, Origin, Problem, Severity
from reconciler.model.resource import ResourceId
from reconciler.planner.declaration import canonical


class Reading(NamedTuple):
    """What a look at the manifests came to."""

    desired: Desired
    problems: tuple[Problem, ...]
    complete: bool  # whether everything that is written counts as it is written
    commit: str  # short; empty where there is none
    changed: frozenset[ResourceId]  # those that are declared anew, or no longer
    restacked: bool  # whether the Stack says something else
    stack: Manifest | None  # the document of the Stack
    differed: bool  # whether the manifests mean something else to a fresh eye: a bug


class Repository(Protocol):
    """Where commits come from (``git.Git``)."""

    @property
    def shown(self) -> str: ...

    @property
    def problem(self) -> str: ...

    def current(self) -> Checkout | None: ...


@dataclass(slots=True)
class _Good:
    """What the last reading came to."""

    desired: Desired
    stack: Manifest | None


class Input:
    """The manifests in ``paths``, or those of a repository's newest commit."""

    def __init__(
        self, paths: Sequence[str], monotonic: Callable[[], float], repository: Repository | None = None
    ) -> None:
        self._paths, self._repository = paths, repository
        self._library = ManifestCache(monotonic)
        self._validator = Validator()
        self._good: _Good | None = None

    @property
    def missing(self) -> float | None:
        """Seconds until a file that is missed counts as taken away; None if none is."""
        return self._library.missing

    def read(self, files: Collection[str] | None = None, *, closely: bool = False) -> Reading:
        """Look at ``files``, or at all of them, ``closely`` at what they say, and once more with no memory of it.

        Raises ``InvalidInput`` as long as nobody can tell which stack this is, or whose policy holds.
        """
        look, commit = self._look(files, closely)
        found, differed = self._validator.examine(look.loaded), False
        if closely:
            fresh = Validator()
            anew = fresh.examine(look.loaded)
            if differed := not _same(found, anew):
                self._validator, found = fresh, anew
        problems, bad = [*look.problems, *found.problems], _bad(found)
        if self._good is None and (look.loaded.stack in bad or (look.loaded.stack is None and not look.whole)):
            raise InvalidInput(problems)
        complete = look.whole and not bad
        loaded = look.loaded
        while bad:
            loaded = self._mended(loaded, bad)
            found = self._validator.examine(loaded)
            bad = _bad(found)
        if self._good is not None and (moved := _elsewhere(self._good.desired.stack, found.desired.stack)):
            place = loaded.stack.origin("metadata", "name") if loaded.stack else Origin(loaded.root)
            problems.append(Problem(place, moved, "Change it back, or start another daemon for the other."))
            loaded, complete = replace(loaded, stack=self._good.stack), False
            found = self._validator.examine(loaded)
        told = tuple(sorted(dict.fromkeys(problems)))
        return self._reading(found.desired, loaded.stack, told, complete, commit, differed)

    def _look(self, files: Collection[str] | None, closely: bool) -> tuple[Look, str]:
        if self._repository is None:
            return self._library.look(self._paths, files, closely=closely), ""
        checkout = self._repository.current()
        if checkout is None:
            why = self._repository.problem or "it was not read yet"
            raise InvalidInput([Problem(Origin(self._repository.shown), why)])
        look = self._library.look(checkout.paths, closely=closely, under=checkout.folder)
        problem = self._repository.problem
        if problem:  # what is here is a commit, whole, but not the one that is asked for
            look = look._replace(problems=[*look.problems, Problem(Origin(self._repository.shown), problem)])
        return look, checkout.commit[:SHORT]

    def _mended(self, loaded: Loaded, bad: Collection[Manifest]) -> Loaded:
        """The same with what was last good in the place of what is bad, or with nothing there."""
        kept = [each for each in loaded.manifests if each not in bad]
        described = {each.id for each in kept}
        for each in loaded.manifests:
            before = self._before(each)
            if each in bad and before is not None and before not in bad and each.id not in described:
                kept.append(before)
                described.add(each.id)
        stack = loaded.stack
        if stack in bad:
            stack = self._good.stack if self._good is not None else None
        return replace(loaded, manifests=kept, stack=stack, problems=[])

    def _before(self, manifest: Manifest) -> Manifest | None:
        """The manifest of the same that was last good."""
        if self._good is None:
            return None
        desired = self._good.desired
        known: Declared | None = desired.resources.get(manifest.id)
        if known is not None:
            return known.manifest
        request = desired.requests.get(manifest.id.name)
        found = request.manifest if request is not None else None
        return found if found is not None and found.id == manifest.id else None

    def _reading(
        self,
        desired: Desired,
        stack: Manifest | None,
        problems: tuple[Problem, ...],
        complete: bool,
        commit: str,
        differed: bool,
    ) -> Reading:
        before = self._good.desired.resources if self._good is not None else {}
        changed = {id for id, each in desired.resources.items() if before.get(id) is not each}
        changed |= before.keys() - desired.resources.keys()
        restacked = self._good is None or self._good.desired.stack != desired.stack
        self._good = _Good(desired, stack)
        return Reading(desired, problems, complete, commit, frozenset(changed), restacked, stack, differed)


def _bad(found: ValidationResult) -> set[Manifest]:
    return {
        manifest
        for manifest, problems in found.wrong.items()
        if any(problem.severity is Severity.ERROR for problem in problems)
    }


def _same(known: ValidationResult, anew: ValidationResult) -> bool:
    """Whether two looks at the same manifests come to the same."""
    one, other = known.desired, anew.desired
    return (
        (one.stack, list(one.resources), list(one.requests))
        == (other.stack, list(other.resources), list(other.requests))
        and all(_alike(each, other.resources[id]) for id, each in one.resources.items())
        and sorted(known.problems) == sorted(anew.problems)
    )


def _alike(one: Declared, other: Declared) -> bool:
    # One of the two has the digests of its secrets, the other not yet.
    return one.manifest is other.manifest and (one.has_secrets or canonical(one.shape) == canonical(other.shape))


def _elsewhere(before: Stack, now: Stack) -> str:
    """Why a Stack is not the one that was begun with; empty if it is."""
    if before.name != now.name:
        return f"this is the stack {now.name} by now, and it was begun as {before.name}"
    if (before.cluster, before.context) != (now.cluster, now.context):
        return "the stack has moved to another cluster since it was begun"
    return ""
