"""Leases on Kubernetes: ``coordination.k8s.io/v1``, renewed while they are held, free when they no longer are."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from reconciler.clusters.kubernetes.api import Api
from reconciler.model.problem import AlreadyExists, Busy, ClusterError, Conflict, NotFound, Unavailable
from reconciler.model.wire import ANNOTATION_ANNOUNCEMENT

DURATION = 15  # seconds without renewal after which a lease is free
RENEWAL = 2.0  # seconds between renewals
RETRY = 1.0  # seconds until a renewal that failed is tried again
ANSWER = 5.0  # seconds that the answer to one request about a lease is waited for
SAFE = 10.0  # seconds since the last renewal during which nobody else can have the lease
POLL_INTERVAL = 0.5  # seconds between attempts at a lease that another has
LOOK = 5.0  # seconds that one look at the lease of another may add to the time that it was not renewed

PAGE = 500  # leases a request

Now = Callable[[], datetime]


class KubernetesLease:
    """A ``Lease``, renewed by a thread of its own; ``KubernetesLeases.lease`` gives one."""

    def __init__(
        self,
        api: Api,
        path: str,
        stored: dict[str, Any],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Now = lambda: datetime.now(UTC),
    ) -> None:
        self._api, self._path, self._stored = api, path, stored
        self._monotonic, self._now = monotonic, now
        self._renewed = monotonic()
        self._taken = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        return self._taken

    @property
    def unsure(self) -> bool:
        return self._monotonic() - self._renewed > SAFE

    def __enter__(self) -> KubernetesLease:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        if not self._taken:
            with suppress(ClusterError):  # it is free soon without our saying so
                self._write({"holderIdentity": ""})

    def _keep(self) -> None:
        pause = RENEWAL
        while not self._stop.wait(pause) and not self._taken:
            pause = RENEWAL if self.renew() else RETRY  # if the API is away ``unsure`` says for how long that may be

    def renew(self) -> bool:
        """Renew it once; False if that failed, or somebody else has it."""
        begun = self._monotonic()
        try:
            self._write({"renewTime": _time(self._now())})
        except (Conflict, NotFound):
            self._taken = True
        except ClusterError:
            return False
        else:
            self._renewed = begun
        return not self._taken

    def _write(self, spec: dict[str, Any]) -> None:
        body = {**self._stored, "spec": {**self._stored["spec"], **spec}}
        try:
            self._stored = self._api.write("PUT", self._path, body, patience=RETRY, timeout=ANSWER)
        except (Unavailable, Conflict):
            current = _get(self._api, self._path, RETRY)  # what was not answered may have been stored
            if current is None:
                raise NotFound("the lease was deleted") from None
            if current["spec"].get("holderIdentity") != body["spec"]["holderIdentity"]:
                raise Conflict("another holder has taken the lease") from None
            self._stored = current
            if current["spec"] != body["spec"]:
                raise Unavailable("the lease could not be renewed") from None


class KubernetesLeases:
    """A ``LeaseStore``: the leases in one namespace, and for how long those of others have not been renewed.

    That is measured here: the clocks of others are not trusted. Only time in which the API answered counts: while it is
    away nobody can renew, and the holder of a lease has first turn when it is back.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Now = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._monotonic, self._sleep, self._now = monotonic, sleep, now
        self._seen: dict[str, _Look] = {}  # the last look at the lease of each name

    def lease_annotations(self, prefix: str) -> list[str]:
        """What is written on the leases that have a holder, of those whose name begins with ``prefix``.

        A holder that died counts until another takes its lease. Raises ``Forbidden``.
        """
        query: dict[str, str | int] = {"limit": PAGE}
        found: list[str] = []
        while True:
            page = self._api.get(self._folder, query)
            for item in page["items"]:
                text = (item["metadata"].get("annotations") or {}).get(ANNOTATION_ANNOUNCEMENT)
                held = (item.get("spec") or {}).get("holderIdentity")
                if text and held and item["metadata"]["name"].startswith(_name(prefix)):
                    found.append(text)
            if not (more := page["metadata"].get("continue")):
                return found
            query["continue"] = more

    def lease(self, name: str, holder: str, *, wait: float = 0.0, annotation: str = "") -> KubernetesLease:
        """The lease of a name, when it is free or its holder has not renewed it for its duration.

        Raises ``Busy`` when that takes longer than ``wait`` seconds.
        """
        path = f"{self._folder}/{_name(name)}"
        identity = f"{holder} {uuid4().hex[:8]}"
        end = self._monotonic() + wait
        while True:
            stored = _get(self._api, path)
            spec = (stored or {}).get("spec") or {}
            theirs = str(spec.get("holderIdentity") or "")
            if not theirs or theirs == identity or self._expired(name, stored, spec):
                lease = _lease(name, identity, spec, stored, self._now(), annotation)
                # Somebody may have been faster, or an answer may be lost: then look again.
                with suppress(Conflict, AlreadyExists, NotFound, Unavailable):
                    stored = self._api.write(
                        "PUT" if stored else "POST", path if stored else self._folder, lease, timeout=ANSWER
                    )
                    return KubernetesLease(self._api, path, stored, monotonic=self._monotonic, now=self._now)
            elif self._monotonic() >= end:
                who = theirs.rpartition(" ")[0] or theirs
                raise Busy(f"{name} is in use by {who}, last renewed {spec.get('renewTime')}", who)
            self._sleep(min(POLL_INTERVAL, max(0.05, end - self._monotonic())))

    def look(self, name: str) -> None:
        stored = _get(self._api, f"{self._folder}/{_name(name)}", RETRY)
        self._expired(name, stored, (stored or {}).get("spec") or {})

    def _expired(self, name: str, stored: dict[str, Any] | None, spec: dict[str, Any]) -> bool:
        version = stored["metadata"]["resourceVersion"] if stored else ""
        look = self._seen[name] = _look(self._seen.get(name), version, self._monotonic())
        return look.unrenewed > float(spec.get("leaseDurationSeconds") or DURATION)


class _Look(NamedTuple):
    """A look at the lease of another."""

    version: str  # of the lease
    at: float  # on the monotonic clock
    unrenewed: float  # seconds, as far as they count, since it was first seen to be that version


def _look(before: _Look | None, version: str, clock: float) -> _Look:
    if before is None or before.version != version:
        return _Look(version, clock, 0.0)
    return _Look(version, clock, before.unrenewed + min(LOOK, clock - before.at))


def _lease(
    name: str, identity: str, spec: dict[str, Any], stored: dict[str, Any] | None, now: datetime, annotation: str
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": _name(name)}
    if annotation:
        metadata["annotations"] = {ANNOTATION_ANNOUNCEMENT: annotation}
    if stored:
        metadata["resourceVersion"] = stored["metadata"]["resourceVersion"]
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": DURATION,
            "acquireTime": _time(now),
            "renewTime": _time(now),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + bool(stored),
        },
    }


def _get(api: Api, path: str, patience: float | None = None) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = api.get(path, patience=patience, timeout=ANSWER)
    except NotFound:
        return None
    return found


def _name(name: str) -> str:
    return f"reconcile-{re.sub(r'[^a-z0-9.-]', '-', name.lower())}"


def _time(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
