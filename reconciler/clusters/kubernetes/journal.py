"""The stack record on Kubernetes: a journal in ConfigMaps, a hundred entries each.

An entry is one key, put there by a merge patch, so that writers need not read and cannot conflict. Keys are
times: they sort in the order in which one writer wrote.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from reconciler.clusters.base import AROUND
from reconciler.clusters.kubernetes.api import METADATA_ONLY, Api, Doubtful
from reconciler.model.problem import AlreadyExists, NotFound
from reconciler.model.wire import LABEL_JOURNAL

PER_CHUNK = 100  # entries: a write of one costs the server the whole ConfigMap
PAGE = 500

Entry = dict[str, Any]


class _Tail(NamedTuple):
    """Where the next entry goes: the number of a ConfigMap, and how many entries it has."""

    number: int
    entries: int


class KubernetesJournal:
    """The journals of all stacks, in one namespace."""

    def __init__(self, api: Api, namespace: str, now: Callable[[], int] = time.time_ns) -> None:
        self._api, self._now = api, now
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._tails: dict[str, _Tail] = {}
        self._short: set[tuple[str, int]] = set()  # what has been shortened before
        self._last = 0
        self._lock = threading.Lock()

    def append(self, stack: str, entry: Mapping[str, Any]) -> None:
        with self._lock:
            tail = self._tails.get(stack) or self._find_tail(stack)
            if not tail.number or tail.entries >= PER_CHUNK:
                tail = self._begin(stack, tail.number + 1)
            self._last = max(self._last + 1, self._now())
            text = json.dumps(dict(entry), ensure_ascii=False, separators=(",", ":"))
            body = {"metadata": {"labels": {LABEL_JOURNAL: stack}}, "data": {f"{self._last:020d}": text}}
            try:
                self._api.patch(f"{self._path}/{_name(stack, tail.number)}", body)
            except NotFound:  # it was cleared away, or never came to be
                tail = self._begin(stack, tail.number)
                self._api.patch(f"{self._path}/{_name(stack, tail.number)}", body)
            self._tails[stack] = tail._replace(entries=tail.entries + 1)

    def entries(self, stack: str) -> list[Entry]:
        """All of a stack's, oldest first."""
        return [entry for number in self._chunks(stack) for entry in self._read(stack, number)]

    def newest_first(self, stack: str) -> Iterator[Entry]:
        """The same from its end, read no further than it is asked for."""
        for number in reversed(self._chunks(stack)):
            yield from reversed(self._read(stack, number))

    def shorten(self, stack: str, newest: int) -> None:
        """Empty the ConfigMaps before the ``newest`` entries and the last run, but for entries with a ``request``.

        What is empty leaves the journal: whoever may write one may not remove it.
        """
        chunks = self._chunks(stack)
        kept = newest // PER_CHUNK + 2  # the last of them may just have been begun
        if len(chunks) <= kept:
            return
        run = next((number for number in reversed(chunks) if self._has_bound(stack, number)), 0)
        for number in chunks[:-kept]:
            if number < run and (stack, number) not in self._short:
                self._thin(stack, number)
                self._short.add((stack, number))

    def _has_bound(self, stack: str, number: int) -> bool:
        return any(entry.get("phase") in AROUND for entry in self._read(stack, number))

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

    def _find_tail(self, stack: str) -> _Tail:
        chunks = self._chunks(stack)
        return _Tail(chunks[-1], len(self._read(stack, chunks[-1]))) if chunks else _Tail(0, 0)

    def _begin(self, stack: str, number: int) -> _Tail:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": _name(stack, number), "labels": {LABEL_JOURNAL: stack}},
        }
        with suppress(AlreadyExists, Doubtful):  # another process was faster, or nobody knows: patching it will tell
            self._api.write("POST", self._path, body)
        return _Tail(number, 0)


def _name(stack: str, number: int) -> str:
    return ".".join(part for part in ("reconcile-journal", stack, f"n{number:06d}") if part)
