"""A read-only HTTP server for a table of pages: it answers GET and HEAD, and takes no input but the query.

Everybody who can reach the address may read the pages: it is meant for the machine itself, a probe, or a proxy that
authenticates. On a loopback address, a request must also name a loopback host: otherwise a web site that is opened in
a browser on this machine could read the pages under a name of its own that resolves to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import gzip
import ipaddress
import logging
import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from reconciler.model.problem import ReconcilerError
from reconciler.output.escaping import page

log = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"
TIMEOUT = 10  # seconds: a client that sends nothing occupies a thread
_WORTH_PACKING = 16_384  # bytes of an answer
_ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # pages show the present
}


class PageResponse(NamedTuple):
    """The response of a page; ``headers`` replace the usual ones of the same name."""

    body: str | bytes
    type: str = TEXT
    code: int = 200
    headers: Mapping[str, str] = {}


Query = Mapping[str, str]  # of the address: /status?resources=all
Page = Callable[[Query], PageResponse]


def verdict(reasons: Sequence[str], remarks: Sequence[str] = ()) -> PageResponse:
    """200 and a line for each remark, or 503 with a line for each reason."""
    lines = reasons or ["ok", *remarks]
    return PageResponse(page(lines), code=503 if reasons else 200)


@contextmanager
def serve(listen: str, pages: Mapping[str, Page]) -> Iterator[str]:
    """Serve pages at ``HOST:PORT`` (port 0: any free one) during the block; yields the address. Empty: not at all.

    Raises ``ReconcilerError`` when it cannot listen there.
    """
    if not listen:
        yield ""
        return
    server = _bound(listen, pages)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="server", daemon=True)
    thread.start()
    try:
        host, port = server.server_name, server.server_port
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bound(listen: str, pages: Mapping[str, Page]) -> _Server:
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ReconcilerError(f"--listen {listen} is not HOST:PORT, such as 0.0.0.0:9465.")
    try:
        return _Server((host.strip("[]"), int(port)), pages)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ReconcilerError(f"--listen {listen}: {reason}; choose another port, or '' for none.") from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], pages: Mapping[str, Page]) -> None:
        self.pages = pages
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Request)

    def server_bind(self) -> None:
        """Bind without a lookup of this host's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a page that fails, without what it read; a client that disconnects is not logged."""
        error = sys.exception()
        if error is None or isinstance(error, ConnectionError | TimeoutError):
            return
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("a page failed: unexpected %s\n%s", type(error).__name__, where)

    def accepts(self, hosts: Sequence[str]) -> bool:
        """Whether a request with these Host headers may be answered."""
        if not _is_loopback(self.server_name):
            return True
        return len(hosts) == 1 and _is_loopback(_name_of(hosts[0]))


def _name_of(host: str) -> str:
    """The name in a Host header: ``localhost`` of ``localhost:9467``; empty if it is not valid."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


class _Request(BaseHTTPRequestHandler):
    timeout = TIMEOUT
    server: _Server
    server_version, sys_version = "reconcile", ""  # the version is not shown
    error_content_type, error_message_format = TEXT, "%(code)d %(message)s\n"

    def do_GET(self) -> None:
        """Answer a request; also for HEAD."""
        self._send(self._answer())

    do_HEAD = do_GET

    def __getattr__(self, name: str) -> Any:
        """The library calls ``do_METHOD`` for whatever a client sends: refuse all but those above."""
        if name.startswith("do_"):
            return lambda: self._send(PageResponse("only GET and HEAD\n", code=405, headers={"Allow": "GET, HEAD"}))
        raise AttributeError(name)

    def _answer(self) -> PageResponse:
        if not self.server.accepts(self.headers.get_all("Host") or ()):
            return PageResponse("use localhost or 127.0.0.1: this host name is not served\n", code=421)
        path, _, query = self.path.partition("?")
        page = self.server.pages.get(path)
        if page is None:
            return PageResponse(f"not found; there are: {' '.join(self.server.pages)}\n", code=404)
        return page(dict(parse_qsl(query, keep_blank_values=True)))

    def _send(self, answer: PageResponse) -> None:
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        headers = {**_ALWAYS, "Content-Type": answer.type, **answer.headers}
        if len(body) >= _WORTH_PACKING and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 1, mtime=0)
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        self.send_response(answer.code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *given: object) -> None:
        """Requests are not logged: probes come every few seconds."""
