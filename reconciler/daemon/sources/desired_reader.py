"""The desired state: the manifests as they are now, with the last good version in the place of every invalid one.

An invalid manifest counts as it was before, one that was never valid as not written, so that others can be checked
against it; what it declares is in ``Desired.invalid`` and gets no step. Nothing may be pruned on a reading that is not
``complete``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from reconciler.daemon.sources.git_checkout import SHORT, Checkout
from reconciler.daemon.sources.manifest_cache import ManifestCache, ManifestScan
from reconciler.manifests.desired import Declared, Desired, Stack
from reconciler.manifests.loader import Loaded, Manifest
from reconciler.manifests.validator import ValidationResult, Validator
from reconciler.model.problem import InvalidInput, Origin, Problem, Severity
from reconciler.model.resource import ResourceId
from reconciler.model.secret_access import SecretAccess
from reconciler.planner.declaration import canonical

SUBMODULE = ("a git submodule, which is not fetched", "Commit the files themselves, or remove the submodule.")


class ReadResult(NamedTuple):
    """The desired state as of one read."""

    desired: Desired
    problems: tuple[Problem, ...]
    complete: bool  # whether every manifest counts as it is written, none in its last good version
    commit: str  # abbreviated; empty if the manifests are not from a repository
    changed: frozenset[ResourceId]  # resources whose manifest was added, changed or removed
    stack_changed: bool
    stack: Manifest | None  # the manifest of the Stack
    cache_mismatch: bool  # whether validation from scratch gave another result than the cached one: a bug


class Repository(Protocol):
    """Where commits come from (``git.GitSource``)."""

    @property
    def shown(self) -> str:
        """URL, ref and path, without credentials."""

    @property
    def problem(self) -> str:
        """Why the newest commit is not the current one; empty if it is."""

    def current(self) -> Checkout | None:
        """The newest usable commit; None before the first one."""


@dataclass(slots=True)
class _LastGood:
    """The result of the previous read."""

    desired: Desired
    stack: Manifest | None


class DesiredReader:
    """Reads the manifests in ``paths``, or those of the newest commit of a repository."""

    def __init__(
        self,
        paths: Sequence[str],
        monotonic: Callable[[], float],
        repository: Repository | None = None,
        secrets: SecretAccess | None = None,
    ) -> None:
        """``secrets``: as for ``Validator``."""
        self._paths, self._repository = paths, repository
        self._cache = ManifestCache(monotonic)
        self._secrets = secrets
        self._validator = Validator(secrets=secrets)
        self._last_good: _LastGood | None = None

    @property
    def next_expiry(self) -> float | None:
        """Seconds until the next missing file counts as deleted; None if none is missing."""
        return self._cache.next_expiry

    def read(self, files: Collection[str] | None = None, *, from_scratch: bool = False) -> ReadResult:
        """Read ``files`` if only these can have changed, or all. ``from_scratch`` compares the content of files, and
        validates once more without the cache to check it.

        Raises ``InvalidInput`` as long as it is not known which stack this is, or which policy applies.
        """
        scan, commit = self._scan(files, from_scratch)
        result, cache_mismatch = self._validate(scan.loaded, from_scratch)
        problems, invalid = [*scan.problems, *result.problems], _invalid(result)
        stack_unknown = scan.loaded.stack in invalid or (scan.loaded.stack is None and not scan.complete)
        if self._last_good is None and stack_unknown:
            raise InvalidInput(problems)
        complete = scan.complete and not invalid
        loaded, blocked = scan.loaded, scan.unreadable | result.desired.invalid
        while invalid:
            loaded = self._with_last_good(loaded, invalid)
            result = self._validator.examine(loaded)
            invalid = _invalid(result)
            blocked |= result.desired.invalid
        if self._last_good is not None and (
            refusal := _another_stack(self._last_good.desired.stack, result.desired.stack)
        ):
            origin = loaded.stack.origin("metadata", "name") if loaded.stack else Origin(loaded.root)
            problems.append(Problem(origin, refusal, "Change it back, or start another daemon for the other stack."))
            loaded, complete = replace(loaded, stack=self._last_good.stack), False
            result = self._validator.examine(loaded)
        sorted_problems = tuple(sorted(dict.fromkeys(problems)))
        return self._reading(
            replace(result.desired, invalid=blocked), loaded.stack, sorted_problems, complete, commit, cache_mismatch
        )

    def _validate(self, loaded: Loaded, from_scratch: bool) -> tuple[ValidationResult, bool]:
        """The result, and whether the validator's cache had another one."""
        result = self._validator.examine(loaded)
        if not from_scratch:
            return result, False
        fresh = Validator(secrets=self._secrets)
        fresh_result = fresh.examine(loaded)
        if _same_result(result, fresh_result):
            return result, False
        self._validator = fresh
        return fresh_result, True

    def _scan(self, files: Collection[str] | None, by_content: bool) -> tuple[ManifestScan, str]:
        """The manifests, and the commit they are from."""
        if self._repository is None:
            return self._cache.scan(self._paths, files, by_content=by_content), ""
        checkout = self._repository.current()
        if checkout is None:
            reason = self._repository.problem or "the repository has not been fetched yet"
            raise InvalidInput([Problem(Origin(self._repository.shown), reason)])
        scan = self._cache.scan(checkout.paths, by_content=by_content, under=checkout.folder)
        if checkout.submodules:
            missing = [Problem(Origin(each), *SUBMODULE) for each in checkout.submodules]
            scan = scan._replace(problems=[*scan.problems, *missing], complete=False)
        problem = self._repository.problem
        if problem:  # the checkout is complete, but not the commit that was asked for
            scan = scan._replace(problems=[*scan.problems, Problem(Origin(self._repository.shown), problem)])
        return scan, checkout.commit[:SHORT]

    def _with_last_good(self, loaded: Loaded, invalid: Collection[Manifest]) -> Loaded:
        """``loaded`` with each invalid manifest replaced by its last good version, or left out if it has none."""
        kept = [each for each in loaded.manifests if each not in invalid]
        declared = {each.id for each in kept}
        for each in loaded.manifests:
            before = self._last_good_of(each)
            if each in invalid and before is not None and before not in invalid and each.id not in declared:
                kept.append(before)
                declared.add(each.id)
        stack = loaded.stack
        if stack in invalid:
            stack = self._last_good.stack if self._last_good is not None else None
        return replace(loaded, manifests=kept, stack=stack, problems=[])

    def _last_good_of(self, manifest: Manifest) -> Manifest | None:
        """The last good manifest of the same id."""
        if self._last_good is None:
            return None
        desired = self._last_good.desired
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
        cache_mismatch: bool,
    ) -> ReadResult:
        before = self._last_good.desired.resources if self._last_good is not None else {}
        changed = {id for id, each in desired.resources.items() if before.get(id) is not each}
        changed |= before.keys() - desired.resources.keys()
        stack_changed = self._last_good is None or self._last_good.desired.stack != desired.stack
        self._last_good = _LastGood(desired, stack)
        return ReadResult(desired, problems, complete, commit, frozenset(changed), stack_changed, stack, cache_mismatch)


def _invalid(result: ValidationResult) -> set[Manifest]:
    return {
        manifest
        for manifest, problems in result.wrong.items()
        if any(problem.severity is Severity.ERROR for problem in problems)
    }


def _same_result(cached: ValidationResult, fresh: ValidationResult) -> bool:
    one, other = cached.desired, fresh.desired
    return (
        (one.stack, list(one.resources), list(one.requests))
        == (other.stack, list(other.resources), list(other.requests))
        and all(_same_declaration(each, other.resources[id]) for id, each in one.resources.items())
        and sorted(cached.problems) == sorted(fresh.problems)
    )


def _same_declaration(one: Declared, other: Declared) -> bool:
    # One of the two has the digests of its secrets, the other not yet.
    return one.manifest is other.manifest and (one.has_secrets or canonical(one.shape) == canonical(other.shape))


def _another_stack(before: Stack, now: Stack) -> str:
    """Why a Stack is not the one that the daemon was started with; empty if it is."""
    if before.name != now.name:
        return f"the stack is now called {now.name}, but this daemon was started for {before.name}"
    if (before.cluster, before.context) != (now.cluster, now.context):
        return "the stack now names another cluster than the one this daemon was started for"
    return ""
