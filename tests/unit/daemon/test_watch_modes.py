"""What the daemon does about drift, as the manifests say: heal, report, ignore, and what two writers come to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.daemon.status.values import Sync
from reconciler.observe.observed import observe
from support.controller import CLUSTER, POOL, ControllerFixture, by_hand, pool
from support.scenario import served

ACTIVE = ", state: Active"


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[ControllerFixture]:
    folder = tmp_path / "shop"
    folder.mkdir()
    with served() as cluster:
        yield ControllerFixture(folder, cluster)


def stack(drift: str) -> str:
    return f"""apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {{name: shop}}
spec: {{drift: {drift}}}
"""


def pool_with(drift: str) -> str:
    return pool("pool-a", spec=ACTIVE).replace("{name: pool-a}", f"{{name: pool-a, drift: {drift}}}")


def stop(fixture: ControllerFixture) -> None:
    by_hand(fixture.cluster, POOL, "stopPool", {"type": "localfs"})


def state(fixture: ControllerFixture) -> str:
    return str(observe(fixture.cluster).resources[POOL].shape["state"])


def told(fixture: ControllerFixture) -> list[str]:
    """Reasons of the daemon's Events, without those of operations."""
    own = [event for event in fixture.cluster.list("Event").items if event["reason"].startswith("Drift")]
    return sorted(event["reason"] for event in own)


@pytest.mark.parametrize("where", ["stack", "resource"])
def test_what_is_reported_is_left_and_told_once(fixture: ControllerFixture, where: str) -> None:
    if where == "stack":
        fixture.write("reconcile.yaml", stack("{mode: Report}"))
        fixture.write("a.yaml", pool("pool-a", spec=ACTIVE))
    else:
        fixture.write("a.yaml", pool_with("{mode: Report}"))
    fixture.settle()
    stop(fixture)
    for _ in range(3):
        assert fixture.settle(CLUSTER)[0].results == {}
        fixture.clock.seconds += 700
    assert state(fixture) == "Inactive"
    assert told(fixture) == ["DriftFound"]
    assert fixture.sync("pool-a") is Sync.OUT_OF_SYNC
    by_hand(fixture.cluster, POOL, "startPool", {"type": "localfs"})
    fixture.settle(CLUSTER)
    assert told(fixture) == ["DriftFound", "DriftGone"]
    assert fixture.sync("pool-a") is Sync.SYNCED


def test_what_manifests_come_to_say_is_done_where_drift_is_reported(fixture: ControllerFixture) -> None:
    fixture.write("reconcile.yaml", stack("{mode: Report}"))
    fixture.write("a.yaml", pool("pool-a", spec=ACTIVE))
    fixture.settle()
    stop(fixture)
    rounds = fixture.settle(CLUSTER, fixture.write("a.yaml", pool("pool-a", spec=ACTIVE, autostart=True)))
    assert rounds[0].results == {"changed": 1}
    assert fixture.operations()["pool-a", "autoStartPool"] == 1
    assert state(fixture) == "Inactive"


def test_where_drift_is_ignored_what_is_there_stays_and_what_is_not_is_made(fixture: ControllerFixture) -> None:
    fixture.write("reconcile.yaml", stack("{mode: Ignore}"))
    fixture.write("a.yaml", pool("pool-a", spec=ACTIVE))
    fixture.settle()
    assert fixture.names() == {"pool-a"}
    stop(fixture)
    assert fixture.settle(CLUSTER)[0].results == {}
    assert state(fixture) == "Inactive"
    assert told(fixture) == []


def test_a_field_is_left_until_the_moment_that_was_named(fixture: ControllerFixture) -> None:
    moment = fixture.clock.now().replace(microsecond=0)
    until = f"{moment:%Y-%m-%d}T{moment.hour + 1:02d}:00:00Z"
    fixture.write("a.yaml", pool_with(f"{{ignore: [{{field: state, until: '{until}', reason: repairs}}]}}"))
    fixture.settle()
    stop(fixture)
    assert fixture.settle(CLUSTER)[0].results == {}
    assert state(fixture) == "Inactive"
    results: dict[str, int] = {}
    while not results:
        assert fixture.clock.now().isoformat() < f"{until[:-1]}.9", "nothing is due at the moment itself"
        fixture.clock.seconds += fixture.controller.due_in() + 0.001
        results = fixture.settle()[0].results
    assert results == {"changed": 1}
    assert fixture.clock.now().isoformat() >= until[:-1]
    assert state(fixture) == "Active"


def test_two_writers_are_noticed_and_the_field_is_left_to_people(fixture: ControllerFixture) -> None:
    fixture.write("a.yaml", pool("pool-a", spec=ACTIVE))
    fixture.settle()
    for _ in range(3):
        stop(fixture)
        fixture.clock.seconds += 60
        assert fixture.settle(CLUSTER)[0].results == {"changed": 1}
    stop(fixture)
    fixture.clock.seconds += 60
    for _ in range(3):
        assert fixture.settle(CLUSTER)[0].results == {}
        fixture.clock.seconds += 700
    assert state(fixture) == "Inactive"
    assert "DriftContested" in told(fixture)
    assert fixture.operations()["pool-a", "startPool"] == 3
    rounds = fixture.settle(fixture.write("a.yaml", pool("pool-a", spec=", state: Inactive")))
    assert [each.planned for each in rounds] == [0]
    rounds = fixture.settle(fixture.write("a.yaml", pool("pool-a", spec=ACTIVE)))
    assert rounds[0].results == {"changed": 1}, "it begins again with another wish"
