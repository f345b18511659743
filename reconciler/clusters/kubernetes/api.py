"""One Kubernetes API as requests and answers: paced, tried again where that is safe, errors as ours.

The official client finds the cluster and its credentials and keeps them fresh; what is sent and received here
is JSON, parsed once. Its typed models would cost more than the whole plan.
"""

from __future__ import annotations

import gc
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import load_incluster_config
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger, load_kube_config

from reconciler.model.problem import AlreadyExists, ClusterError, Conflict, Expired, Forbidden, NotFound, Unavailable

Query = Mapping[str, str | int]
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

CONNECT_TIMEOUT = 10.0  # seconds
ANSWER_TIMEOUT = 60.0  # seconds; the server itself gives up at 60
FIRST_CONTACT = 3.0  # seconds of patience with an API that never answered: an address may just be wrong
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts, doubled each time


class Unconfirmed(Unavailable):
    """A write was sent and not answered: it may have been stored."""


class Api:
    """Sends requests to one API server, ``rate`` a second on the long run and ``burst`` at once.

    What may be tried again is tried for ``patience`` seconds: answers of 429 and connections that were refused
    always; lost connections and answers of 5xx only where a second time does no harm.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        rate: float = 100.0,
        burst: int = 200,
        patience: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._configuration = client.configuration
        self._pool: urllib3.PoolManager = client.rest_client.pool_manager
        self._patience = patience
        self._monotonic, self._sleep = monotonic, sleep
        self._pace = _RateLimiter(rate, burst, monotonic)
        self._answered = False
        self.requests = 0  # sent so far, attempts included

    def get(self, path: str, query: Query | None = None, *, accept: str = JSON) -> Any:
        """The object or list at a path. Raises ``ClusterError``."""
        return self._request("GET", path, query, accept=accept, again=True)

    def write(self, method: str, path: str, body: Any, *, patience: float | None = None) -> Any:
        """Send a write once. Raises ``Unconfirmed`` where it may have been stored all the same."""
        return self._request(method, path, None, body=body, patience=patience)

    def patch(self, path: str, body: Any) -> Any:
        """Merge into the object at a path; ``body`` must be such that a second time changes nothing."""
        return self._request("PATCH", path, None, body=body, content=MERGE_PATCH, again=True)

    def stream(self, path: str, query: Query, *, silence: float) -> urllib3.BaseHTTPResponse:
        """A response whose lines come when they come; reading fails after ``silence`` seconds without one.

        Raises ``ClusterError`` when it cannot be opened now; it is not tried again.
        """
        try:
            response = self._send("GET", path, query, None, JSON, JSON, silence)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self.host} does not answer: {_reason(error)}") from error
        if response.status >= 400:
            raise _error(response.status, response.read(), path)
        return response

    @property
    def host(self) -> str:
        return str(self._configuration.host)

    def close(self) -> None:
        self._pool.clear()

    def _request(
        self,
        method: str,
        path: str,
        query: Query | None,
        *,
        body: Any = None,
        content: str = JSON,
        accept: str = JSON,
        again: bool = False,
        patience: float | None = None,
    ) -> Any:
        begun = self._monotonic()
        patience = self._patience if patience is None else patience
        pause = FIRST_PAUSE
        while True:
            wait = 0.0
            try:
                response = self._send(method, path, query, body, content, accept, ANSWER_TIMEOUT)
                status, data = response.status, response.read()
                response.release_conn()
                self._answered = True
            except urllib3.exceptions.HTTPError as error:
                failure = _lost(error, self.host, again)
            else:
                if status < 400:
                    return _parsed(data)
                failure = _error(status, data, path)
                if status >= 500 and not again:
                    failure = Unconfirmed(str(failure))
                wait = _seconds(response.headers.get("Retry-After"))
            if not isinstance(failure, Unavailable) or isinstance(failure, Unconfirmed):
                raise failure
            wait = max(wait, pause * random.uniform(0.5, 1.0))  # so that many clients do not come back together
            if self._monotonic() + wait > begun + (patience if self._answered else min(patience, FIRST_CONTACT)):
                raise failure
            self._sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        content: str,
        accept: str,
        timeout: float,
    ) -> urllib3.BaseHTTPResponse:
        self._sleep_until_paced()
        self.requests += 1
        headers = {"Accept": accept, "User-Agent": "reconcile"}
        data = None
        if body is not None:
            headers["Content-Type"] = content
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        for setting in self._configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        return self._pool.request(
            method,
            f"{self.host}{path}{'?' + urlencode(query) if query else ''}",
            body=data,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=timeout),
            preload_content=False,
            retries=False,
        )

    def _sleep_until_paced(self) -> None:
        wait = self._pace.wait()
        if wait > 0:
            self._sleep(wait)


class _RateLimiter:
    """A bucket of ``burst`` tokens that fills at ``rate`` a second; who finds it empty is told how long to wait."""

    def __init__(self, rate: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._rate, self._burst, self._monotonic = rate, float(burst), monotonic
        self._tokens, self._at = float(burst), monotonic()
        self._lock = threading.Lock()

    def wait(self) -> float:
        with self._lock:
            now = self._monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self._tokens -= 1
            return max(0.0, -self._tokens / self._rate)


def open_api(*, kubeconfig: str = "", context: str = "") -> Api:
    """The API of a kubeconfig's context or, with neither given and no kubeconfig there, of the pod's own cluster.

    Raises ``ClusterError`` when there is none, or it cannot be used.
    """
    configuration = Configuration()
    given = kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION
    files = [path for part in given.split(os.pathsep) if part and (path := Path(part).expanduser()).is_file()]
    try:
        if files or kubeconfig or context:
            if not files:
                raise ClusterError(f"there is no kubeconfig {given}. Name another with --kubeconfig or $KUBECONFIG.")
            if context:
                _require(context, given)
            load_kube_config(kubeconfig or None, context or None, configuration)
        else:
            load_incluster_config(configuration)
    except ClusterError:
        raise
    except ConfigException as error:
        if files:
            raise ClusterError(f"the kubeconfig {given} cannot be used: {error}") from error
        raise ClusterError(
            f"no Kubernetes API is known: there is no kubeconfig {given}, and this is no pod with a service account."
            " Name one with --kubeconfig or $KUBECONFIG."
        ) from error
    except Exception as error:  # the client lets through whatever reading files, YAML and base64 raises
        raise ClusterError(f"the kubeconfig {given} cannot be used: {' '.join(str(error).split())}") from error
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the kubeconfig says so
    configuration.connection_pool_maxsize = 64
    return Api(ApiClient(configuration))


def _require(context: str, given: str) -> None:
    names = [str(each["name"]) for each in KubeConfigMerger(given).config["contexts"].value]
    if context not in names:
        raise ClusterError(f"there is no context {context} in {given}; it has {', '.join(sorted(names)) or 'none'}.")


def _lost(error: urllib3.exceptions.HTTPError, host: str, again: bool) -> ClusterError:
    never_sent = isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
    if isinstance(error, urllib3.exceptions.SSLError):
        return ClusterError(f"{host} cannot be trusted: {_reason(error)}")
    message = f"{host} does not answer: {_reason(error)}"
    return Unavailable(message) if never_sent or again else Unconfirmed(message)


def _reason(error: BaseException) -> str:
    """The innermost cause, without the names of connection objects around it."""
    while error.__cause__ is not None or (error.args and isinstance(error.args[-1], BaseException)):
        error = error.__cause__ or error.args[-1]
    return str(error).rpartition(">: ")[2] or type(error).__name__


_BY_REASON: dict[str, type[ClusterError]] = {"AlreadyExists": AlreadyExists, "Expired": Expired, "Gone": Expired}
_BY_STATUS: dict[int, type[ClusterError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    429: Unavailable,
}


def _error(status: int, data: bytes, path: str) -> ClusterError:
    try:
        answer = json.loads(data)
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    return error_of({"code": status, **answer}, path)


def error_of(status: Mapping[str, Any], path: str = "") -> ClusterError:
    """A ``Status`` object of the API as the exception of ours that it means."""
    code = status.get("code")
    code = code if isinstance(code, int) else 500
    message = str(status.get("message") or f"answer {code} to {path}")
    if code == 401:
        message = f"the API does not accept the credentials ({message})"
    kind = _BY_REASON.get(str(status.get("reason"))) or _BY_STATUS.get(code)
    return (kind or (Unavailable if code >= 500 else ClusterError))(message)


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0


def _parsed(data: bytes) -> Any:
    with no_collection():
        return json.loads(data) if data else None


@contextmanager
def no_collection() -> Iterator[None]:
    """What JSON makes has no cycles; looking for some while making it takes longer than making it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
