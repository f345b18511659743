"""The machines and networks that a plan is said to leave are those that are there after its apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import apply, observe, plan
from reconciler.model.trace import Topology
from reconciler.model.trace.topology import topology_of
from reconciler.planner.projection import NetworkState, after, observed_networks
from support.golden_plans import CASES, NODES, desired_in, policy_of, prepare
from support.scenario import OPTIONS, served
from support.services import ANSWERING

# What an operation on request, which plans mark with an exclamation mark, does to machines is not foreseen.
BROUGHT_ABOUT = [
    case for case in CASES if not (case / "wire.yaml").exists() and "\n  !  " not in (case / "plan.txt").read_text()
]


@pytest.mark.parametrize("case", BROUGHT_ABOUT, ids=lambda case: case.name)
def test_what_steps_leave_is_what_is_observed_afterwards(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case.parents[2])  # secrets of the cases are in files named from there
    with served(addresses=NODES) as cluster:
        prepare(cluster, case)
        desired = desired_in(case / "desired.yaml")
        before = observed_networks(observe(cluster))
        made = plan(desired, cluster, policy_of(case))
        foreseen = after(before, made.runnable, desired.resources)
        assert apply(made, cluster, options=OPTIONS, prober=ANSWERING).ok
        assert comparable(foreseen) == comparable(observed_networks(observe(cluster)))


def comparable(state: NetworkState) -> Topology:
    """Ports in an order that does not tell in which they came."""
    found = topology_of(state.shapes, state.unmarked)
    ports = sorted(found.ports, key=lambda port: (port.machine, port.mac))
    return Topology(tuple(ports), dict(sorted(found.switches.items())), found.address_sets, found.machines)
