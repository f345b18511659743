"""Where a database answers, and what its server says of it before a copy is kept."""

from __future__ import annotations

import os
import time
from typing import Any

from ovs import jsonrpc, poller
from ovs.stream import Stream

from reconciler.drivers.network.certificates import Certificates
from reconciler.model.problem import Unavailable

METHODS = ("unix:", "tcp:", "ssl:")


def _identify(certificates: Certificates) -> None:
    """Have the connections of this process show who they are, and ask that of servers."""
    certificates.check()
    Stream.ssl_set_private_key_file(certificates.key)
    Stream.ssl_set_certificate_file(certificates.certificate)
    Stream.ssl_set_ca_cert_file(certificates.authority)


def fetch_schema(remote: str, schema: str, name: str, certificates: Certificates, answer: float) -> Any:
    """The schema of a database, from the first of its servers that answers; ``name`` is what messages call it.

    Raises ``Unavailable`` where none does within ``answer`` seconds.
    """
    why = "no server is named"
    for server in filter(None, (each.strip() for each in remote.split(","))):
        if not server.startswith(METHODS):
            raise Unavailable(f"{server} is no database: write unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT")
        if server.startswith("ssl:"):
            _identify(certificates)
        try:
            return _ask(server, schema, time.monotonic() + answer)
        except (OSError, ValueError) as error:
            why = (isinstance(error, OSError) and error.strerror) or str(error)
    raise Unavailable(f"{name} does not answer: {why}")


def _ask(server: str, schema: str, deadline: float) -> Any:
    error, stream = Stream.open(server)
    while not error:
        error = stream.connect()
        if not error:
            break
        if error != 11:
            break
        error = 0
        _wait(stream.connect_wait, deadline)
    if error:
        raise OSError(error, os.strerror(error))
    rpc = jsonrpc.Connection(stream)
    try:
        request = jsonrpc.Message.create_request("get_schema", [schema])
        rpc.send(request)
        while True:
            rpc.run()
            error, message = rpc.recv()
            if message is not None and message.id == request.id:
                if message.error:
                    raise ValueError(f"its server has no database {schema}")
                return message.result
            if message is None and error != 11:
                raise OSError(error, os.strerror(error) if error > 0 else "the server closed the connection")
            if message is None:
                _wait(lambda each: (rpc.wait(each), rpc.recv_wait(each)), deadline)
    finally:
        rpc.close()


def _wait(register: Any, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(0, "it took too long")
    waiting = poller.Poller()
    register(waiting)
    waiting.timer_wait(int(left * 1000) + 1)
    waiting.block()
