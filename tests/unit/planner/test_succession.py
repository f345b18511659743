"""Which NIC takes the place of which."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.planner.diff import Change
from reconciler.planner.succession import successions

FRONT, BACK = {"source": "br-int", "network": "front"}, {"source": "br-int", "network": "back"}


def goes(mac: str, **nic: Any) -> Change:
    return Change(("nics", mac), nic, None)


def comes(mac: str, **nic: Any) -> Change:
    return Change(("nics", mac), None, nic)


@pytest.mark.parametrize(
    ("changes", "pairs"),
    [
        pytest.param([goes("a", **FRONT), comes("b", **FRONT)], {"b": "a"}, id="on the same network"),
        pytest.param([goes("a", **FRONT), comes("b", **BACK)], {}, id="on another network"),
        pytest.param([comes("b", **FRONT)], {}, id="nothing goes"),
        pytest.param(
            [goes("a", **FRONT), comes("b", **FRONT), comes("c", **FRONT)], {"b": "a"}, id="more come than go"
        ),
        pytest.param(
            [goes("a", ip="1", **FRONT), goes("b", ip="2", **FRONT), comes("c", ip="2", **FRONT), comes("d", **FRONT)],
            {"c": "b", "d": "a"},
            id="the same address first",
        ),
        pytest.param(
            [Change(("nics", "a"), FRONT, {**FRONT, "ip": "1"}), comes("b", **FRONT)], {}, id="one that comes back"
        ),
        pytest.param([Change(("disks", "vda"), {}, None), Change(("disks", "vdb"), None, {})], {}, id="disks"),
    ],
)
def test_a_nic_takes_the_place_of_one_that_goes_from_the_same_network(
    changes: list[Change], pairs: dict[str, str]
) -> None:
    for order in (changes, changes[::-1]):
        assert {come[1]: gone[1] for come, gone in successions(order).items()} == pairs
