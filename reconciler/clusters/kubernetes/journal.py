"""The stack record on Kubernetes: a journal in ConfigMaps, of a hundred entries and 256 KiB each at most.

An entry is one key, put there by a merge patch, so that writers need not read and cannot conflict. Keys are
times: they sort in the order in which one writer wrote.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from reconciler.clusters.base import Entries
from reconciler.clusters.kubernetes.api import METADATA_ONLY, Api
from reconciler.clusters.kubernetes.errors import Unconfirmed
from reconciler.model.journal import is_boundary, last_run
from reconciler.model.problem import AlreadyExists, NotFound
from reconciler.model.wire import LABEL_JOURNAL

PER_CHUNK = 100  # entries: a write of one costs the server the whole ConfigMap
CHUNK_BYTES = 256 * 1024
"""A ConfigMap that has so much is full: it may hold 1 MiB, an entry hardly as much as this, and another process that
writes to the same one does not see what this one has added."""
PAGE = 500

Entry = dict[str, Any]


class _AppendPosition(NamedTuple):
    """Where the next entry goes: the number of a ConfigMap, how many entries it has, and how many bytes of them."""

    number: int
    entries: int = 0
    bytes: int = 0


class KubernetesJournal:
    """A ``JournalStore``: the journals of all stacks, in one namespace. ``now`` gives nanoseconds."""

    def __init__(self, api: Api, namespace: str, now: Callable[[], int] = time.time_ns) -> None:
        self._api, self._now = api, now
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._ends: dict[str, _AppendPosition] = {}
        self._shortened: set[tuple[str, int]] = set()  # stack, number of a ConfigMap
        self._sizes: dict[tuple[str, int], int] = {}  # entries of ConfigMaps that get no more
        self._last = 0
        self._lock = threading.Lock()

    def record(self, stack: str, entry: Mapping[str, Any]) -> None:
        with self._lock:
            end = self._ends.get(stack) or self._find_end(stack)
            text = json.dumps(dict(entry), ensure_ascii=False, separators=(",", ":"))
            size = len(text.encode(errors="replace"))
            is_full = end.entries >= PER_CHUNK or (end.entries and end.bytes + size > CHUNK_BYTES)
            if not end.number or is_full:
                end = self._begin(stack, end.number + 1)
            self._last = max(self._last + 1, self._now())
            body = {"metadata": {"labels": {LABEL_JOURNAL: stack}}, "data": {f"{self._last:020d}": text}}
            try:
                self._api.patch(f"{self._path}/{_name(stack, end.number)}", body)
            except NotFound:  # it was cleared away, or never came to be
                end = self._begin(stack, end.number)
                self._api.patch(f"{self._path}/{_name(stack, end.number)}", body)
            self._ends[stack] = end._replace(entries=end.entries + 1, bytes=end.bytes + size)

    def records(self, stack: str, *, newest: int | None = None) -> Entries:
        if newest is not None:
            return [*islice(self._newest_first(stack), newest)][::-1]
        return [entry for number in self._chunks(stack) for entry in self._read(stack, number)]

    def unfinished(self, stack: str) -> Entries:
        return last_run(self._newest_first(stack))

    def _newest_first(self, stack: str) -> Iterator[Entry]:
        """All entries from the end, read no further than they are asked for."""
        for number in reversed(self._chunks(stack)):
            yield from reversed(self._read(stack, number))

    def shorten(self, stack: str, *, newest: int) -> None:
        """Empty the ConfigMaps before the ``newest`` entries and the last run, but for entries with a ``request``.

        What is empty leaves the journal: whoever may write one may not remove it.
        """
        chunks = self._chunks(stack)
        if len(chunks) <= newest // PER_CHUNK + 2:  # the last of them may just have been begun
            return
        kept = self._newest_chunks(stack, chunks, newest)
        run = next((number for number in reversed(chunks) if self._has_boundary(stack, number)), 0)
        for number in chunks[: len(chunks) - kept]:
            if number < run and (stack, number) not in self._shortened:
                self._thin(stack, number)
                self._shortened.add((stack, number))

    def _newest_chunks(self, stack: str, chunks: list[int], newest: int) -> int:
        """How many of the last ConfigMaps have the ``newest`` entries, and one more: the last may be new."""
        entries = 0
        for count, number in enumerate(reversed(chunks), 1):
            if entries >= newest and count > 1:
                return count
            known = self._sizes.get((stack, number)) if number != chunks[-1] else None
            entries += (size := len(self._data(stack, number)) if known is None else known)
            self._sizes[stack, number] = size
        return len(chunks)

    def _has_boundary(self, stack: str, number: int) -> bool:
        return any(is_boundary(entry) for entry in self._read(stack, number))

    def _thin(self, stack: str, number: int) -> None:
        data = self._data(stack, number)
        gone = [key for key, text in data.items() if "request" not in json.loads(text)]
        body: Entry = {"data": dict.fromkeys(gone)}
        if len(gone) == len(data):
            body = {"metadata": {"labels": {LABEL_JOURNAL: None}}, "data": None}
        self._api.patch(f"{self._path}/{_name(stack, number)}", body)

    def _chunks(self, stack: str) -> list[int]:
        query: dict[str, str | int] = {"labelSelector": f"{LABEL_JOURNAL}={stack}", "limit": PAGE}
        names: list[str] = []
        while True:
            page = self._api.get(self._path, query, accept=METADATA_ONLY)
            names += [item["metadata"]["name"] for item in page["items"] or ()]
            if not (more := page["metadata"].get("continue")):
                return sorted(int(name.rpartition(".n")[2]) for name in names)
            query["continue"] = more

    def _read(self, stack: str, number: int) -> list[Entry]:
        data = self._data(stack, number)
        return [json.loads(data[key]) for key in sorted(data)]

    def _data(self, stack: str, number: int) -> dict[str, str]:
        data: dict[str, str] = self._api.get(f"{self._path}/{_name(stack, number)}").get("data") or {}
        return data

    def _find_end(self, stack: str) -> _AppendPosition:
        chunks = self._chunks(stack)
        if not chunks:
            return _AppendPosition(0)
        texts = self._data(stack, chunks[-1]).values()
        return _AppendPosition(chunks[-1], len(texts), sum(len(text.encode(errors="replace")) for text in texts))

    def _begin(self, stack: str, number: int) -> _AppendPosition:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": _name(stack, number), "labels": {LABEL_JOURNAL: stack}},
        }
        with suppress(AlreadyExists, Unconfirmed):  # another process was faster, or nobody knows: patching it will tell
            self._api.write("POST", self._path, body)
        return _AppendPosition(number)


def _name(stack: str, number: int) -> str:
    return ".".join(part for part in ("reconcile-journal", stack, f"n{number:06d}") if part)
