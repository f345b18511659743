"""Plans where a driver shows rules, limits and floating addresses: what is there counts, not what was applied."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.clusters.local import LocalCluster
from reconciler.manifests.desired import Desired
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.wire import SETTINGS
from support.paths import TESTS
from support.scenario import converge, desired_of, plan_of, served

WEB_1 = ResourceId(MACHINE, "web-1")
MAC = "52:54:00:00:00:01"
CASE = TESTS / "plans/rules_and_limits_of_a_nic_change_in_place/given.yaml"
MYSQL, REST = "from 100 tcp.dst == 3306", "to 50 ip4"
SHOWN: dict[str, Any] = {
    "acls": {
        MYSQL: {"direction": "from", "match": "tcp.dst == 3306", "priority": 100, "action": "allow"},
        REST: {"direction": "to", "match": "ip4", "priority": 50, "action": "drop"},
    },
    "qosRules": {
        "from 100 ip4": {"direction": "from", "match": "ip4", "priority": 100, "rateKbps": 10000, "burstKbps": 100}
    },
    "floatingIP": {"address": "10.9.1.9/24", "externalNetwork": "outside"},
}


@pytest.fixture(scope="module")
def desired() -> Desired:
    return desired_of(CASE)


@pytest.fixture(scope="module")
def applied(desired: Desired) -> Iterator[LocalCluster]:
    with served() as cluster:
        converge(cluster, desired)
        yield cluster


def steps(cluster: LocalCluster, desired: Desired, shown: dict[str, Any], **marks: Any) -> list[tuple[str, str]]:
    """The operations that are planned where the machine shows this of its NIC, each with the match or address."""
    resource = cluster.get(WEB_1)
    kept = copy.deepcopy(resource)
    resource["spec"][SETTINGS] = {"nics": {MAC: shown}}
    resource["metadata"] |= marks
    try:
        cluster.update(resource)
        made = plan_of(cluster, desired, allow=frozenset({"interrupt"}))
    finally:
        kept["metadata"]["resourceVersion"] = cluster.get(WEB_1)["metadata"]["resourceVersion"]
        cluster.update(kept)
    assert not made.problems, made.problems
    return [(step.operation, str(step.parameters.get("rule", step.parameters.get("fip")))) for step in made.steps]


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    shown = copy.deepcopy(SHOWN)
    place = shown
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return shown


def test_what_is_as_declared_makes_no_step(applied: LocalCluster, desired: Desired) -> None:
    assert steps(applied, desired, SHOWN) == []


@pytest.mark.parametrize(
    ("path", "value", "planned"),
    [
        (("acls",), None, [("AddACL", "'tcp.dst == 3306'"), ("AddACL", "'ip4'")]),
        (("acls",), {REST: SHOWN["acls"][REST]}, [("AddACL", "'tcp.dst == 3306'")]),
        (("acls", MYSQL, "action"), "drop", [("ModifyACL", "'tcp.dst == 3306'")]),
        (("acls", MYSQL, "action"), "reject", [("ModifyACL", "'tcp.dst == 3306'")]),
        (
            ("acls", "to 70 icmp"),
            {"direction": "to", "match": "icmp", "priority": 70, "action": "drop"},
            [("DeprecatedACL", "'icmp'")],
        ),
        (("qosRules",), None, [("SetQoS", "'ip4'")]),
        (("qosRules", "from 100 ip4", "rateKbps"), 5, [("ModifyQoS", "'ip4'")]),
        (("floatingIP",), None, [("BindFloatingIP", "10.9.1.9/24")]),
    ],
)
def test_what_is_otherwise_is_put_right(
    applied: LocalCluster, desired: Desired, path: tuple[str, ...], value: Any, planned: list[tuple[str, str]]
) -> None:
    assert sorted(steps(applied, desired, changed(path, value))) == sorted(planned)


def test_where_nothing_was_noted_what_is_there_is_known(applied: LocalCluster, desired: Desired) -> None:
    assert steps(applied, desired, SHOWN, annotations={}) == [("(mark)", "None")]
