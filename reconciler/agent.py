"""The process on a node: picks up operations, runs them through a driver, writes back what it observes.

It speaks the wire format (2 to 4): an operation is one key under ``spec.lifecycle``; claiming it means
putting it under ``spec.claimed`` instead; the outcome is the observed spec, a status and two Events.
Metadata is left alone. Different resources are worked on in parallel, one resource never twice at once.

A claim is there exactly while its operation runs, and goes with the write that tells the outcome. One that
nobody works on is of an agent that died: it is reported, never run again.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from reconciler import catalogue
from reconciler.clusters.base import Cluster, Lease, Movement, Watch, earliest
from reconciler.drivers.base import Driver
from reconciler.kinds import KINDS, MACHINE
from reconciler.problem import (
    AlreadyExists,
    Busy,
    ClusterError,
    Conflict,
    Expired,
    NotFound,
    OperationFailed,
    Unavailable,
)
from reconciler.resource import (
    CLAIM,
    LABEL_EVENT,
    LABEL_EVENT_SDK,
    LABEL_HOST,
    WIRE_API_VERSION,
    Resource,
    ResourceId,
    id_of,
)

REPORTER = "reconcile-agent"
TURN = 1.0  # seconds the loop waits for movements before it looks at anything else
HUNG = 60.0  # seconds the loop may take for one round: it lists all resources of the node at times
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts while the cluster does not answer

# What events.k8s.io/v1 admits, in bytes.
NOTE, FIELD = 1024, 128

Answer = TypeVar("Answer")

_log = logging.getLogger("reconciler.agent")
_log.addHandler(logging.NullHandler())  # in a library, silent unless asked for


class Hooks:
    """What an agent tells others of its doings; deaf unless told. Parameters never come: they may be secret.

    ``operation`` is the lifecycle key, or ``unknown`` for one that is not in the catalogue.
    """

    def claimed(self, kind: str, operation: str) -> None: ...

    def ended(self, kind: str, operation: str, outcome: str, seconds: float) -> None:
        """``outcome``: ``done``, ``failed``, or ``unknown`` when it could not be written back."""

    def recovered(self, kind: str, operation: str) -> None:
        """The claim of an agent that died was found and reported."""

    def restarted(self) -> None:
        """The watch was begun anew."""


class Claim(NamedTuple):
    """One operation this agent took off a resource, and what is wrong with it if it is not even one."""

    id: ResourceId
    resource: Resource
    driver: Driver
    key: str
    parameters: Any
    ignored: tuple[str, ...] = ()
    wrong: str = ""

    @property
    def host(self) -> str:
        return _host(self.resource)

    @property
    def words(self) -> dict[str, str]:
        return _words(self.id, self.key)


class Agent:
    """Serves the nodes for which ``driver_for`` gives a driver.

    With ``node`` it serves what is labelled so and nothing else, once it is the only one to do so, and looks
    at the whole node every ``resync`` seconds. ``held`` gives the right to act on a node while one operation
    runs there; False leaves the operation to whoever has it. ``drain`` is how long, once stopped, it goes on
    trying to write an outcome to a cluster that does not answer.
    """

    def __init__(
        self,
        cluster: Cluster,
        driver_for: Callable[[str], Driver | None],
        *,
        node: str = "",
        holder: str = REPORTER,
        workers: int = 8,
        resync: float = 60.0,
        drain: float = 30.0,
        held: Callable[[str], AbstractContextManager[bool]] = lambda host: nullcontext(True),
        hooks: Hooks | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.cluster = cluster
        self.driver_for = driver_for
        self.node = node.lower()
        self.labels: Mapping[str, str] | None = {LABEL_HOST: self.node} if node else None
        self.holder = holder
        self.workers = workers
        self.resync = resync
        self.drain = drain
        self.held = held
        self.hooks = hooks or Hooks()
        self.now = now
        self.monotonic = monotonic
        self.sleep = sleep
        self.ready = False  # it has the node for itself, and has caught up with the cluster
        self.turned = monotonic()  # when the loop last went round
        self._busy: set[ResourceId] = set()
        self._later: set[ResourceId] = set()  # to look at again at the next turn
        self._passed: set[ResourceId] = set()  # an operation was seen while they were busy
        self._lock = threading.Condition()
        self._stop = threading.Event()
        self._stopped_at = 0.0
        self._crashed: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._watch: Watch | None = None
        self._lease: Lease | None = None

    # Running -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Agent:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self.join()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._guarded, name="agent", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Pick up nothing more; what is under way is finished and written back."""
        self._stopped_at = self.monotonic()
        self._stop.set()
        if self._watch is not None:
            self._watch.close()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it came. Raises what made the agent stop by itself, if anything."""
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
        if self._crashed is not None:
            raise self._crashed
        return True

    @property
    def under_way(self) -> int:
        return len(self._busy)

    @property
    def since_turned(self) -> float:
        """Seconds since the loop last went round: much more than a turn takes means that it hangs."""
        return self.monotonic() - self.turned

    @property
    def healthy(self) -> bool:
        """Whether the loop goes round: it has not crashed, and does not hang."""
        running = self._thread is not None and self._thread.is_alive()
        return running and self._crashed is None and self.since_turned < HUNG

    def _guarded(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self._crashed = error

    def run(self) -> None:
        """Work until stopped, whenever the node is this agent's."""
        while not self._stop.is_set():
            with self._alone() as mine:
                if mine:
                    self._serve_all()
            self.ready = False
            self._lease = None

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Wait to be the only agent of the node; False if the agent was stopped first."""
        if not self.node:
            yield True
            return
        pauses = _pauses()
        while not self._stop.is_set():
            self.turned = self.monotonic()
            try:
                lease = self.cluster.lease(f"agent {self.node}", self.holder, wait=TURN / 2)
            except Busy as busy:
                _log.info("waiting: %s", busy, extra={"node": self.node})
                continue
            except ClusterError as error:
                _log.warning("the cluster does not answer: %s", error)
                self.sleep(next(pauses))
                continue
            with lease:
                self._lease = lease
                _log.info("serving node %s", self.node, extra={"node": self.node})
                yield True
            return
        yield False

    @property
    def _on(self) -> bool:
        return not self._stop.is_set() and not (self._lease is not None and self._lease.lost)

    def _serve_all(self) -> None:
        """What waits already, then whatever the watch shows."""
        pauses = _pauses()
        observer = ThreadPoolExecutor(1, thread_name_prefix="observer")
        with observer, ThreadPoolExecutor(self.workers, thread_name_prefix="operation") as pool:
            while self._on:
                try:
                    since = self._catch_up(pool)
                    self._watch = self.cluster.watch(since=since, kinds=tuple(KINDS), labels=self.labels)
                    self.ready = True
                    pauses = _pauses()
                    self._follow(pool, observer)
                except Expired:
                    self.hooks.restarted()
                except ClusterError as error:
                    self.ready = False
                    self.hooks.restarted()
                    _log.warning("the cluster does not answer: %s", error)
                    self.turned = self.monotonic()
                    self.sleep(next(pauses))
                finally:
                    if self._watch is not None:
                        self._watch.close()
            self.ready = False
            if not self._stop.is_set():
                _log.warning("node %s may be another agent's by now: picking up nothing more", self.node)
            with self._lock:
                while self._busy:
                    self._lock.wait(TURN)
                    self.turned = self.monotonic()

    def _catch_up(self, pool: ThreadPoolExecutor) -> str:
        """Start what already waits; returns the oldest version seen, so that nothing falls between."""
        listings = [self.cluster.list(kind, labels=self.labels) for kind in KINDS]
        self.turned = self.monotonic()
        resources = [resource for listing in listings for resource in listing.items]
        self._recover(resources)
        for resource in resources:
            self._consider(pool, resource)
        return earliest(listing.version for listing in listings)

    def _follow(self, pool: ThreadPoolExecutor, observer: ThreadPoolExecutor) -> None:
        """Take what the watch shows, and now and then look at everything: a notice lost costs no more."""
        assert self._watch is not None
        looked: float | None = None
        looking = None
        while self._on:
            self.turned = self.monotonic()
            if self.node and (looked is None or self.turned - looked >= self.resync):
                if looking is None or looking.done():
                    looking = observer.submit(self._look_around)
                looked = self.turned
            for notice in self._watch.next(TURN):
                if notice.movement is not Movement.DELETED:
                    self._consider(pool, notice.resource)
            with self._lock:
                again, self._later = self._later, set()
            for id in again:
                if self._take(id):
                    pool.submit(self._work, id)

    def _waits(self, resource: Resource) -> bool:
        """Whether there is something to do. A resource being deleted is past that: it takes back what waits."""
        spec = resource.get("spec")
        damaged = spec is not None and not isinstance(spec, dict)
        return (damaged or bool(_spec(resource).get("lifecycle"))) and not _leaving(resource)

    def _consider(self, pool: ThreadPoolExecutor, resource: Resource) -> None:
        if not self._waits(resource):
            return
        id = id_of(resource)
        with self._lock:
            if id in self._busy:
                self._passed.add(id)
                return
            self._busy.add(id)
        pool.submit(self._work, id)

    def _take(self, id: ResourceId) -> bool:
        """Have a resource for oneself in this process, unless somebody has it."""
        with self._lock:
            if id in self._busy:
                return False
            self._busy.add(id)
            return True

    def _give_back(self, id: ResourceId) -> None:
        """Let others have it; an operation that was seen meanwhile is not forgotten."""
        with self._lock:
            self._busy.discard(id)
            if id in self._passed:
                self._passed.discard(id)
                self._postpone(id)
            self._lock.notify_all()

    def _postpone(self, *ids: ResourceId) -> None:
        with self._lock:
            self._later.update(ids)

    def _work(self, id: ResourceId) -> None:
        """Run operations of one resource until none waits; looking again closes the gap to the watch."""
        mine = True
        while mine:
            try:
                while self._on and self.serve(id):
                    pass
            except ClusterError as error:
                _log.warning("%s is left for later: %s", id, error, extra=_words(id))
                self._postpone(id)
            except Exception as error:
                _log_bug(error, _words(id))
            finally:
                self._passed.discard(id)  # it is looked at again here
                self._give_back(id)
            if not self._on or id in self._later:
                return
            try:
                resource = self.cluster.get(id)
            except ClusterError:
                self._postpone(id)
                return
            mine = bool(
                resource is not None
                and self._waits(resource)
                and self.driver_for(_host(resource)) is not None
                and self._take(id)
            )

    # One operation -----------------------------------------------------------------------------------------

    def serve(self, id: ResourceId) -> bool:
        """Claim and carry out the operation that waits on a resource; False if none does."""
        with ExitStack() as stack:
            claim = self._claim(id, stack)
            if claim is None:
                return False
            self._carry_out(claim)
        return True

    def _claim(self, id: ResourceId, stack: ExitStack) -> Claim | None:
        """Take the operation off its resource, and the right to act on its node until ``stack`` is left."""
        asked: Claim | None = None  # put to the cluster; whether it was taken is not known yet
        held = ""
        pauses = _pauses()
        while self._on or asked:
            try:
                resource = self.cluster.get(id)
                if resource is None:
                    return None
                # None was there before, and nobody else makes any: the answer to ours was lost.
                if asked and _spec(resource).get(CLAIM) == shown(asked.key):
                    return asked._replace(resource=resource)
                asked = self._read(id, resource)
                if asked is None:
                    return None
                if held != asked.host or not held:
                    if not stack.enter_context(self.held(asked.host)):
                        self._postpone(id)
                        return None
                    held = asked.host
                if _spec(resource).get(CLAIM):
                    asked = None
                    self._settle(id)
                    continue
                if not self._on:
                    return None
                spec = {key: value for key, value in _spec(resource).items() if key != "lifecycle"}
                spec[CLAIM] = shown(asked.key)
                return asked._replace(resource=self.cluster.update({**resource, "spec": spec}))
            except Conflict:
                continue
            except NotFound:
                return None
            except Unavailable as error:
                self._pause(pauses, error)
        return None

    def _read(self, id: ResourceId, resource: Resource) -> Claim | None:
        """What a resource asks for, if anything, and if its node is ours."""
        driver = self.driver_for(_host(resource)) if self._waits(resource) else None
        if driver is None:
            return None
        if not isinstance(resource["spec"], dict):
            return Claim(id, resource, driver, "spec", None, wrong="spec must be an object")
        lifecycle = resource["spec"]["lifecycle"]
        if not isinstance(lifecycle, dict):
            return Claim(id, resource, driver, "lifecycle", None, wrong="spec.lifecycle must be an object")
        # Of several keys the first one counts, as on the existing back end.
        key, *ignored = sorted(lifecycle)
        return Claim(id, resource, driver, key, lifecycle[key], tuple(ignored))

    def _carry_out(self, claim: Claim) -> None:
        """Run a claimed operation to its end, and tell what came of it until the cluster has taken it."""
        started, begin, words = self.now(), self.monotonic(), claim.words
        self.hooks.claimed(claim.id.kind, words["operation"])
        _log.info("claimed %s of %s", shown(claim.key), claim.id, extra=words)
        self._report(claim.resource, claim.key, "Doing", "Normal", started)
        if claim.ignored:
            _log.warning("%s of %s: one at a time", shown(*claim.ignored), claim.id, extra=words)
            self._report(claim.resource, " ".join(map(shown, claim.ignored)), "Ignored", "Warning", started)
        failure: OperationFailed | None = None
        touched: Collection[ResourceId] = ()
        try:
            touched = self._run(claim)
        except OperationFailed as error:
            failure = error
        except Exception as error:
            failure = _bug(error, claim)
        try:
            failure = self._write(claim, touched, failure)
        except ClusterError as error:
            _log.error("%s of %s: its outcome is not written: %s", claim.key, claim.id, error, extra=words)
            outcome = "unknown"
        else:
            self._report(claim.resource, claim.key, "Done", "Warning" if failure else "Normal", started, insist=True)
            outcome = "failed" if failure else "done"
        seconds = self.monotonic() - begin
        self.hooks.ended(claim.id.kind, words["operation"], outcome, seconds)
        level = logging.WARNING if failure else logging.INFO
        told = {**words, "outcome": outcome, "seconds": round(seconds, 3)}
        _log.log(level, "%s %s of %s after %.3f s", outcome, shown(claim.key), claim.id, seconds, extra=told)

    def _run(self, claim: Claim) -> Collection[ResourceId]:
        if claim.wrong:
            raise OperationFailed("Exception", claim.wrong)
        kind = claim.id.kind
        try:
            operation = catalogue.by_key(kind, claim.key)
        except KeyError:
            raise OperationFailed("Exception", f"{shown(claim.key)} is not an operation of {kind}") from None
        if not isinstance(claim.parameters, dict):
            raise OperationFailed("Exception", f"{operation.name}: the parameters must be an object, {{}} for none")
        wrong = catalogue.check(operation, claim.parameters)
        if wrong:
            raise OperationFailed("Exception", f"{operation.name}: {'; '.join(wrong)}")
        if not claim.driver.supports(kind, operation.name):
            raise OperationFailed("VirtctlError", f"{operation.name} is not supported on this node")
        return claim.driver.run(claim.id, operation.name, claim.parameters)

    # Writing -----------------------------------------------------------------------------------------------

    def _write(
        self, claim: Claim, touched: Iterable[ResourceId], failure: OperationFailed | None
    ) -> OperationFailed | None:
        """Store what the driver observes, the target last: while its claim stands, the outcome is not told."""
        if failure is None:
            try:
                for id in (*(each for each in touched if each != claim.id), claim.id):
                    self._insist(self._store, claim.driver, id, claim.host, id == claim.id)
            except ClusterError:
                raise
            except OperationFailed as error:
                failure = error
            except Exception as error:
                failure = _bug(error, claim)
        if failure is not None:
            self._insist(self._store_failure, claim.id, failure, None)
        return failure

    def _store(self, driver: Driver, id: ResourceId, host: str, outcome: bool = False) -> None:
        """Make a resource show what the driver observes; as the ``outcome`` of its operation, without the claim.

        It is observed after it was read, so that what is written is never older than what it replaces.
        """
        while True:
            current = self.cluster.get(id)
            spec = driver.observe(id)
            try:
                if spec is None:
                    if current is not None:
                        self.cluster.delete(id)
                elif current is not None:
                    observed = {**spec, "status": _status(*_well(id.kind, spec))}
                    self.cluster.update({**current, "spec": {**observed, **_kept(current, outcome)}})
                elif not outcome:  # who deletes the target of an operation meanwhile does not want it back
                    self.cluster.create(_new(id, host, spec))
            except (Conflict, AlreadyExists, NotFound):
                continue
            return

    def _store_failure(self, id: ResourceId, failure: OperationFailed, observed: Mapping[str, Any] | None) -> None:
        """Take the claim off a resource and say why; with ``observed`` also how the thing is."""
        while True:
            current = self.cluster.get(id)
            if current is None:
                return
            spec = {**(observed if observed is not None else _spec(current)), **_kept(current, outcome=True)}
            spec["status"] = _status(failure.kind, str(failure))
            spec.pop(CLAIM, None)
            try:
                self.cluster.update({**current, "spec": spec})
            except Conflict:
                continue
            except NotFound:
                return
            return

    def _report(
        self, resource: Resource, key: str, status: str, type: str, started: datetime, *, insist: bool = False
    ) -> None:
        """Tell by an Event. One that cannot be made must not stop what it tells of."""
        event = self._event(resource, key, status, type, started)
        try:
            if insist:
                self._insist(self.cluster.create, event)
            else:
                self.cluster.create(event)
        except AlreadyExists:
            return  # made by an attempt whose answer was lost
        except ClusterError as error:
            _log.warning("no Event for %s: %s", shown(key), error, extra=_words(id_of(resource), key))

    def _event(self, resource: Resource, key: str, status: str, type: str, started: datetime) -> Resource:
        now = self.now()
        metadata = resource["metadata"]
        labels = metadata.get("labels") or {}
        # Resources written by the older client generation carry the second only.
        event_id = labels.get(LABEL_EVENT) or labels.get(LABEL_EVENT_SDK) or "-1"
        namespace = metadata.get("namespace") or id_of(resource).namespace
        operation = shown(*key.split(" "))
        seconds = (now - started).total_seconds()
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": str(uuid.uuid4()), "namespace": namespace},
            "regarding": {"kind": resource["kind"], "name": metadata["name"], "namespace": namespace},
            "action": operation,
            "reason": operation,
            "type": type,
            "reportingController": REPORTER,
            "reportingInstance": _clip(f"{REPORTER}-{metadata['name']}", FIELD),
            "eventTime": now.isoformat(timespec="microseconds"),
            "note": _clip(
                f"type:{resource['kind']}, name:{metadata['name']}, operation:{operation}, status:{status}, "
                f"reporter:{REPORTER}, eventId:{event_id}, duration:{seconds:.6f}",
                NOTE,
            ),
        }

    def _insist(self, act: Callable[..., Answer], *given: Any) -> Answer:
        """What the cluster answers, however long it takes; once stopped, no longer than ``drain``."""
        pauses = _pauses()
        while True:
            try:
                return act(*given)
            except Unavailable as error:
                self._pause(pauses, error)

    def _pause(self, pauses: Iterator[float], error: Unavailable) -> None:
        """Wait before another attempt; raises ``error`` when there is no time for one."""
        if self._stop.is_set() and self.monotonic() - self._stopped_at >= self.drain:
            raise error
        self.sleep(next(pauses))

    # Looking -----------------------------------------------------------------------------------------------

    def _recover(self, resources: Iterable[Resource]) -> None:
        """Report operations claimed by an agent that died, and look at everything on their nodes anew.

        An operation may have moved resources other than its own.
        """
        claimed = [resource for resource in resources if _spec(resource).get(CLAIM)]
        looked_at: set[str] = set()
        for resource in claimed:
            id, host = id_of(resource), _host(resource)
            driver = self.driver_for(host)
            if driver is None or not self._on or not self._take(id):
                continue
            try:
                with self.held(host) as mine:
                    if not mine:
                        self._postpone(id)
                        continue
                    if host not in looked_at:
                        self._look_at(driver, host)
                        looked_at.add(host)
                    self._settle(id)
            finally:
                self._give_back(id)

    def _settle(self, id: ResourceId) -> None:
        """Report the claim on a resource that is ours alone, if one still stands: whoever made it died."""
        resource = self.cluster.get(id)
        claim = _spec(resource).get(CLAIM) if resource is not None else None
        driver = self.driver_for(_host(resource)) if resource is not None else None
        if resource is None or driver is None or not claim:
            return
        try:
            observed = driver.observe(id)
        except Exception as error:
            _log_bug(error, _words(id))
            observed = None
        key = str(claim)
        message = f"the agent stopped during {shown(key)}; what it left has been observed anew"
        self._store_failure(id, OperationFailed("Exception", message), observed)
        self._report(resource, key, "Done", "Warning", self.now())
        self.hooks.recovered(id.kind, _words(id, key)["operation"])
        _log.warning("unknown: an agent stopped during %s of %s", shown(key), id, extra=_words(id, key))

    def _look_around(self) -> None:
        """Make the cluster show the whole node: what came, moved or went by another hand than the agent's."""
        driver = self.driver_for(self.node)
        if driver is None:
            return
        try:
            listings = [self.cluster.list(kind, labels=self.labels).items for kind in KINDS]
            resources = {id_of(resource): resource for items in listings for resource in items}
            self._recover(resources.values())
            there = self._look_at(driver, self.node)
            for id, resource in resources.items():
                if there is not None and id not in there and self._on:
                    self._miss(driver, id, resource)
            self._postpone(*(id for id, resource in resources.items() if self._waits(resource)))
        except ClusterError as error:
            _log.warning("looking at node %s: %s", self.node, error)
        except Exception as error:
            _log_bug(error, {"node": self.node})

    def _look_at(self, driver: Driver, host: str) -> Collection[ResourceId] | None:
        """Store what differs of what is on a node; returns what is there, None if that cannot be told."""
        try:
            there = set(driver.inventory())
        except Exception as error:
            _log_bug(error, {"node": host})
            return None
        for id in sorted(there):
            if not self._on:
                break
            try:
                self._refresh(driver, id, host)
            except OperationFailed as error:
                _log.warning("%s cannot be observed: %s", id, error, extra=_words(id))
            except ClusterError:
                raise
            except Exception as error:
                _log_bug(error, _words(id))
        return there

    def _refresh(self, driver: Driver, id: ResourceId, host: str) -> None:
        """Store what differs of a thing nobody works on, unless it is another node's or being deleted."""
        if not self._take(id):
            return
        try:
            while True:
                current, spec = self.cluster.get(id), driver.observe(id)
                if spec is None or (current is not None and (_host(current) != host or _leaving(current))):
                    return
                try:
                    if current is None:
                        self.cluster.create(_new(id, host, spec))
                        _log.info("found %s on node %s", id, host, extra=_words(id))
                        return
                    shows = _spec(current)
                    if all(shows.get(key) == value for key, value in spec.items()):
                        return
                    status = shows.get("status")
                    # A failure stays to be seen until an operation succeeds; what was well is as the thing is now.
                    if not status or status == _status(*_well(id.kind, shows)):
                        status = _status(*_well(id.kind, spec))
                    observed = {**spec, "status": status, **_kept(current)}
                    self.cluster.update({**current, "spec": observed})
                    _log.info("%s had changed on node %s", id, host, extra=_words(id))
                except (Conflict, AlreadyExists, NotFound):
                    continue
                return
        finally:
            self._give_back(id)

    def _miss(self, driver: Driver, id: ResourceId, resource: Resource) -> None:
        """Show that a thing is gone from the node though no operation took it. The resource stays, as declared."""
        mark = KINDS[id.kind].exists
        if mark not in _spec(resource) or not self._take(id):
            return
        try:
            current = self.cluster.get(id)
            if current is None or _leaving(current) or mark not in _spec(current) or driver.observe(id) is not None:
                return
            left = {"nodeName": _spec(current).get("nodeName", self.node), **_kept(current)}
            left["status"] = _status("Exception", f"{id} is not on node {self.node} any more")
            self.cluster.update({**current, "spec": left})
            _log.warning("%s is gone from node %s", id, self.node, extra=_words(id))
        except (Conflict, NotFound, OperationFailed):
            return
        finally:
            self._give_back(id)


# Words of the wire -----------------------------------------------------------------------------------------


@lru_cache(1024)
def shown(*keys: str) -> str:
    """Lifecycle keys as they may stand in an Event: a client can write anything there."""
    return _clip(" ".join(re.sub(r"[^\w.-]+", "?", key) or "?" for key in keys), FIELD)


def _clip(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


def _words(id: ResourceId, key: str | None = None) -> dict[str, str]:
    """What a line of the log says of an operation beside its text."""
    words = {"resource": str(id)}
    if key is not None:
        try:
            catalogue.by_key(id.kind, key)
        except KeyError:
            key = "unknown"
        words["operation"] = key
    return words


def _bug(error: Exception, claim: Claim) -> OperationFailed:
    _log_bug(error, claim.words)
    message = f"{shown(claim.key)} failed unexpectedly ({type(error).__name__}); the log of the agent says where"
    return OperationFailed("Exception", message)


def _log_bug(error: Exception, words: Mapping[str, str]) -> None:
    """Where it happened, without its text: that may quote a parameter, and the parameter a secret."""
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("unexpected %s\n%s", type(error).__name__, where, extra=dict(words))


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def _spec(resource: Resource) -> dict[str, Any]:
    spec = resource.get("spec")
    return spec if isinstance(spec, dict) else {}


def _kept(current: Resource, outcome: bool = False) -> dict[str, Any]:
    """What survives a write: an operation submitted meanwhile and, unless this is its outcome, the one under way."""
    keys = ("lifecycle",) if outcome else ("lifecycle", CLAIM)
    return {key: value for key in keys if (value := _spec(current).get(key))}


def _leaving(resource: Resource) -> bool:
    return bool(resource["metadata"].get("deletionTimestamp"))


def _host(resource: Resource) -> str:
    return str((resource["metadata"].get("labels") or {}).get(LABEL_HOST, ""))


def _new(id: ResourceId, host: str, spec: Mapping[str, Any]) -> Resource:
    return {
        "apiVersion": WIRE_API_VERSION,
        "kind": id.kind,
        "metadata": {"name": id.name, "namespace": id.namespace, "labels": {LABEL_HOST: host}},
        "spec": {**spec, "status": _status(*_well(id.kind, spec))},
    }


def _status(reason: str, message: str) -> dict[str, Any]:
    return {"conditions": {"state": {"waiting": {"reason": reason, "message": message}}}}


def _well(kind: str, spec: Mapping[str, Any]) -> tuple[str, str]:
    if kind == MACHINE:
        return str(spec.get("powerstate")), f"The VM is {spec.get('powerstate')}"
    return "Ready", "The resource is ready."
