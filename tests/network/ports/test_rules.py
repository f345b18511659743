"""Access rules of OVN: which packets they let through, and that none slips through while they are edited."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from contracts.driver_contract_steps import Steps
from reconciler.model.kinds import NETWORK
from support.datagrams import Receiver, send, settled
from support.ovn_guests import ADDRESSES, MACS, WEB, Guests, three_guests
from support.ovn_hosts import Guest, Ovn
from support.ovn_machines import OvnMachines

PORT = {"swName": "web-net", "vmmac": MACS["web-1"]}
ROUNDS, PROBES = 10, 1000


@pytest.fixture
def guests(ovn: Ovn, does: Steps, machines: OvnMachines) -> Guests:
    """``web`` answers on 3306 and 8080."""
    made = three_guests(ovn, does, machines)
    for port in (3306, 8080):
        assert made.web.serves(port)
        assert made.near.reads(WEB, port)
    assert made.far.reads(WEB, 8080)
    return made


def rule(does: Steps, operation: str, match: str = "", **more: str) -> None:
    given = {"rule": f"'{match}'"} if match else {}
    does.vm(operation, **PORT, **{"type": "to", **given, **more})


def reaches(client: Guest, *ports: int) -> list[bool]:
    return [client.reads(WEB, port) for port in ports]


def test_a_rule_blocks_one_port_for_a_set_of_addresses_and_follows_the_set(does: Steps, guests: Guests) -> None:
    does.run(NETWORK, "not-these", "CreateAddress", address=ADDRESSES["far"])
    rule(does, "AddACL", "ip4.src == $not-these && tcp.dst == 3306", operator="drop")
    assert reaches(guests.far, 3306, 8080) == [False, True]
    assert reaches(guests.near, 3306, 8080) == [True, True]
    does.run(NETWORK, "not-these", "ModifyAddress", address=ADDRESSES["near"])
    assert reaches(guests.far, 3306, 8080) == [True, True]
    assert reaches(guests.near, 3306, 8080) == [False, True]
    rule(does, "DeprecatedACL", "ip4.src == $not-these && tcp.dst == 3306")
    assert reaches(guests.near, 3306, 8080) == [True, True]


def test_what_a_rule_allows_passes_one_of_lower_priority_that_drops(does: Steps, guests: Guests) -> None:
    rule(does, "AddACL", "ip4", operator="drop", priority="50")
    assert reaches(guests.near, 3306, 8080) == [False, False]
    rule(does, "AddACL", "tcp.dst == {8080, 9090} || icmp4", operator="allow")
    assert reaches(guests.far, 3306, 8080) == [False, True]
    assert guests.far.pings(WEB)
    rule(does, "ModifyACL", "ip4", operator="allow", priority="50")
    assert reaches(guests.far, 3306, 8080) == [True, True]


def test_a_rule_for_packets_from_a_machine_leaves_those_to_it(does: Steps, guests: Guests) -> None:
    rule(does, "AddACL", "tcp.dst == 8080 && ip4", operator="drop", type="from")
    assert guests.near.serves(8080)
    assert not guests.web.reads(ADDRESSES["near"], 8080)
    assert guests.far.reads(ADDRESSES["near"], 8080)
    assert reaches(guests.near, 8080) == [True]


def edit(does: Steps, number: int) -> Iterator[partial[object]]:
    """Edits after each of which UDP from ``far`` to 3306 is denied as before, in the order of plans: new before old."""
    matches = ("udp.dst == 3306", "ip4.src == $denied && udp", "ip4", "udp.dst == {3306, 53}", "1 <= udp.dst <= 4000")
    new, old = matches[number % len(matches)], matches[number % len(matches) - 1]
    also = f",192.168.5.{100 + number}" if number % 2 else ""
    other = {"match": f"tcp.dst == {9000 + number}", "priority": "300"}
    yield partial(rule, does, "AddACL", new, priority=str(200 + number), operator="drop")
    yield partial(rule, does, "DeprecatedACL", old, priority=str(199 + number))
    yield partial(does.run, NETWORK, "denied", "ModifyAddress", address=ADDRESSES["far"] + also)
    yield partial(rule, does, "AddACL", operator="allow", **other)
    yield partial(rule, does, "ModifyACL", operator="drop", **other)


def test_what_is_denied_before_and_after_each_edit_never_passes(does: Steps, guests: Guests, tmp_path: Path) -> None:
    does.run(NETWORK, "denied", "CreateAddress", address=ADDRESSES["far"])
    with Receiver(guests.web, 3306, tmp_path / "arrived") as receiver:
        assert send(guests.far, WEB, 3306, count=5, seconds=0.1).wait() == 0
        assert settled(receiver) == 5
        rule(does, "AddACL", "1 <= udp.dst <= 4000", operator="drop", priority="199")
        probes = send(guests.far, WEB, 3306, count=PROBES, seconds=10)
        edits = [each for number in range(ROUNDS) for each in edit(does, number)]
        assert len(edits) == 50
        for each in edits:
            each()
            assert probes.poll() is None, "the probes ended before the edits"
        assert probes.wait() == 0
        assert settled(receiver) == 5
        rule(does, "DeprecatedACL")
        assert send(guests.far, WEB, 3306, count=5, seconds=0.1).wait() == 0
        assert settled(receiver) == 10
