"""Error responses and lost connections of a Kubernetes API -> exceptions of this package. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import urllib3

from reconciler.model.problem import AlreadyExists, ClusterError, Conflict, Expired, Forbidden, NotFound, Unavailable


class Unconfirmed(Unavailable):
    """A write was sent and not answered: it may have been stored."""


_BY_REASON: dict[str, type[ClusterError]] = {"AlreadyExists": AlreadyExists, "Expired": Expired, "Gone": Expired}
_BY_STATUS: dict[int, type[ClusterError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    429: Unavailable,
}


def error_of_answer(status: int, data: bytes, path: str) -> ClusterError:
    """The exception for a response with status 400 or higher."""
    try:
        answer = json.loads(data)
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    return error_of_status({"code": status, **answer}, path)


def error_of_status(status: Mapping[str, Any], path: str = "") -> ClusterError:
    """The exception for a ``Status`` object of the API."""
    code = status.get("code")
    code = code if isinstance(code, int) else 500
    message = str(status.get("message") or f"answer {code} to {path}")
    if code == 401:
        message = f"the API does not accept the credentials ({message})"
    kind = _BY_REASON.get(str(status.get("reason"))) or _BY_STATUS.get(code)
    return (kind or (Unavailable if code >= 500 else ClusterError))(message)


def error_of_connection(error: urllib3.exceptions.HTTPError, host: str, again: bool) -> ClusterError:
    """The exception for a request without a response; ``again``: whether it is safe to repeat."""
    never_sent = isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
    if isinstance(error, urllib3.exceptions.SSLError):
        return ClusterError(f"{host} cannot be trusted: {reason_of(error)}")
    message = f"{host} does not answer: {reason_of(error)}"
    return Unavailable(message) if never_sent or again else Unconfirmed(message)


def reason_of(error: BaseException) -> str:
    """The innermost cause, without the names of connection objects around it."""
    while error.__cause__ is not None or (error.args and isinstance(error.args[-1], BaseException)):
        error = error.__cause__ or error.args[-1]
    return str(error).rpartition(">: ")[2] or type(error).__name__
