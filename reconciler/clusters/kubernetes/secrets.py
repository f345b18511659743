"""Secrets of a Kubernetes API, and the one that keeps the key of digests."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from secrets import token_bytes
from urllib.parse import quote

from reconciler.clusters.kubernetes.api import Api
from reconciler.clusters.kubernetes.errors import Unconfirmed
from reconciler.model.problem import AlreadyExists, NotFound

DIGEST_KEY = "reconcile-digest-key"


class KubernetesSecrets:
    """A ``SecretStore``. ``namespace`` is that of the key."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._digest_key = b""

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        try:
            data: Mapping[str, str] = self._api.get(_path(namespace, name)).get("data") or {}
        except NotFound:
            return None
        return data

    def digest_key(self) -> bytes:
        while not self._digest_key:
            stored = self.secret(self._namespace, DIGEST_KEY)
            if stored is None:
                self._create_digest_key()
            else:
                self._digest_key = base64.b64decode(stored["key"])
        return self._digest_key

    def _create_digest_key(self) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": DIGEST_KEY},
            "data": {"key": base64.b64encode(token_bytes(32)).decode()},
        }
        with suppress(AlreadyExists, Unconfirmed):  # there is one by now, perhaps this one: it is read next
            self._api.write("POST", _path(self._namespace), body)


def _path(namespace: str, name: str = "") -> str:
    folder = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    return f"{folder}/{quote(name, safe='')}" if name else folder
