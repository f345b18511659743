"""Carrying out a claimed operation, and reporting its outcome."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler import catalogue
from reconciler.agent.claim import Claim
from reconciler.agent.event import Events
from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log, log_bug, printable
from reconciler.agent.observer import Observer
from reconciler.agent.record import Records
from reconciler.model.problem import ClusterError, NameTaken, OperationFailed
from reconciler.model.resource import ResourceId
from reconciler.model.wire import EVENT_DOING, EVENT_DONE, EVENT_EXISTED, EVENT_IGNORED, EVENT_NORMAL, EVENT_WARNING


@dataclass(frozen=True, slots=True)
class Execution:
    """Runs operations through their driver. Whatever happens, each ends with an outcome."""

    lifecycle: Lifecycle
    records: Records
    events: Events
    observer: Observer

    def carry_out(self, claim: Claim) -> None:
        """Run a claimed operation to its end, and report its outcome until the cluster has taken it.

        In the order of the existing back end (wire format 3.5): Event, run, write back, Event.
        """
        clock = self.lifecycle.clock
        started, begin = clock.now(), clock.monotonic()
        self._report_start(claim, started)
        failure: OperationFailed | None = None
        touched: Collection[ResourceId] = ()
        try:
            touched = run(claim)
        except OperationFailed as error:
            failure = error
        except Exception as error:
            failure = _bug(error, claim)
        try:
            failure, status = self._write(claim, touched, failure)
        except ClusterError as error:
            log.error(
                "%s of %s: its outcome is not written: %s",
                printable(claim.key),
                claim.id,
                error,
                extra=claim.log_fields,
            )
            outcome = "unknown"
        else:
            type = EVENT_WARNING if failure else EVENT_NORMAL
            self.events.report(claim.resource, claim.key, status, type, started, retry=True)
            outcome = "failed" if failure else "done"
        self._report_end(claim, outcome, clock.monotonic() - begin, logging.WARNING if failure else logging.INFO)

    def _report_start(self, claim: Claim, started: datetime) -> None:
        fields = claim.log_fields
        self.observer.claimed(claim.id.kind, fields["operation"])
        log.info("claimed %s of %s", printable(claim.key), claim.id, extra=fields)
        self.events.report(claim.resource, claim.key, EVENT_DOING, EVENT_NORMAL, started)
        if claim.ignored:
            log.warning("%s of %s: one at a time", printable(*claim.ignored), claim.id, extra=fields)
            ignored = " ".join(map(printable, claim.ignored))
            self.events.report(claim.resource, ignored, EVENT_IGNORED, EVENT_WARNING, started)

    def _report_end(self, claim: Claim, outcome: str, seconds: float, level: int) -> None:
        self.observer.ended(claim.id.kind, claim.log_fields["operation"], outcome, seconds)
        fields = {**claim.log_fields, "outcome": outcome, "seconds": round(seconds, 3)}
        log.log(level, "%s %s of %s after %.3f s", outcome, printable(claim.key), claim.id, seconds, extra=fields)

    def _write(
        self, claim: Claim, touched: Iterable[ResourceId], failure: OperationFailed | None
    ) -> tuple[OperationFailed | None, str]:
        """Store what the driver observes, the target last: while its claim is there, the outcome is not known.

        Returns the failure of the operation, or of observing what it did, and what its Event says. Raises
        ``ClusterError``.
        """
        retry, records = self.lifecycle.retry, self.records
        if failure is None:
            try:
                for id in (*(each for each in touched if each != claim.id), claim.id):
                    retry(records.store, claim.driver, id, claim.host, id == claim.id)
            except ClusterError:
                raise
            except OperationFailed as error:
                failure = error
            except Exception as error:
                failure = _bug(error, claim)
        if failure is None:
            return None, EVENT_DONE
        found = _found_by_creation(claim)
        if found is not None and isinstance(failure, NameTaken):  # nothing is wrong with what is there
            retry(records.store, claim.driver, claim.id, claim.host, True)
            return failure, EVENT_EXISTED
        retry(records.store_failure, claim.id, failure, found)
        return failure, EVENT_DONE


def _found_by_creation(claim: Claim) -> Mapping[str, Any] | None:
    """What is there though its creation failed; None after any other operation, or if nothing is there.

    The cluster may have lost a resource that its node still has: it shows it again.
    """
    try:
        if catalogue.by_key(claim.id.kind, claim.key).creates:
            return claim.driver.observe(claim.id)
    except KeyError:
        pass
    except Exception as error:
        log_bug(error, claim.log_fields)
    return None


def run(claim: Claim) -> Collection[ResourceId]:
    """Check an operation against the catalogue and hand it to the driver; returns what it may have changed.

    Raises ``OperationFailed``, of a kind of wire format 4.2, and whatever else a driver may raise.
    """
    if claim.invalid:
        raise OperationFailed("Exception", claim.invalid)
    kind = claim.id.kind
    try:
        operation = catalogue.by_key(kind, claim.key)
    except KeyError:
        raise OperationFailed("Exception", f"{printable(claim.key)} is not an operation of {kind}") from None
    if not isinstance(claim.parameters, dict):
        raise OperationFailed("Exception", f"{operation.name}: the parameters must be an object, {{}} for none")
    wrong = catalogue.check(operation, claim.parameters)
    if wrong:
        raise OperationFailed("Exception", f"{operation.name}: {'; '.join(wrong)}")
    claim.driver.capabilities().require(kind, operation.name)
    return claim.driver.run(claim.id, operation.name, claim.parameters)


def _bug(error: Exception, claim: Claim) -> OperationFailed:
    log_bug(error, claim.log_fields)
    message = f"{printable(claim.key)} failed unexpectedly ({type(error).__name__}); the log of the agent says where"
    return OperationFailed("Exception", message)
