"""Asks over the network whether the service in a guest answers."""

from __future__ import annotations

import socket
import threading

from reconciler.model.readiness import TCP, Readiness

ANSWER_TIMEOUT = 3.0  # seconds for a connection, and for each part of an answer
MAX_OPEN = 32  # questions at once


class NetworkProber:
    """Asks from where this runs, each question in a thread of its own. None of them keeps the process from ending."""

    def __init__(self) -> None:
        self._answers: dict[Readiness, bool | None] = {}  # None: asked, and not answered yet

    def holds(self, readiness: Readiness) -> bool | None:
        """Whether a service answers; None while that is not known. After an answer, the next call asks again."""
        if self._answers.get(readiness) is not None:
            return self._answers.pop(readiness)
        waiting = sum(answer is None for answer in self._answers.values())
        if readiness not in self._answers and waiting < MAX_OPEN:
            self._answers[readiness] = None
            threading.Thread(target=self._ask, args=(readiness,), name=f"probe {readiness}", daemon=True).start()
        return None

    def _ask(self, readiness: Readiness) -> None:
        self._answers[readiness] = answers(readiness)


def answers(readiness: Readiness) -> bool:
    """Whether a service answers now: it takes a connection and, with HTTP, the status is from 200 to 399."""
    if readiness.scheme == TCP:
        try:
            socket.create_connection((readiness.address, readiness.port), timeout=ANSWER_TIMEOUT).close()
        except (OSError, UnicodeError):  # UnicodeError: what cannot be the name of a host
            return False
        return True
    return 200 <= _status(readiness) < 400


def _status(readiness: Readiness) -> int:
    """The status that a GET is answered with, without following redirects; 0 if there is none.

    A certificate is not checked, as it seldom names an address: nothing is sent that is secret.
    """
    import http.client  # with ssl, it takes longer to import than most runs need it
    import ssl

    address, port = readiness.address, readiness.port
    connection = http.client.HTTPConnection(address, port, timeout=ANSWER_TIMEOUT)
    if readiness.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(address, port, timeout=ANSWER_TIMEOUT, context=context)
    try:
        connection.request("GET", readiness.path, headers={"User-Agent": "reconcile", "Connection": "close"})
        return connection.getresponse().status
    except (OSError, UnicodeError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
