"""A proxy between a client and the API server that does what networks and busy servers do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3
import yaml

from support.control_plane import LOOPBACK, ControlPlane


@dataclass(frozen=True)
class Fault:
    """What happens to one request. Without ``status`` the connection is cut, after it was carried out or not."""

    status: int = 0
    retry_after: str = ""
    carried_out: bool = False


@dataclass(frozen=True)
class Asked:
    method: str
    path: str  # with its query


class Proxy:
    """Forwards to the API server as its administrator. ``faults`` are asked in turn until one says something."""

    def __init__(self, plane: ControlPlane, home: Path) -> None:
        self.plane = plane
        self.asked: list[Asked] = []
        self.faults: list[Callable[[Asked], Fault | None]] = []
        self.delay = 0.0
        self.deaf = threading.Event()  # streams that are open say nothing more, and do not end
        self.streams: list[socket.socket] = []
        self.pool = urllib3.PoolManager(
            maxsize=64,
            ca_certs=str(plane.home / "ca.crt"),
            cert_file=str(plane.home / "admin.crt"),
            key_file=str(plane.home / "admin.key"),
        )
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(OSError):
                    super().handle_one_request()

            def _forward(self) -> None:
                proxy.forward(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{LOOPBACK}:{self.server.server_port}"
        self.kubeconfig = home / "proxy.kubeconfig"
        config = yaml.safe_load(plane.kubeconfig.read_text())
        config["clusters"][0]["cluster"] = {"server": self.url}
        config["users"][0]["user"] = {}
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def forward(self, request: BaseHTTPRequestHandler) -> None:
        asked = Asked(request.command, request.path)
        self.asked.append(asked)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.delay:
            threading.Event().wait(self.delay)
        fault = next((fault for say in self.faults if (fault := say(asked))), None)
        if fault and fault.status:
            self._refuse(request, fault)
            return
        if fault and not fault.carried_out:
            _cut(request.connection)
            return
        headers = {name: value for name, value in request.headers.items() if name in ("Accept", "Content-Type")}
        answer = self.pool.request(
            request.command, self.plane.url + request.path, body=body or None, headers=headers,
            preload_content=False, retries=False,
        )  # fmt: skip
        if fault:
            if "watch=1" not in request.path:
                answer.read()
            _cut(request.connection)
        elif "watch=1" in request.path:
            self._stream(request, answer)
        else:
            data = answer.read()
            request.send_response(answer.status)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)
        answer.close()

    def _refuse(self, request: BaseHTTPRequestHandler, fault: Fault) -> None:
        request.send_response(fault.status)
        if fault.retry_after:
            request.send_header("Retry-After", fault.retry_after)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _stream(self, request: BaseHTTPRequestHandler, answer: urllib3.BaseHTTPResponse) -> None:
        deaf = self.deaf
        self.streams.append(request.connection)
        request.send_response(answer.status)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.flush()
        for chunk in answer.stream():
            if deaf.is_set():
                continue
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if deaf.is_set():
            threading.Event().wait()  # the other side is gone without a word
        request.wfile.write(b"0\r\n\r\n")

    def cut_streams(self) -> None:
        while self.streams:
            _cut(self.streams.pop())

    def deafen_streams(self) -> None:
        """Those that are open; the ones that are opened from now on work."""
        self.deaf.set()
        self.deaf = threading.Event()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def times(count: int, fault: Fault, when: Callable[[Asked], bool]) -> Callable[[Asked], Fault | None]:
    """The fault for the first ``count`` requests of which ``when`` says so."""
    left = [count]

    def say(asked: Asked) -> Fault | None:
        if left[0] and when(asked):
            left[0] -= 1
            return fault
        return None

    return say


@contextmanager
def proxied(plane: ControlPlane, home: Path) -> Iterator[Proxy]:
    proxy = Proxy(plane, home)
    thread = threading.Thread(target=proxy.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.cut_streams()
        proxy.server.shutdown()
        proxy.server.server_close()
