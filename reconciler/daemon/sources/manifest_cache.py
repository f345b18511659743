"""The manifests of some paths, kept between looks: a file is read again only when it has moved.

A file that cannot be used stays as it was last good. One that is gone is missed for ``GRACE`` seconds before it
counts as taken away: tools that replace files are seen between taking the old one away and putting the new one there,
and what is described no longer may be deleted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from reconciler.manifests.loader import MAX_BYTES, Loaded, Manifest, join, list_files, load_file
from reconciler.model.problem import Problem

GRACE = 5.0

Signature = tuple[int, ...]


@dataclass(slots=True)
class CachedFile:
    """One file: what it says now or said when it was last good, and what is wrong with it since."""

    signature: Signature | None
    digest: bytes  # of what it says
    part: Loaded
    problems: Sequence[Problem] = ()
    missed: float | None = None  # since when it is not there


class Look(NamedTuple):
    """What a look came to. ``whole``: every file could be read as it is now."""

    loaded: Loaded
    problems: Sequence[Problem]
    whole: bool


class ManifestCache:
    """The manifests of ``paths``, as ``load`` reads them."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._paths: tuple[str, ...] = ()
        self._volumes: dict[str, CachedFile] = {}
        self._root = ""
        self._listing: Sequence[Problem] = ()
        self._under = ""
        self._sure = True  # whether what is not listed is not there

    @property
    def missing(self) -> float | None:
        """Seconds until the next file that is missed counts as taken away; None if none is."""
        since = [volume.missed for volume in self._volumes.values() if volume.missed is not None]
        return max(0.0, min(since) + GRACE - self._monotonic()) if since else None

    def look(
        self, paths: Sequence[str], files: Collection[str] | None = None, *, closely: bool = False, under: str = ""
    ) -> Look:
        """What is there now. With ``files`` only these can have moved; otherwise all are looked for.

        ``closely`` compares what they say, not only what the file system says of them. ``under`` is the folder from
        which files are named, as for ``load``.
        """
        if tuple(paths) != self._paths:
            # Another checkout of the same names: what was last good there is still last good.
            self._volumes = {} if not self._paths else self._moved_to(paths)
            self._paths, self._under, files = tuple(paths), under, None
        known = files is not None and all(file in self._volumes for file in files)
        if known:
            assert files is not None
            for file in files:
                self._renew(file, closely)
        else:
            self._take_stock(closely)
        self._forget()
        return self._summary()

    def _moved_to(self, paths: Sequence[str]) -> dict[str, CachedFile]:
        moved = {}
        for file, volume in self._volumes.items():
            for old, new in zip(self._paths, paths, strict=False):
                if file == old or file.startswith(old.rstrip(os.sep) + os.sep):
                    moved[new + file[len(old) :]] = replace(volume, signature=None)
                    break
        return moved

    def _take_stock(self, closely: bool) -> None:
        listed = list_files(self._paths, under=self._under)
        self._root, self._listing = listed.root or self._root, tuple(listed.problems)
        self._sure = not listed.problems and all(map(os.path.exists, self._paths))
        for file in listed.files:
            self._renew(file, closely)
        there = set(listed.files)
        for file in self._volumes.keys() - there:
            self._miss(file)
        self._volumes = {file: self._volumes[file] for file in self._in_order(listed.files)}

    def _in_order(self, files: Sequence[str]) -> Iterator[str]:
        """Files as they are read from the start, those that are missed after them."""
        yield from files
        yield from sorted(self._volumes.keys() - set(files))

    def _renew(self, file: str, closely: bool) -> None:
        """Read a file again if it has moved."""
        signature, volume = _signature(file), self._volumes.get(file)
        if signature is None and volume is not None and file not in self._paths:
            self._miss(file)
            return
        if volume is not None and volume.missed is None and signature == volume.signature and not closely:
            return
        digest = _digest(file)
        if volume is not None and digest and digest == volume.digest:
            volume.signature, volume.missed = signature, None
            return
        part = load_file(file, under=self._under)
        digest = digest if digest == _digest(file) else b""  # it has moved meanwhile: read it again
        if volume is None:
            self._volumes[file] = CachedFile(signature, digest, part, tuple(part.problems))
            part.problems = []
            return
        volume.signature, volume.digest, volume.missed = signature, digest, None
        volume.problems = tuple(part.problems)
        if not part.problems and _texts(part) != _texts(volume.part):
            volume.part = part

    def _miss(self, file: str) -> None:
        volume = self._volumes[file]
        volume.signature = None
        if volume.missed is None:
            volume.missed = self._monotonic()

    def _forget(self) -> None:
        """Let go of what has been missed for long; where a listing failed, nothing is known to be gone."""
        if not self._sure:
            return
        end = self._monotonic() - GRACE
        for file in [file for file, each in self._volumes.items() if each.missed is not None and each.missed <= end]:
            del self._volumes[file]

    def _summary(self) -> Look:
        volumes = self._volumes.values()
        loaded = join([Loaded(root=self._root), *(volume.part for volume in volumes)])
        problems = [*self._listing, *(problem for volume in volumes for problem in volume.problems), *loaded.problems]
        loaded.problems = []
        return Look(loaded, problems, not problems and all(volume.missed is None for volume in volumes))


def _signature(file: str) -> Signature | None:
    """What tells that a file has moved; None for one that is not there."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


def _digest(file: str) -> bytes:
    """What tells whether a file says something else; nothing for one that cannot be read."""
    try:
        with open(file, "rb") as stream:
            return hashlib.blake2b(stream.read(MAX_BYTES + 1), digest_size=16).digest()
    except OSError:
        return b""


def _texts(part: Loaded) -> list[tuple[str, str]]:
    """What the documents of a file were read from."""
    found: list[Manifest] = [*part.manifests, *([part.stack] if part.stack else [])]
    return list(dict.fromkeys((each.source.name, each.source.text) for each in found))
