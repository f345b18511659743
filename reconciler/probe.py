"""What a daemon shows over HTTP: ``/healthz``, ``/readyz`` and ``/metrics``, and the metrics of an agent."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from reconciler.agent import Hooks
from reconciler.problem import ReconcilerError

DURATIONS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)  # seconds: a plug is quick, a copy is not


class AgentMetrics(Hooks):
    """What an agent does, counted. Keys that are no operation count as ``unknown``: clients write anything."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.ends = Counter(
            "reconcile_agent_operations",
            "Operations that ended.",
            ("kind", "operation", "outcome"),
            registry=registry,
        )
        self.durations = Histogram(
            "reconcile_agent_operation_seconds",
            "From claim to the written outcome.",
            ("kind", "operation"),
            registry=registry,
            buckets=DURATIONS,
        )
        self.under_way = Gauge("reconcile_agent_operations_under_way", "Operations claimed.", registry=registry)
        self.recoveries = Counter(
            "reconcile_agent_recovered_claims",
            "Operations an agent that died had claimed.",
            ("kind", "operation"),
            registry=registry,
        )
        self.restarts = Counter("reconcile_agent_watch_restarts", "Watches begun anew.", registry=registry)
        self.turned = Gauge(
            "reconcile_agent_seconds_since_turn", "Since the watch loop last went round.", registry=registry
        )

    def claimed(self, kind: str, operation: str) -> None:
        self.under_way.inc()

    def ended(self, kind: str, operation: str, outcome: str, seconds: float) -> None:
        self.under_way.dec()
        self.ends.labels(kind, operation, outcome).inc()
        self.durations.labels(kind, operation).observe(seconds)

    def recovered(self, kind: str, operation: str) -> None:
        self.recoveries.labels(kind, operation).inc()

    def restarted(self) -> None:
        self.restarts.inc()


@contextmanager
def probe(
    listen: str, *, healthy: Callable[[], bool], ready: Callable[[], bool], registry: CollectorRegistry
) -> Iterator[str]:
    """Answer at ``HOST:PORT`` (port 0: any) for as long as the block runs; yields where. Empty: no answers.

    Raises ``ReconcilerError`` when it cannot listen there.
    """
    if not listen:
        yield ""
        return
    pages: dict[str, Callable[[], tuple[int, str, bytes]]] = {
        "/healthz": lambda: _verdict(healthy()),
        "/readyz": lambda: _verdict(ready()),
        "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
    }

    class Page(BaseHTTPRequestHandler):
        timeout = 10  # a client that says nothing holds a thread

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            code, type, body = page() if page is not None else (404, "text/plain", b"not found\n")
            self.send_response(code)
            self.send_header("Content-Type", type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *given: object) -> None:
            """Probes come every few seconds: nobody wants to read of each."""

    server = _bound(listen, Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="probe", daemon=True)
    thread.start()
    try:
        host, port = server.server_address[:2]
        yield f"{host if isinstance(host, str) else host.decode()}:{port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bound(listen: str, page: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ReconcilerError(f"--listen {listen} is not HOST:PORT, such as 0.0.0.0:9465.")
    try:
        return _Server((host.strip("[]"), int(port)), page)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ReconcilerError(f"--listen {listen}: {reason}; choose another port, or '' for none.") from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], page: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, page)

    def server_bind(self) -> None:
        """Without asking the name service what this host is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


def _verdict(good: bool) -> tuple[int, str, bytes]:
    return (200, "text/plain", b"ok\n") if good else (503, "text/plain", b"not now\n")
