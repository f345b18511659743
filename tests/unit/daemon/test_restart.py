"""What a daemon that takes over says of drift: what was reported before is not reported again, all else is."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster
from reconciler.clusters.base import Listing
from reconciler.clusters.composed import WrappedCluster
from reconciler.daemon.drift.drift_event import DriftFinding, DriftReason, report
from reconciler.daemon.drift.earlier import annotation, earlier_reports
from reconciler.daemon.status.values import ChangedSide, Drift, Mode
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import Forbidden
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.secret import Secret
from reconciler.model.wire import ANNOTATION_DRIFT, LABEL_STACK
from reconciler.planner.diff import Change
from support.controller import CLUSTER, POOL, Clock, ControllerFixture, by_hand, pool
from support.scenario import served

REPORT = """apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec: {drift: {mode: Report}}
"""
FOUND, GONE, HEALED = DriftReason.FOUND, DriftReason.GONE, DriftReason.HEALED


class Shop:
    """Daemons one after the other on one stack, whose pool is to be active and to start by itself."""

    def __init__(self, folder: Path, cluster: LocalCluster) -> None:
        self.folder, self.cluster, self.clock = folder, cluster, Clock()
        self.write("reconcile.yaml", REPORT)
        self.write("a.yaml", pool("pool-a", autostart=True, spec=", state: Active"))
        self.daemon = self.restart()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def restart(self, cluster: Any = None) -> ControllerFixture:
        self.clock.seconds += 10
        self.daemon = ControllerFixture(self.folder, cluster or self.cluster, clock=self.clock)
        self.daemon.settle()
        return self.daemon

    def settle(self) -> None:
        self.clock.seconds += 10
        self.daemon.settle(CLUSTER)

    def stop(self) -> None:
        by_hand(self.cluster, POOL, "stopPool", {"type": "localfs"})

    def start(self) -> None:
        by_hand(self.cluster, POOL, "startPool", {"type": "localfs"})

    def no_autostart(self) -> None:
        by_hand(self.cluster, POOL, "autoStartPool", {"type": "localfs", "disable": True})

    @property
    def told(self) -> list[Resource]:
        return [event for event in self.cluster.list("Event").items if event["reason"] in set(DriftReason)]

    @property
    def reasons(self) -> Counter[str]:
        return Counter(event["reason"] for event in self.told)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "shop"
    folder.mkdir()
    with served() as cluster:
        yield Shop(folder, cluster)


def test_a_restart_beside_standing_drift_repeats_no_event_and_no_warning(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        shop.stop()
        shop.settle()
        since = shop.daemon.controller.status.resources()[0].drift[0].seen
        for _ in range(3):
            shop.restart()
            shop.settle()
    assert shop.reasons == {FOUND: 1}
    lines = [(each.levelname, each.getMessage()) for each in caplog.records]
    (warning,) = [text for level, text in lines if level == "WARNING"]
    assert warning.startswith("VirtualMachinePool/pool-a: state is Inactive, Active is declared")
    assert lines.count(("INFO", "1 resource(s) drift as reported before")) == 3
    assert shop.daemon.controller.status.resources()[0].drift[0].seen == since, "it has drifted since then"


def gone_and_back_unseen(shop: Shop) -> None:
    """Nobody could see that it was gone: it is the same drift."""
    shop.start()
    shop.stop()
    shop.restart()


def gone_and_back_seen_by_the_new_one(shop: Shop) -> None:
    shop.start()
    shop.restart()
    shop.stop()
    shop.settle()


def gone_and_back_seen_by_the_old_one(shop: Shop) -> None:
    shop.start()
    shop.settle()
    shop.stop()
    shop.restart()


def back_between_two_restarts(shop: Shop) -> None:
    shop.start()
    shop.restart()
    shop.stop()
    shop.restart()
    shop.restart()


def gone_for_good(shop: Shop) -> None:
    shop.start()
    shop.restart()
    shop.restart()


def another_field(shop: Shop) -> None:
    shop.no_autostart()
    shop.restart()
    shop.restart()


def another_mode(shop: Shop) -> None:
    shop.write("reconcile.yaml", REPORT.replace("Report", "Heal"))
    shop.restart()
    shop.restart()


def expired(shop: Shop) -> None:
    for event in shop.told:
        shop.cluster.delete(ResourceId("Event", event["metadata"]["name"]))
    shop.restart()
    shop.restart()


def unreadable_at_first(shop: Shop) -> None:
    """A manifest that nobody can read for a while does not make its drift news."""
    text = (shop.folder / "a.yaml").read_text()
    shop.write("a.yaml", "{")
    shop.restart()
    shop.write("a.yaml", text)
    shop.daemon.settle(shop.daemon.write("a.yaml", text))


def spoiled(shop: Shop) -> None:
    for event in shop.told:
        event["metadata"]["annotations"][ANNOTATION_DRIFT] = "{"
        shop.cluster.update(event)
    shop.restart()


@pytest.mark.parametrize(
    ("happens", "reasons"),
    [
        (gone_and_back_unseen, {FOUND: 1}),
        (gone_and_back_seen_by_the_new_one, {FOUND: 2, GONE: 1}),
        (gone_and_back_seen_by_the_old_one, {FOUND: 2, GONE: 1}),
        (back_between_two_restarts, {FOUND: 2, GONE: 1}),
        (gone_for_good, {FOUND: 1, GONE: 1}),
        (another_field, {FOUND: 2}),
        (another_mode, {FOUND: 2, HEALED: 1}),
        (expired, {FOUND: 1}),
        (unreadable_at_first, {FOUND: 1}),
        (spoiled, {FOUND: 2}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_new_since_the_last_report_is_reported(
    shop: Shop, happens: Callable[[Shop], None], reasons: Mapping[str, int]
) -> None:
    shop.stop()
    shop.settle()
    assert shop.reasons == {FOUND: 1}
    happens(shop)
    assert shop.reasons == reasons


def test_an_event_names_the_stack_and_what_drifted_by_digest(shop: Shop) -> None:
    shop.stop()
    shop.settle()
    (event,) = shop.told
    assert event["metadata"]["labels"] == {LABEL_STACK: "shop"}
    content = json.loads(event["metadata"]["annotations"][ANNOTATION_DRIFT])
    assert content.keys() == {"field", "values", "mode", "text"}
    assert (content["field"], content["mode"]) == (["state"], "Report")
    shop.start()
    shop.restart()
    (gone,) = [event for event in shop.told if event["reason"] == GONE]
    assert gone["note"] == "no longer differs; previously state is Inactive, Active is declared"


class NoEvents(WrappedCluster):
    """A cluster that does not let its Events be read."""

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        if kind == "Event":
            raise Forbidden("events is forbidden")
        return super().list(kind, labels=labels)


def test_without_the_events_it_is_reported_again_and_nothing_else_is_missed(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.stop()
    shop.settle()
    assert not shop.restart(NoEvents(shop.cluster)).controller.cluster_error
    assert shop.reasons == {FOUND: 2}
    assert "cannot read the Events of earlier reports, which are repeated: events is forbidden" in caplog.text


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"metadata": {"annotations": None}},
        {"metadata": {"annotations": {ANNOTATION_DRIFT: "[]"}}},
        {"metadata": {"annotations": {ANNOTATION_DRIFT: '{"field": 1}'}}, "regarding": {"kind": "A", "name": "a"}},
        {"metadata": {"annotations": {ANNOTATION_DRIFT: '{"field": []}'}}, "regarding": None},
        {
            "metadata": {"annotations": {ANNOTATION_DRIFT: '{"field": [], "values": "a", "mode": "B", "text": ""}'}},
            "regarding": {"kind": "A", "name": "a"},
        },
    ],
)
def test_what_is_no_report_counts_for_nothing(broken: Resource) -> None:
    assert earlier_reports([broken]) == {}


def test_a_report_on_a_secret_tells_when_it_changes_and_neither_its_value_nor_its_digest() -> None:
    path, at = ("graphics", "passwordFrom"), datetime(2026, 11, 24, tzinfo=UTC)
    made = set()
    for ours, theirs in (("ours", "theirs"), ("ours", "others"), ("mine", "theirs")):
        secret = Secret("env", "VNC", digest=ours)
        drift = Drift(path, str(secret), "another value", ChangedSide.OBSERVED, Mode.REPORT, at)
        _, (event,) = report(ResourceId(MACHINE, "web-1"), {}, [DriftFinding(Change(path, theirs, secret), drift)])
        (text,) = annotation(event).values()
        made.add(text)
        assert not any(value in text for value in (ours, theirs))
    assert len(made) == 3
