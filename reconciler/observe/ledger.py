"""What became of each ``Operation``: read from the stack's journal, and from what the cluster shows. Pure.

The journal has ``start`` before an operation is put on its resource, ``submitted`` after, and ``end`` with the
result. A run that is killed in between leaves the first one or two; the Event of the operation, or its id on
the resource, tells the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.model.event_id import done_of
from reconciler.model.resource import Resource
from reconciler.model.wire import EVENT_NORMAL, LABEL_EVENT


class State(StrEnum):
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"  # it was submitted, and nobody saw how it ended


class LedgerEntry(NamedTuple):
    """The last that is known of an Operation: the content that was run, how it ended, and why not."""

    content: str
    state: State
    message: str = ""


def read_ledger(
    records: Iterable[Mapping[str, Any]], events: Iterable[Resource], resources: Iterable[Resource]
) -> dict[str, LedgerEntry]:
    """By name, all Operations that were begun. What was never submitted does not count as begun."""
    last: dict[str, dict[str, Any]] = {}
    for record in records:
        request = record.get("request")
        if request is None:
            continue
        if record["phase"] == "start":
            last[request["name"]] = {"content": request["content"], "event": record["event"]}
        elif request["name"] in last:
            last[request["name"]][record["phase"]] = record
    done = {id: (type, message) for event in events for id, type, message in done_of(event)}
    carried = {(resource["metadata"].get("labels") or {}).get(LABEL_EVENT) for resource in resources}
    ledger = {}
    for name, run in last.items():
        entry = _entry(run, done, carried)
        if entry is not None:
            ledger[name] = entry
    return ledger


def _entry(run: Mapping[str, Any], done: Mapping[str, tuple[str, str]], carried: set[Any]) -> LedgerEntry | None:
    end = run.get("end")
    if end is not None and end["result"] != "interrupted" and end.get("seen", True):
        state = State.DONE if end["result"] in ("ran", "unchanged") else State.FAILED
        return LedgerEntry(run["content"], state, end.get("message", ""))
    if run["event"] in done:
        type, message = done[run["event"]]
        return LedgerEntry(run["content"], State.DONE if type == EVENT_NORMAL else State.FAILED, message)
    if end is not None or "submitted" in run or run["event"] in carried:
        return LedgerEntry(run["content"], State.UNKNOWN)
    return None
