"""Where a file may be that was read before and is not any more, though nobody deleted it: hidden, renamed, put away.

It counts as there, in or below the paths or beside its old place, if something that is not read

* has its path, but for dots that hide it or a folder of it (``.web.yaml``, ``.sub/web.yaml``);
* is a link of its name without the ending, or with one added; it is not followed;
* has its name with an ending of compressed or encrypted files added (``web.yaml.gz``), since it was last changed;
* holds the same bytes, or since it was last changed names one of its resources, and is beside it or is called alike.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from reconciler.manifests.loader import MAX_BYTES
from reconciler.manifests.tree import SUFFIXES
from reconciler.model.resource import API_VERSION, ResourceId
from reconciler.model.user_file import MIB, read_user_file

SEALED = (".gz", ".xz", ".bz2", ".zst", ".zip", ".tar", ".tgz", ".gpg", ".pgp", ".age", ".enc")
_GROUP = API_VERSION.partition("/")[0].encode()
_NAME = re.compile(r"\bname[\"']?\s*:\s*[\"']?([\w.-]+)")
_KIND = re.compile(r"\bkind[\"']?\s*:\s*[\"']?(\w+)")


class Vanished(NamedTuple):
    """A file that was read before: the digest of its content, when it was last changed (ns), and its resources."""

    file: str
    digest: bytes
    changed: int
    ids: frozenset[ResourceId]


class _Content(NamedTuple):
    digest: bytes
    names: frozenset[str] = frozenset()  # of resources, if it is of our API
    kinds: frozenset[str] = frozenset()


def find_vanished(vanished: Sequence[Vanished], paths: Iterable[str]) -> dict[str, str]:
    """File -> where it seems to be, of those that seem to be anywhere. Only reads, and follows no link."""
    by_path = {each.file: each for each in vanished}
    beside: dict[str, list[Vanished]] = defaultdict(list)
    alike: dict[str, list[Vanished]] = defaultdict(list)
    for each in vanished:
        beside[os.path.dirname(each.file)].append(each)
        alike[_word(each.file)].append(each)
    found: dict[str, str] = {}
    for top, entry in _unread([*paths, *beside]):
        exact = by_path.get(_unhidden(top, entry.path))
        candidates = [*alike.get(_word(entry.path), ()), *beside.get(os.path.dirname(entry.path), ())]
        missing = [each for each in candidates if each.file not in found]
        if exact is not None:
            found.setdefault(exact.file, entry.path)
        elif missing:
            found |= {each.file: entry.path for each in _held(entry, missing)}
    return found


def digest_of(content: bytes) -> bytes:
    """The digest of a file's content."""
    return hashlib.blake2b(content, digest_size=16).digest()


def _held(entry: os.DirEntry[str], missing: Sequence[Vanished]) -> Iterator[Vanished]:
    """Those of the missing files that something which is not read may be."""
    name = entry.name.lstrip(".")
    if entry.is_symlink():
        for each in missing:
            old, here = os.path.basename(each.file), os.path.dirname(each.file) == os.path.dirname(entry.path)
            if here and not os.path.isdir(entry.path) and (name == os.path.splitext(old)[0] or name.startswith(old)):
                yield each
        return
    try:
        about = entry.stat(follow_symlinks=False)
    except OSError:
        return
    called_alike = any(_word(each.file) == _word(entry.path) for each in missing)
    content = _content(entry.path) if about.st_size <= (MAX_BYTES if called_alike else MIB) else _Content(b"")
    for each in missing:
        sealed = name in {os.path.basename(each.file) + ending for ending in SEALED}
        named = any(id.name in content.names and id.kind in content.kinds for id in each.ids)
        same = bool(each.digest) and each.digest == content.digest
        if same or (about.st_ctime_ns > each.changed and (named or sealed)):
            yield each


def _unread(folders: Iterable[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything in and below the folders that is no manifest by its name or place, with the folder it was found from.

    Left out are ``.git``, and folders that begin with two dots: what is in those is read by the links that lead there.
    """
    seen: set[str] = set()
    for top in dict.fromkeys(folders):
        pending = [(top, False)]
        while pending:
            folder, hidden = pending.pop()
            real = os.path.realpath(folder)
            if real in seen:
                continue
            seen.add(real)
            try:
                with os.scandir(folder or ".") as entries:
                    here = sorted(entries, key=lambda each: each.name)
            except OSError:
                continue
            for each in here:
                hides = hidden or each.name.startswith(".")
                if each.is_dir(follow_symlinks=False):
                    if each.name != ".git" and not each.name.startswith(".."):
                        pending.append((os.path.join(folder, each.name), hides))
                elif hides or not each.name.lower().endswith(SUFFIXES):
                    yield top, each


def _unhidden(top: str, path: str) -> str:
    """The path without the dots that hide a part of it below ``top``."""
    parts = os.path.relpath(path, top or ".").split(os.sep)
    return os.path.join(top, *(part.removeprefix(".") or part for part in parts))


def _word(path: str) -> str:
    """The name of a file up to its first dot, without those that hide it."""
    return os.path.basename(path).lstrip(".").partition(".")[0]


def _content(path: str) -> _Content:
    """What a file holds, as far as it tells; nothing of one that cannot be read."""
    try:
        content = read_user_file(path, MAX_BYTES)
    except OSError:
        return _Content(b"")
    digest = digest_of(content)
    if _GROUP not in content or b"\0" in content:
        return _Content(digest)
    text = content.decode(errors="replace")
    return _Content(digest, frozenset(_NAME.findall(text)), frozenset(_KIND.findall(text)))
