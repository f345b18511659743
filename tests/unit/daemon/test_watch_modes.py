"""What the daemon does about drift, as the manifests say: heal, report, ignore, and what two writers come to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.daemon.status.status import Sync
from reconciler.observe.observed import observe
from support.controller import CLUSTER, POOL, Term, by_hand, pool
from support.scenario import served

ACTIVE = ", state: Active"


@pytest.fixture
def term(tmp_path: Path) -> Iterator[Term]:
    folder = tmp_path / "shop"
    folder.mkdir()
    with served() as cluster:
        yield Term(folder, cluster)


def stack(drift: str) -> str:
    return f"""apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {{name: shop}}
spec: {{drift: {drift}}}
"""


def pool_with(drift: str) -> str:
    return pool("pool-a", spec=ACTIVE).replace("{name: pool-a}", f"{{name: pool-a, drift: {drift}}}")


def stop(term: Term) -> None:
    by_hand(term.cluster, POOL, "stopPool", {"type": "localfs"})


def state(term: Term) -> str:
    return str(observe(term.cluster).resources[POOL].shape["state"])


def told(term: Term) -> list[str]:
    """Reasons of the daemon's Events, without those of operations."""
    own = [event for event in term.cluster.list("Event").items if event["reason"].startswith("Drift")]
    return sorted(event["reason"] for event in own)


@pytest.mark.parametrize("where", ["stack", "resource"])
def test_what_is_reported_is_left_and_told_once(term: Term, where: str) -> None:
    if where == "stack":
        term.write("reconcile.yaml", stack("{mode: Report}"))
        term.write("a.yaml", pool("pool-a", spec=ACTIVE))
    else:
        term.write("a.yaml", pool_with("{mode: Report}"))
    term.settle()
    stop(term)
    for _ in range(3):
        assert term.settle(CLUSTER)[0].results == {}
        term.clock.seconds += 700
    assert state(term) == "Inactive"
    assert told(term) == ["DriftFound"]
    assert term.sync("pool-a") is Sync.DRIFTED
    by_hand(term.cluster, POOL, "startPool", {"type": "localfs"})
    term.settle(CLUSTER)
    assert told(term) == ["DriftFound", "DriftGone"]
    assert term.sync("pool-a") is Sync.SYNCED


def test_what_manifests_come_to_say_is_done_where_drift_is_reported(term: Term) -> None:
    term.write("reconcile.yaml", stack("{mode: Report}"))
    term.write("a.yaml", pool("pool-a", spec=ACTIVE))
    term.settle()
    stop(term)
    rounds = term.settle(CLUSTER, term.write("a.yaml", pool("pool-a", spec=ACTIVE, autostart=True)))
    assert rounds[0].results == {"changed": 1}
    assert term.operations()["pool-a", "autoStartPool"] == 1
    assert state(term) == "Inactive"


def test_where_drift_is_ignored_what_is_there_stays_and_what_is_not_is_made(term: Term) -> None:
    term.write("reconcile.yaml", stack("{mode: Ignore}"))
    term.write("a.yaml", pool("pool-a", spec=ACTIVE))
    term.settle()
    assert term.names() == {"pool-a"}
    stop(term)
    assert term.settle(CLUSTER)[0].results == {}
    assert state(term) == "Inactive"
    assert told(term) == []


def test_a_field_is_left_until_the_moment_that_was_named(term: Term) -> None:
    moment = term.clock.now().replace(microsecond=0)
    until = f"{moment:%Y-%m-%d}T{moment.hour + 1:02d}:00:00Z"
    term.write("a.yaml", pool_with(f"{{ignore: [{{field: state, until: '{until}', reason: repairs}}]}}"))
    term.settle()
    stop(term)
    assert term.settle(CLUSTER)[0].results == {}
    assert state(term) == "Inactive"
    results: dict[str, int] = {}
    while not results:
        assert term.clock.now().isoformat() < f"{until[:-1]}.9", "nothing is due at the moment itself"
        term.clock.seconds += term.keeper.due_in() + 0.001
        results = term.settle()[0].results
    assert results == {"changed": 1}
    assert term.clock.now().isoformat() >= until[:-1]
    assert state(term) == "Active"


def test_two_writers_are_noticed_and_the_field_is_left_to_people(term: Term) -> None:
    term.write("a.yaml", pool("pool-a", spec=ACTIVE))
    term.settle()
    for _ in range(3):
        stop(term)
        term.clock.seconds += 60
        assert term.settle(CLUSTER)[0].results == {"changed": 1}
    stop(term)
    term.clock.seconds += 60
    for _ in range(3):
        assert term.settle(CLUSTER)[0].results == {}
        term.clock.seconds += 700
    assert state(term) == "Inactive"
    assert "DriftContested" in told(term)
    assert term.operations()["pool-a", "startPool"] == 3
    rounds = term.settle(term.write("a.yaml", pool("pool-a", spec=", state: Inactive")))
    assert [each.planned for each in rounds] == [0]
    rounds = term.settle(term.write("a.yaml", pool("pool-a", spec=ACTIVE)))
    assert rounds[0].results == {"changed": 1}, "it begins again with another wish"
