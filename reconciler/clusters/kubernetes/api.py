"""Requests to a Kubernetes API: rate-limited, retried where that is safe, with exceptions of this package.

The official client finds the cluster and its credentials and keeps them fresh; what is sent and received here
is JSON, parsed once. Its typed models would cost more than the whole plan.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client.api_client import ApiClient

from reconciler.clusters.decoding import garbage_collection_paused
from reconciler.clusters.kubernetes.errors import Unconfirmed, error_of_answer, error_of_connection, reason_of
from reconciler.clusters.kubernetes.kubeconfig import load_configuration
from reconciler.clusters.kubernetes.rate_limiter import RateLimiter
from reconciler.model.backoff import Backoff
from reconciler.model.problem import Unavailable

Query = Mapping[str, str | int]
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

CONNECT_TIMEOUT = 10.0  # seconds
ANSWER_TIMEOUT = 60.0  # seconds; the server itself gives up at 60
FIRST_CONTACT = 3.0  # seconds of patience with an API that never answered: an address may just be wrong
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts, doubled each time


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
        self._limiter = RateLimiter(rate, burst, monotonic)
        self._answered = False
        self.requests = 0  # sent so far, attempts included

    def get(
        self,
        path: str,
        query: Query | None = None,
        *,
        accept: str = JSON,
        patience: float | None = None,
        timeout: float = ANSWER_TIMEOUT,
    ) -> Any:
        """The object or list at a path; each answer is waited for ``timeout`` seconds. Raises ``ClusterError``."""
        return self._request("GET", path, query, accept=accept, again=True, patience=patience, timeout=timeout)

    def write(
        self, method: str, path: str, body: Any, *, patience: float | None = None, timeout: float = ANSWER_TIMEOUT
    ) -> Any:
        """Send a write once. Raises ``Unconfirmed`` where it may have been stored all the same."""
        return self._request(method, path, None, body=body, patience=patience, timeout=timeout)

    def patch(self, path: str, body: Any) -> Any:
        """Merge into the object at a path; ``body`` must be such that a second time changes nothing."""
        return self._request("PATCH", path, None, body=body, content=MERGE_PATCH, again=True)

    def silence(self, timeout: float) -> str:
        """Why the API does not answer within so many seconds, asked once; empty if it does, whatever it says."""
        try:
            response = self._send("GET", "/version", None, None, JSON, JSON, timeout)
            response.read()
            response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            return f"{self.host} does not answer: {reason_of(error)}"
        return f"{self.host} answers {response.status}" if response.status >= 500 else ""

    def stream(self, path: str, query: Query, *, silence: float) -> urllib3.BaseHTTPResponse:
        """A streamed response, line by line; reading fails after ``silence`` seconds without a line.

        Raises ``ClusterError`` when it cannot be opened now; it is not tried again.
        """
        try:
            response = self._send("GET", path, query, None, JSON, JSON, silence)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self.host} does not answer: {reason_of(error)}") from error
        if response.status >= 400:
            raise error_of_answer(response.status, response.read(), path)
        return response

    @property
    def host(self) -> str:
        """The address of the API server."""
        return str(self._configuration.host)

    def close(self) -> None:
        """Close its connections."""
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
        timeout: float = ANSWER_TIMEOUT,
    ) -> Any:
        begun = self._monotonic()
        patience = self._patience if patience is None else patience
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE, random=random.random)
        while True:
            wait = 0.0
            try:
                response = self._send(method, path, query, body, content, accept, timeout)
                status, data = response.status, response.read()
                response.release_conn()
                self._answered = True
            except urllib3.exceptions.HTTPError as error:
                failure = error_of_connection(error, self.host, again)
            else:
                if status < 400:
                    return _parsed(data)
                failure = error_of_answer(status, data, path)
                if status >= 500 and not again:
                    failure = Unconfirmed(str(failure))
                wait = _seconds(response.headers.get("Retry-After"))
            if not isinstance(failure, Unavailable) or isinstance(failure, Unconfirmed):
                raise failure
            wait = max(wait, next(pauses))
            if self._monotonic() + wait > begun + (patience if self._answered else min(patience, FIRST_CONTACT)):
                raise failure
            self._sleep(wait)

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
        self._sleep_until_allowed()
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
            timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout),
            preload_content=False,
            retries=False,
        )

    def _sleep_until_allowed(self) -> None:
        wait = self._limiter.wait()
        if wait > 0:
            self._sleep(wait)


def open_api(*, kubeconfig: str = "", context: str = "") -> Api:
    """The API of ``load_configuration``; nothing is sent yet. Raises as that does."""
    return Api(ApiClient(load_configuration(kubeconfig=kubeconfig, context=context)))


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0


def _parsed(data: bytes) -> Any:
    with garbage_collection_paused():
        return json.loads(data) if data else None
