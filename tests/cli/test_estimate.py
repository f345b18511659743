"""How long is left of a run: the arithmetic, and what a terminal shows of it."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster
from reconciler.apply.estimate import seconds_left, typical
from reconciler.catalogue.operation import Impact
from reconciler.model.journal import read_journal
from reconciler.model.resource import ResourceId
from reconciler.output.progress import TimeLeft
from reconciler.planner.plan import Action, Reason, Step
from support.command_line import COMMAND
from support.paths import QUICKSTART, ROOT

TAKES = {"Short": 1.0, "Long": 10.0}


def step(id: str, operation: str = "Long", **more: Any) -> Step:
    target = ResourceId("VirtualMachine", id)
    action = more.pop("action", Action.CHANGE)
    return Step(id, action, operation, target, target, "node22", {}, Reason.NOT_ON_CLUSTER, Impact.NONE, **more)


@pytest.mark.parametrize(
    ("steps", "parallel", "seconds"),
    [
        ([step("a"), step("b"), step("c")], 16, 10.0),
        ([step("a"), step("b"), step("c")], 1, 30.0),
        ([step("a"), step("b"), step("c")], 2, 20.0),
        ([step("a", "Short"), step("b", needs=("a",)), step("c", after=("b",))], 16, 21.0),
        ([step("a", needs=("ended",))], 1, 10.0),
        ([step("a", last=True), step("b"), step("c", "Short")], 16, 20.0),
        ([step("a", queue="p"), step("b", queue="p"), step("c", queue="p"), step("d", queue="q")], 16, 30.0),
        ([step("a", queue="p"), step("b", queue="p"), step("c")], 1, 30.0),
        ([step("a"), step("b", "(mark)", action=Action.MARK)], 1, 10.0),
        ([step("a", "Short"), step("b", "New")], 1, 11.0),
        ([step("a", "New")], 1, None),
        ([], 1, None),
    ],
)
def test_the_time_left(steps: list[Step], parallel: int, seconds: float | None) -> None:
    assert seconds_left(steps, TAKES, parallel) == seconds


def test_what_is_under_way_has_less_left_and_keeps_its_place() -> None:
    steps = [step("a"), step("b"), step("c")]
    assert seconds_left(steps, TAKES, 1, {"b": 4.0}) == 26.0
    assert seconds_left(steps, TAKES, 3, {"a": 4.0, "b": 99.0, "c": 5.0}) == 6.0


def test_many_steps_in_one_pool_are_reckoned_quickly() -> None:
    steps = [step(f"s{number}", queue="p") for number in range(20_000)]
    began = time.monotonic()
    assert seconds_left(steps, TAKES, 16) == 200_000.0
    assert time.monotonic() - began < 5


def typical_of(entries: list[dict[str, Any]]) -> dict[str, float]:
    return typical(read_journal(entries))


def test_the_typical_duration_is_the_middle_of_the_newest_that_ended_well() -> None:
    def ended(seconds: float, result: str = "changed") -> dict[str, Any]:
        return {"phase": "end", "operation": "Long", "result": result, "seconds": seconds}

    assert typical_of([]) == {}
    assert typical_of([ended(600.0, "failed"), {"phase": "start", "operation": "Long"}, {"phase": "run"}]) == {}
    assert typical_of([ended(3.0), ended(600.0, "failed"), ended(1.0), ended(2.0)]) == {"Long": 2.0}
    assert typical_of([*[ended(9.0)] * 100, *[ended(1.0)] * 20]) == {"Long": 1.0}


def test_the_text_goes_down_with_the_clock_and_is_estimated_again() -> None:
    now = [0.0]
    left = TimeLeft([step("a"), step("b", needs=("a",))], TAKES, 16, lambda: now[0])
    assert left.text() == "about 20 s left"
    left.started("a")
    now[0] = 4.0
    assert left.text() == "about 16 s left"
    left.ended("a")
    assert left.text() == "about 10 s left"
    now[0] = 30.0
    assert left.text() == "", "it takes longer than it did before: nobody knows"
    assert TimeLeft([step("a")], {"Long": 600.0}, 1, lambda: 0.0).text() == "about 10 min left"
    assert TimeLeft([step("a", "New")], TAKES, 1, lambda: 0.0).text() == ""


def on_terminal(folder: Path) -> str:
    """What an apply writes to standard error when that is a terminal."""
    here, there = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "160", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [*COMMAND, "--yes", "--latency", "0.3", str(QUICKSTART)],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=there,
    )
    os.close(there)
    said = b""
    while True:
        try:
            piece = os.read(here, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(here)
    assert process.wait(timeout=60) == 0, said
    return said.decode()


def test_a_terminal_shows_what_is_left_where_it_is_known(tmp_path: Path) -> None:
    fresh, known = tmp_path / "fresh", tmp_path / "known"
    for folder in (fresh, known):
        (folder / ".reconcile").mkdir(parents=True)
    assert " left" not in on_terminal(fresh)
    with LocalCluster(known / ".reconcile" / "cluster.db") as cluster:
        entry = {"run": "r", "phase": "end", "operation": "CreateDisk", "result": "created", "seconds": 7.0}
        cluster.record("quickstart", {**entry, "event": "r-1", "step": "s", "target": "VirtualMachineDisk/d"})
        cluster.record("quickstart", {"run": "r", "phase": "ended"})
    assert "s left" in on_terminal(known)
