"""The parsed manifests of some paths, kept between reads: a file is parsed again only when it has changed.

A file that cannot be parsed keeps its last good content. A file that is gone is missing for ``DELETION_GRACE`` seconds
before it counts as deleted: some tools delete a file and write it again, and a resource without a manifest may be
pruned. Where it seems to be under another name then (``vanished``), that is a problem, and it keeps its last content.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from reconciler.daemon.sources.vanished import Vanished, digest_of, find_vanished
from reconciler.manifests.loader import MAX_BYTES, Loaded, Manifest, join, list_files, load_file
from reconciler.manifests.validator import ids_of
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.model.user_file import read_user_file

DELETION_GRACE = 5.0  # seconds

Signature = tuple[int, ...]


@dataclass(slots=True)
class CachedFile:
    """One file: its content, or its last good content and what is wrong with it now."""

    signature: Signature | None  # None: not current, compare the content
    digest: bytes  # of the content
    loaded: Loaded
    problems: Sequence[Problem] = ()
    changed: int = 0  # when it was last changed, as far as it was read, in ns
    missing_since: float | None = None  # on the monotonic clock
    kept_at: str = ""  # where it still is, under a name that is not read


class ManifestScan(NamedTuple):
    """All manifests as of a scan. ``complete``: every file could be read as it is now.

    ``unreadable`` are the resources of files that could be read before and cannot be now.
    """

    loaded: Loaded
    problems: Sequence[Problem]
    complete: bool
    unreadable: frozenset[ResourceId] = frozenset()


class ManifestCache:
    """The manifests of some paths, as ``load`` reads them. ``monotonic`` is the clock, in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._paths: tuple[str, ...] = ()
        self._files: dict[str, CachedFile] = {}
        self._root = ""
        self._real: dict[str, str] = {}  # the path of each listed file without links
        self._listing_problems: Sequence[Problem] = ()
        self._under = ""
        self._listing_reliable = True  # whether a file that is not listed does not exist

    @property
    def next_expiry(self) -> float | None:
        """Seconds until the next missing file counts as deleted; None if none is missing, or may only seem to be."""
        if not self._listing_reliable:
            return None
        since = [cached.missing_since for cached in self._files.values() if cached.missing_since is not None]
        return max(0.0, min(since) + DELETION_GRACE - self._monotonic()) if since else None

    def scan(
        self, paths: Sequence[str], files: Collection[str] | None = None, *, by_content: bool = False, under: str = ""
    ) -> ManifestScan:
        """The manifests as they are now.

        With ``files`` only these can have changed; otherwise the paths are listed again. ``by_content`` compares the
        content of files and not only their ``stat``. ``under`` is the folder that file names are relative to, as for
        ``load``.
        """
        if tuple(paths) != self._paths:
            # Another checkout with the same names: the last good content is still the last good content.
            self._files = {} if not self._paths else self._rebased(paths)
            self._paths, self._under, files = tuple(paths), under, None
        if files is not None and all(map(self._is_as_listed, files)):
            for file in files:
                self._refresh(file, by_content)
        else:
            self._relist(by_content)
        self._drop_expired()
        return self._result()

    def _is_as_listed(self, file: str) -> bool:
        """Whether a file is known, and no link leads elsewhere than when it was listed: perhaps out of the tree."""
        return file in self._files and os.path.realpath(file) == self._real.get(file)

    def _rebased(self, paths: Sequence[str]) -> dict[str, CachedFile]:
        rebased = {}
        for file, cached in self._files.items():
            for old, new in zip(self._paths, paths, strict=False):
                if file == old or file.startswith(old.rstrip(os.sep) + os.sep):
                    rebased[new + file[len(old) :]] = replace(cached, signature=None)
                    break
        return rebased

    def _relist(self, by_content: bool) -> None:
        listed = list_files(self._paths, under=self._under)
        self._root, self._listing_problems = listed.root or self._root, tuple(listed.problems)
        self._real = listed.real
        self._listing_reliable = not listed.problems and all(map(os.path.exists, self._paths))
        for file in listed.files:
            self._refresh(file, by_content)
        for file in self._files.keys() - set(listed.files):
            self._mark_missing(file)
        self._files = {file: self._files[file] for file in self._in_load_order(listed.files)}

    def _in_load_order(self, files: Sequence[str]) -> Iterator[str]:
        """Listed files in the order of ``load``, then the missing ones."""
        yield from files
        yield from sorted(self._files.keys() - set(files))

    def _refresh(self, file: str, by_content: bool) -> None:
        """Parse a file again if it has changed."""
        signature, cached = _signature(file), self._files.get(file)
        if cached is not None and signature is not None:
            cached.kept_at = ""
        if signature is None and cached is not None and file not in self._paths:
            self._mark_missing(file)
            return
        if cached is not None and cached.missing_since is None and signature == cached.signature and not by_content:
            return
        digest = _digest(file)
        if cached is not None and digest and digest == cached.digest:
            cached.signature, cached.changed, cached.missing_since = signature, _changed(signature), None
            return
        loaded = load_file(file, under=self._under)
        digest = digest if digest == _digest(file) else b""  # changed while it was read: parse it again next time
        if cached is None:
            self._files[file] = CachedFile(signature, digest, loaded, tuple(loaded.problems), _changed(signature))
            loaded.problems = []
            return
        cached.signature, cached.digest, cached.missing_since = signature, digest, None
        cached.changed = _changed(signature)
        cached.problems = tuple(loaded.problems)
        if not loaded.problems and _texts(loaded) != _texts(cached.loaded):
            cached.loaded = loaded

    def _mark_missing(self, file: str) -> None:
        cached = self._files[file]
        cached.signature = None
        if cached.kept_at and not os.path.lexists(cached.kept_at):
            cached.kept_at = ""
        if not cached.kept_at and cached.missing_since is None:
            cached.missing_since = self._monotonic()

    def _drop_expired(self) -> None:
        """Drop files that were missing for the grace period and are gone.

        Nothing is dropped if the listing failed. What a file declared that is declared by others as well has moved.
        """
        if not self._listing_reliable:
            return
        end = self._monotonic() - DELETION_GRACE
        missing = [(file, each.missing_since) for file, each in self._files.items() if each.missing_since is not None]
        expired = {file: self._files[file] for file, since in missing if since <= end}
        if not expired:
            return
        declared = {id for each in self._files.values() if each.missing_since is None for id in _ids(each.loaded)}
        lost = {file: (each, frozenset(_ids(each.loaded)) - declared) for file, each in expired.items()}
        vanished = [Vanished(file, each.digest, each.changed, ids) for file, (each, ids) in lost.items() if ids]
        kept = find_vanished(vanished, filter(os.path.isdir, self._paths)) if vanished else {}
        for file, cached in expired.items():
            if file in kept:
                cached.kept_at, cached.missing_since = kept[file], None
            else:
                del self._files[file]

    def _kept(self, file: str, cached: CachedFile) -> Problem:
        """The problem of a file that is there under a name that is not read."""
        folder, name = os.path.split(file)
        beside = os.path.dirname(cached.kept_at) == folder
        old, shown = (os.path.relpath(each, self._under) if self._under else each for each in (file, cached.kept_at))
        old = name if beside else old
        message = f"not read, and was read as {old}: its resources are not taken for removed"
        return Problem(Origin(shown), message, f"Rename it to {old}, or remove it.")

    def _result(self) -> ManifestScan:
        cached = self._files.values()
        loaded = join([Loaded(root=self._root), *(each.loaded for each in cached)])
        problems = [*self._listing_problems, *(problem for each in cached for problem in each.problems)]
        problems += [self._kept(file, each) for file, each in self._files.items() if each.kept_at]
        problems += loaded.problems
        loaded.problems = []
        unreadable = frozenset(
            id for file in cached if file.problems or file.kept_at for id in _manifest_ids(file.loaded)
        )
        complete = not problems and all(each.missing_since is None for each in cached)
        return ManifestScan(loaded, problems, complete, unreadable)


def _signature(file: str) -> Signature | None:
    """What ``stat`` says of a file; None if it does not exist."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


def _changed(signature: Signature | None) -> int:
    return signature[1] if signature else 0


def _manifest_ids(loaded: Loaded) -> Iterator[ResourceId]:
    return (id for manifest in loaded.manifests for id in ids_of(manifest))


def _ids(loaded: Loaded) -> Iterator[ResourceId]:
    """The resources of a file, with its Stack."""
    yield from _manifest_ids(loaded)
    if loaded.stack is not None:
        yield loaded.stack.id


def _digest(file: str) -> bytes:
    """The digest of a file's content; empty if it cannot be read."""
    try:
        return digest_of(read_user_file(file, MAX_BYTES))
    except OSError:
        return b""


def _texts(loaded: Loaded) -> list[tuple[str, str]]:
    """The texts that the documents of a file were parsed from."""
    found: list[Manifest] = [*loaded.manifests, *([loaded.stack] if loaded.stack else [])]
    return list(dict.fromkeys((each.source.name, each.source.text) for each in found))
