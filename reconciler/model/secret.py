"""References to secrets, and the only place that reads their values.

A manifest names where a secret is (``passwordFrom``); plans, files, logs and journals carry that name. The
value is read when its step is sent, and nothing but a keyed digest of it stays behind: enough to see that it
was changed, not enough to try guesses without the cluster's key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from reconciler.model.problem import Forbidden, ReconcilerError
from reconciler.model.secret_access import SecretAccess
from reconciler.model.user_file import read_user_file, reason_of

SOURCES = ("env", "file", "secretKeyRef")
MAX_SECRET = 64 * 1024  # bytes of a file


class SecretMissing(ReconcilerError):
    """A secret does not exist where the manifest says. The message names the place, never a value."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to a secret. ``digest`` is that of its current value; empty if it could not be read."""

    source: str  # one of SOURCES
    name: str
    key: str = ""
    namespace: str = ""
    digest: str = field(default="", compare=False)

    def __str__(self) -> str:
        key = f", key {self.key}" if self.key else ""
        return f"secret from {'Secret' if self.source == 'secretKeyRef' else self.source} {self.name}{key}"

    def to_json(self) -> dict[str, str]:
        """The place as JSON, without the digest."""
        given = {"source": self.source, "name": self.name, "key": self.key, "namespace": self.namespace}
        return {name: value for name, value in given.items() if value}


def secret_from(value: Mapping[str, Any], namespace: str) -> Secret:
    """The secret that a valid ``...From`` of a manifest names."""
    ((source, name),) = value.items()
    if source == "secretKeyRef":
        return Secret(source, name["name"], name["key"], namespace)
    return Secret(source, name)


class SecretStore(Protocol):
    """Secrets that are kept in a cluster."""

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a Kubernetes Secret (base64); None if there is none."""

    def digest_key(self) -> bytes:
        """A random key of this cluster, made when first asked for, kept where secrets may be."""


class Vault:
    """Reads secrets, those that ``access`` allows if it is given. ``environment`` stands for the process's in tests.

    One that is ``kept`` reads each secret once, for a run that must note the digest of what it has sent.
    """

    def __init__(
        self,
        store: SecretStore,
        environment: Mapping[str, str] | None = None,
        access: SecretAccess | None = None,
        *,
        kept: bool = False,
    ) -> None:
        self._store, self._access = store, access
        self._read: dict[Secret, str] | None = {} if kept else None
        self._environment = os.environ if environment is None else environment

    def read(self, secret: Secret) -> str:
        """The value, without the newline an editor leaves at its end. Raises ``SecretMissing``."""
        if self._read is None:
            return self._value(secret)
        if secret not in self._read:
            self._read[secret] = self._value(secret)
        return self._read[secret]

    def _value(self, secret: Secret) -> str:
        refused = self._access and self._access.refusal(secret.source, secret.name, resolved=True)
        if refused:
            raise SecretMissing(" ".join((f"{refused[0]}.", refused[1])))
        match secret.source:
            case "env":
                value = self._environment.get(secret.name)
                missing = f"the environment variable {secret.name} is not set"
            case "file":
                value, missing = _file(secret.name)
            case _:
                value, missing = self._from_cluster(secret)
        if value is None:
            raise SecretMissing(missing)
        value = value.removesuffix("\n").removesuffix("\r")
        if not value:
            raise SecretMissing(f"{secret} is empty")
        return value

    def digest(self, secret: Secret) -> str:
        """The keyed digest of the value. Raises ``SecretMissing``."""
        return hmac.new(self._store.digest_key(), self.read(secret).encode(), hashlib.sha256).hexdigest()

    def seal(self, value: Any) -> Any:
        """The value with the digest of every secret in it, as far as they can be read."""
        if isinstance(value, Secret):
            try:
                return replace(value, digest=self.digest(value))
            except (SecretMissing, Forbidden):  # planning must work without permission to read secrets
                return value
        if isinstance(value, dict):
            return {key: self.seal(each) for key, each in value.items()}
        return value

    def _from_cluster(self, secret: Secret) -> tuple[str | None, str]:
        data = self._store.secret(secret.namespace, secret.name)
        if data is None:
            return None, f"there is no Secret {secret.namespace}/{secret.name} on the cluster"
        encoded = data.get(secret.key)
        if encoded is None:
            return None, f"the Secret {secret.namespace}/{secret.name} has no key {secret.key}"
        try:
            return base64.b64decode(encoded, validate=True).decode(), ""
        except (binascii.Error, UnicodeDecodeError):
            return None, f"key {secret.key} of the Secret {secret.namespace}/{secret.name} is not base64 of UTF-8"


def _file(path: str) -> tuple[str | None, str]:
    try:
        return read_user_file(path, MAX_SECRET).decode(), ""
    except OSError as error:
        return None, f"the file {path} cannot be read: {reason_of(error)}"
    except UnicodeDecodeError:
        return None, f"the file {path} is not UTF-8"
