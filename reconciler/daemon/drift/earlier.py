"""What was reported of drift before this process led: it is read from the Events, so that it is not reported again.

Each Event about drift tells in an annotation which field it is about, and a digest of what was declared and observed
there; never a secret. The newest Event of a field counts. Pure.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from reconciler.daemon.drift.drift_event import DriftEvent, DriftReason, ReportedDrift
from reconciler.daemon.status.values import Mode
from reconciler.model.resource import DEFAULT_NAMESPACE, Resource, ResourceId
from reconciler.model.wire import ANNOTATION_DRIFT

Path = tuple[str, ...]
MAX_TEXT = 1024  # characters of what is kept to say later what the drift was


class _Report(NamedTuple):
    """One Event about a field; ``drift`` is None if it says that the field no longer differs."""

    id: ResourceId
    path: Path
    drift: ReportedDrift | None


def annotation(event: DriftEvent) -> dict[str, str]:
    """The annotation for the Event of a report."""
    content: dict[str, Any] = {"field": list(event.path)}
    if event.drift is not None:
        content |= {"values": event.drift.values, "mode": event.drift.mode, "text": event.drift.text[:MAX_TEXT]}
    return {ANNOTATION_DRIFT: json.dumps(content, sort_keys=True, ensure_ascii=False)}


def earlier_reports(events: Iterable[Resource]) -> dict[ResourceId, dict[Path, ReportedDrift]]:
    """The fields of each resource that differed when the Events, oldest first, last told of them.

    Events that are no reports of drift, or that somebody has spoiled, count for nothing.
    """
    newest: dict[ResourceId, dict[Path, ReportedDrift]] = defaultdict(dict)
    for event in events:
        try:
            report = _report(event)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        newest[report.id].pop(report.path, None)
        if report.drift is not None:
            newest[report.id][report.path] = report.drift
    return {id: reports for id, reports in newest.items() if reports}


def _report(event: Mapping[str, Any]) -> _Report:
    """The report that an Event is. Raises one of several errors if it is none."""
    content = json.loads(event["metadata"]["annotations"][ANNOTATION_DRIFT])
    about = event["regarding"]
    id = ResourceId(about["kind"], about["name"], about.get("namespace") or DEFAULT_NAMESPACE)
    path = tuple(map(str, content["field"]))
    if "values" not in content:
        return _Report(id, path, None)
    mode = Mode(content["mode"])
    drift = ReportedDrift(
        str(content["text"]),
        str(content["values"]),
        datetime.fromisoformat(event["eventTime"]).astimezone(UTC),
        mode,
        reported=mode is not Mode.IGNORE,
        contested=event["reason"] == DriftReason.CONTESTED,
    )
    return _Report(id, path, drift)
