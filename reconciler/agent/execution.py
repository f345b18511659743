"""Carrying out a claimed operation, and telling what came of it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from reconciler import catalogue
from reconciler.agent.claim import Claim
from reconciler.agent.event import Events
from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log, log_bug, shown
from reconciler.agent.observer import Observer
from reconciler.agent.record import Records
from reconciler.model.problem import ClusterError, OperationFailed
from reconciler.model.resource import ResourceId
from reconciler.model.wire import EVENT_DOING, EVENT_DONE, EVENT_IGNORED, EVENT_NORMAL, EVENT_WARNING


@dataclass(frozen=True, slots=True)
class Execution:
    """Runs operations through their driver. Whatever one does or is, it ends with an outcome."""

    duty: Lifecycle
    records: Records
    events: Events
    hooks: Observer

    def carry_out(self, claim: Claim) -> None:
        """Run a claimed operation to its end, and tell what came of it until the cluster has taken it.

        In the order of the existing back end (wire format 3.5): Event, run, write back, Event.
        """
        clock = self.duty.clock
        started, begin, words = clock.now(), clock.monotonic(), claim.words
        self.hooks.claimed(claim.id.kind, words["operation"])
        log.info("claimed %s of %s", shown(claim.key), claim.id, extra=words)
        self.events.report(claim.resource, claim.key, EVENT_DOING, EVENT_NORMAL, started)
        if claim.ignored:
            log.warning("%s of %s: one at a time", shown(*claim.ignored), claim.id, extra=words)
            ignored = " ".join(map(shown, claim.ignored))
            self.events.report(claim.resource, ignored, EVENT_IGNORED, EVENT_WARNING, started)
        failure: OperationFailed | None = None
        touched: Collection[ResourceId] = ()
        try:
            touched = run(claim)
        except OperationFailed as error:
            failure = error
        except Exception as error:
            failure = _bug(error, claim)
        try:
            failure = self._write(claim, touched, failure)
        except ClusterError as error:
            log.error("%s of %s: its outcome is not written: %s", shown(claim.key), claim.id, error, extra=words)
            outcome = "unknown"
        else:
            type = EVENT_WARNING if failure else EVENT_NORMAL
            self.events.report(claim.resource, claim.key, EVENT_DONE, type, started, insist=True)
            outcome = "failed" if failure else "done"
        seconds = clock.monotonic() - begin
        self.hooks.ended(claim.id.kind, words["operation"], outcome, seconds)
        level = logging.WARNING if failure else logging.INFO
        told = {**words, "outcome": outcome, "seconds": round(seconds, 3)}
        log.log(level, "%s %s of %s after %.3f s", outcome, shown(claim.key), claim.id, seconds, extra=told)

    def _write(
        self, claim: Claim, touched: Iterable[ResourceId], failure: OperationFailed | None
    ) -> OperationFailed | None:
        """Store what the driver observes, the target last: while its claim stands, the outcome is not told."""
        insist, records = self.duty.insist, self.records
        if failure is None:
            try:
                for id in (*(each for each in touched if each != claim.id), claim.id):
                    insist(records.store, claim.driver, id, claim.host, id == claim.id)
            except ClusterError:
                raise
            except OperationFailed as error:
                failure = error
            except Exception as error:
                failure = _bug(error, claim)
        if failure is not None:
            insist(records.store_failure, claim.id, failure, None)
        return failure


def run(claim: Claim) -> Collection[ResourceId]:
    """Check an operation against the catalogue and hand it to the driver; what its doing may have moved.

    Raises ``OperationFailed``, of a kind of wire format 4.2, and whatever else a driver may raise.
    """
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


def _bug(error: Exception, claim: Claim) -> OperationFailed:
    log_bug(error, claim.words)
    message = f"{shown(claim.key)} failed unexpectedly ({type(error).__name__}); the log of the agent says where"
    return OperationFailed("Exception", message)
