"""A watch on a Kubernetes API: one stream a kind, each resumed where it ended, for as long as it is wanted."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import urllib3

from reconciler.clusters.base import EventType, WatchEvent, earliest
from reconciler.clusters.kubernetes.api import Api
from reconciler.clusters.kubernetes.errors import error_of_status
from reconciler.model.backoff import Backoff
from reconciler.model.problem import ClusterError, NotFound, Unavailable, described_error

RENEWAL = 50.0  # seconds after which the server ends a stream by itself, to be opened again
SLACK = 10.0  # seconds beyond that without a line: the connection is dead, whatever the socket says
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds before a stream is opened again, doubled each time
LASTED = 1.0  # seconds after which a stream counts as one that worked
NOT_SERVED = 30.0  # seconds before looking again whether a kind is served by now


class _StreamEvent(NamedTuple):
    """An event of the stream of a kind, and the version up to which that stream has given everything."""

    kind: str
    version: str
    event: WatchEvent | None  # None: nothing but the version


class KubernetesWatch:
    """A ``Watch``. Streams that end, fail or fall silent are resumed from the last version they reached.

    ``paths`` and ``since`` are by kind. A kind that is not served is waited for.
    """

    def __init__(
        self,
        api: Api,
        paths: Mapping[str, str],
        since: Mapping[str, str],
        labels: Mapping[str, str] | None,
        *,
        renewal: float = RENEWAL,
        slack: float = SLACK,
    ) -> None:
        self._api, self._labels = api, ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        self._renewal, self._silence = renewal, renewal + slack
        self._received: queue.SimpleQueue[_StreamEvent | ClusterError | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[str, urllib3.BaseHTTPResponse] = {}
        self._at = dict(since)  # by kind: the version that its stream has reached
        self._given = dict(since)  # by kind: the version that ``next`` has reached
        for kind, path in paths.items():
            threading.Thread(target=self._follow, args=(kind, path), name=f"watch-{kind}", daemon=True).start()

    def next(self, timeout: float) -> Sequence[WatchEvent]:
        events: list[WatchEvent] = []
        end = time.monotonic() + timeout
        while not self._closed.is_set():
            try:
                received = (
                    self._received.get(timeout=max(0.0, end - time.monotonic()))
                    if not events
                    else self._received.get_nowait()
                )
            except queue.Empty:
                break
            if isinstance(received, ClusterError):
                if events:
                    self._received.put(received)  # what came before it is given first
                    break
                raise received
            if received is not None:
                self._given[received.kind] = received.version
                events += [received.event] if received.event is not None else []
        return events

    @property
    def version(self) -> str:
        return earliest(self._given.values())

    def close(self) -> None:
        self._closed.set()
        self._received.put(None)
        with self._lock:
            for response in self._open.values():
                _end_stream(response)

    def _follow(self, kind: str, path: str) -> None:
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not self._closed.is_set():
            begun = time.monotonic()
            try:
                self._read(kind, path)
            except NotFound:
                self._closed.wait(NOT_SERVED)
                continue
            except (urllib3.exceptions.HTTPError, OSError, ValueError, Unavailable):
                pass  # nothing is lost: the next stream begins where this one broke
            except ClusterError as error:
                self._received.put(error)
                return
            except Exception as error:  # of a change that is none: whoever watches lists again
                self._received.put(ClusterError(f"a change of {kind} cannot be read ({described_error(error)})"))
                return
            if time.monotonic() - begun > LASTED:
                pauses.reset()
            self._closed.wait(next(pauses))

    def _read(self, kind: str, path: str) -> None:
        """One stream to its end."""
        query: dict[str, str | int] = {
            "watch": 1,
            "allowWatchBookmarks": "true",
            "resourceVersion": self._at[kind],
            "timeoutSeconds": max(1, int(self._renewal)),
        }
        if self._labels:
            query["labelSelector"] = self._labels
        response = self._api.stream(path, query, silence=self._silence)
        with self._lock:
            self._open[kind] = response
            if self._closed.is_set():
                _end_stream(response)
        try:
            for line in response:
                if line.strip():
                    self._receive(kind, json.loads(line))
        finally:
            with self._lock:
                del self._open[kind]
            response.close()

    def _receive(self, kind: str, change: dict[str, Any]) -> None:
        resource, type = change["object"], change["type"]
        if type == "ERROR":
            raise error_of_status(resource)
        version, event = str(resource["metadata"]["resourceVersion"]), None
        if type != "BOOKMARK":
            resource["metadata"].pop("managedFields", None)
            resource["kind"] = kind
            event = WatchEvent(EventType(type), resource)
        self._received.put(_StreamEvent(kind, version, event))
        self._at[kind] = version


def _end_stream(response: urllib3.BaseHTTPResponse) -> None:
    """End a stream that another thread reads."""
    with suppress(ValueError, OSError, RuntimeError):  # it has ended by itself just now, or is in the pool again
        response.shutdown()
