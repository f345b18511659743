"""The boot order of machines whose disks come and go, with an agent that does not show the next start of a guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import apply, plan
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.boot_order import order_to_be
from support.golden_plans import CASES, NODES, desired_in, policy_of, prepare
from support.next_start import without_next_start
from support.scenario import OPTIONS, served

ROOT, DATA = {"disk": "root"}, {"disk": "data"}


@pytest.mark.parametrize(
    "case", [case for case in CASES if "_boot_" in case.name or "_their_" in case.name], ids=lambda case: case.name
)
def test_the_plan_after_the_apply_is_what_was_held(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulator, "observe", without_next_start(Simulator.observe))
    with served(addresses=NODES) as cluster:
        prepare(cluster, case)
        desired, policy = desired_in(case / "desired.yaml"), policy_of(case)
        made = plan(desired, cluster, policy)
        report = apply(made, cluster, options=OPTIONS)
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        assert [step.id for step in plan(desired, cluster, policy).steps] == [step.id for step in made.held]


@pytest.mark.parametrize(
    ("disks", "order", "then", "expected"),
    [
        ({"vda": ROOT, "vdb": DATA}, ["vda", "sda"], {"vdc": ROOT, "vdb": DATA}, ["vdc", "sda"]),
        ({"vda": ROOT, "vdb": DATA}, ["sda", "vda"], {"vdb": ROOT, "vda": DATA}, ["sda", "vda"]),
        (
            {"vda": ROOT, "vdb": DATA},
            ["sda", "vda"],
            {"vdb": {**ROOT, "boot": True}, "vda": DATA},
            ["sda", "vdb", "vda"],
        ),
        ({"vda": ROOT, "vdb": DATA}, ["vda", "vdb"], {"vda": DATA}, []),
        ({"vda": ROOT, "vdb": DATA}, ["vda", "vdb"], {"vdb": ROOT, "vda": DATA}, ["vda", "vdb"]),
        ({"vda": ROOT}, ["sda", "vda"], {"vdc": DATA}, ["sda", "vdc"]),
        ({"vda": ROOT}, ["vda"], {"vdc": ROOT}, []),
        ({"vda": ROOT, "vdb": DATA}, [], {"vdc": ROOT, "vdb": DATA}, ["vdc"]),
        ({"vda": ROOT, "vdb": DATA}, [], {"vda": ROOT, "vdc": DATA}, []),
        ({"vda": ROOT}, [], {"vda": ROOT}, []),
    ],
)
def test_the_order_follows_a_disk_to_a_target_and_stays_with_one_that_is_taken(
    disks: dict[str, dict[str, str]], order: list[str], then: dict[str, dict[str, str]], expected: list[str]
) -> None:
    going = {target for target, disk in disks.items() if then.get(target, {}).get("disk") != disk["disk"]}
    assert order_to_be({"disks": then}, {"disks": disks, "bootOrder": order}, going) == expected
