"""Limits of switches of OVN: how much of a flood of UDP arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.driver_contract_steps import Steps
from support.datagrams import Receiver, send
from support.ovn_guests import MACS, WEB, Guests, three_guests
from support.ovn_hosts import Ovn
from support.ovn_machines import OvnMachines

QOS = {"swName": "web-net", "type": "to", "rule": f"'ip4.dst == {WEB}'"}


def flooded(guests: Guests, file: Path, megabits: float) -> float:
    """Megabits a second of UDP that arrive of so many that are sent."""
    size, seconds = 1400, 4.0
    with Receiver(guests.web, 5001, file) as receiver:
        count = int(megabits * 1e6 / 8 / (size + 28) * seconds)
        assert send(guests.near, WEB, 5001, count=count, size=size, seconds=seconds).wait() == 0
        return receiver.rate()


def test_a_limit_is_held_changed_and_lifted(ovn: Ovn, does: Steps, machines: OvnMachines, tmp_path: Path) -> None:
    guests = three_guests(ovn, does, machines)
    does.vm("SetQoS", **QOS, rate="10000", burst="2000")
    assert flooded(guests, tmp_path / "first", 45) == pytest.approx(10, rel=0.2)
    does.vm("ModifyQoS", **QOS, rate="30000", burst="6000")
    assert flooded(guests, tmp_path / "second", 60) == pytest.approx(30, rel=0.2)
    does.vm("UnsetQoS", **QOS, vmmac=MACS["web-1"], priority="100")
    assert flooded(guests, tmp_path / "third", 45) > 36
