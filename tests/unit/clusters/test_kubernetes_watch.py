"""A watch on a Kubernetes API, without one: what its streams may do when it is closed, and what they may say."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
import urllib3

from reconciler.clusters.kubernetes.api import Api
from reconciler.clusters.kubernetes.watch import KubernetesWatch
from reconciler.model.problem import ClusterError


class Streams:
    """Stands for the API: one stream with these lines, which then stays open until it is shut down."""

    def __init__(self, *lines: object, ended: BaseException | None = None) -> None:
        self.lines, self.ended, self.shut, self.reading = lines, ended, threading.Event(), threading.Event()

    def stream(self, path: str, query: Mapping[str, object], *, silence: float) -> urllib3.BaseHTTPResponse:
        return cast(urllib3.BaseHTTPResponse, self)

    def __iter__(self) -> Iterator[bytes]:
        yield from (json.dumps(line).encode() for line in self.lines)
        self.reading.set()
        self.shut.wait(10)

    def shutdown(self) -> None:
        self.shut.set()
        if self.ended is not None:
            raise self.ended

    def close(self) -> None:
        pass


def watch(streams: Streams) -> KubernetesWatch:
    return KubernetesWatch(cast(Api, streams), {"VirtualMachine": "/vms"}, {"VirtualMachine": "1"}, None)


def released() -> urllib3.HTTPResponse:
    """A response whose connection is in the pool again: it was read to its end by another thread just now."""
    return urllib3.HTTPResponse(b"", sock_shutdown=lambda how: None)


def test_the_library_refuses_to_end_a_stream_that_has_ended() -> None:
    with pytest.raises(RuntimeError, match="already been released"):
        released().shutdown()


@pytest.mark.parametrize("error", [RuntimeError("already been released"), ValueError(), OSError(), TimeoutError()])
def test_closing_a_watch_whose_stream_ends_at_that_moment_raises_nothing(error: Exception) -> None:
    streams = Streams(ended=error)
    watched = watch(streams)
    assert streams.reading.wait(10)
    watched.close()
    assert streams.shut.is_set()


@pytest.mark.parametrize("line", [{}, [], 5, {"type": "ADDED", "object": None}, {"type": "NEW", "object": {}}])
def test_a_change_that_is_none_ends_the_watch_with_an_error(line: Any) -> None:
    """A thread that died of it would leave a watch that never tells anything again."""
    watched = watch(Streams(line))
    try:
        with pytest.raises(ClusterError, match="a change of VirtualMachine cannot be read"):
            watched.next(10)
    finally:
        watched.close()
