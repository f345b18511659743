"""Addresses of NICs as drivers put them together, and those that guest agents tell in the background."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import Element

import pytest

from reconciler.drivers.addresses import LIMIT, wire_addresses
from reconciler.drivers.libvirt import expected_leases
from reconciler.drivers.libvirt.expected_leases import EXPECTED, ExpectedLeases
from reconciler.drivers.libvirt.guest_agents import AGAIN, FORGOTTEN, SOON, UNANSWERED, GuestAgents, NicAddresses
from reconciler.model.wire import ADDRESS_SOURCES

MAC, OTHER = "52:54:00:0a:00:01", "52:54:00:0a:00:02"
PATIENCE = 10.0


def test_an_address_has_the_surest_of_the_sources_that_know_it() -> None:
    for number, source in enumerate(ADDRESS_SOURCES):
        reported = {each: {MAC: ["192.168.5.9"]} for each in reversed(ADDRESS_SOURCES[number:])}
        assert wire_addresses([MAC], reported) == [{"mac": MAC, "address": "192.168.5.9", "source": source}]


@pytest.mark.parametrize(
    "useless",
    ["127.0.0.1", "::1", "fe80::1", "169.254.7.7", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "fd00::1%eth0", "", "web"],
)
def test_what_is_of_no_use_outside_the_guest_is_left_out(useless: str) -> None:
    assert wire_addresses([MAC], {"agent": {MAC: [useless]}}) == []


def test_only_nics_of_the_machine_are_shown_in_an_order_that_stays() -> None:
    told = ["fd00::9", "10.0.0.10", "10.0.0.9", "FD00:0::0009"]
    reported = {"agent": {MAC: told, "02:42:00:00:00:01": ["172.17.0.1"]}, "lease": {OTHER: ["10.0.0.77"]}}
    found = wire_addresses([OTHER, MAC], reported)
    assert [(each["mac"], each["address"]) for each in found] == [
        (OTHER, "10.0.0.77"), (MAC, "10.0.0.9"), (MAC, "10.0.0.10"), (MAC, "fd00::9"),
    ]  # fmt: skip


def test_a_guest_reports_as_many_as_it_likes_and_a_few_are_shown() -> None:
    told = [f"10.0.{high}.{low}" for high in range(20) for low in range(1, 255)]
    found = wire_addresses([MAC, OTHER], {"agent": {MAC: told, OTHER: ["10.9.9.9"]}})
    assert (len(found), found[-1]["mac"]) == (LIMIT + 1, OTHER)


# Guest agents --------------------------------------------------------------------------------------------------


class Guests:
    """Agents that answer when a test lets them, and a clock that it moves."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.answers: dict[str, NicAddresses | None] = {}
        self.asked: list[tuple[str, int]] = []
        self.noticed: list[str] = []
        self.mute = threading.Event()  # while it is not set, nobody answers
        self.mute.set()
        self.agents = GuestAgents(self.ask, self.noticed.append, lambda: self.clock)

    def ask(self, uuid: str, boot: int) -> NicAddresses | None:
        self.asked.append((uuid, boot))
        assert self.mute.wait(PATIENCE)
        return self.answers.get(uuid)

    def look(self, uuid: str = "u-1", boot: int = 1) -> NicAddresses:
        return self.agents.addresses(uuid, f"vm-{uuid}", boot)

    def settle(self) -> None:
        """Wait for the answers to all that was asked."""
        self.agents.wait(PATIENCE)
        for thread in threading.enumerate():
            if thread.name == "guest-agents":
                thread.join(PATIENCE)

    @contextmanager
    def silence(self) -> Iterator[None]:
        self.mute.clear()
        try:
            yield
        finally:
            self.mute.set()
            self.settle()


@pytest.fixture
def guests() -> Guests:
    return Guests()


def test_nobody_waits_for_an_agent_and_its_answer_is_noticed(guests: Guests) -> None:
    guests.answers["u-1"] = {MAC: ["10.0.0.9"]}
    with guests.silence():
        assert guests.look() == {}
        assert guests.look() == {}, "it is asked once at a time"
    assert guests.asked == [("u-1", 1)]
    assert guests.noticed == ["vm-u-1"]
    assert guests.look() == {MAC: ["10.0.0.9"]}


def test_a_look_at_a_host_waits_a_little_for_those_never_asked_and_for_no_others(guests: Guests) -> None:
    with guests.silence():
        guests.look()
        guests.agents.wait(0.01)
    guests.clock += UNANSWERED
    with guests.silence():
        guests.look()
        guests.agents.wait(PATIENCE * 100)  # it has met that one


def test_mute_agents_hold_up_a_few_workers_and_nobody_else(guests: Guests) -> None:
    with guests.silence():
        for number in range(50):
            assert guests.look(f"u-{number}") == {}
        working = [thread for thread in threading.enumerate() if thread.name == "guest-agents"]
        assert len(working) == 4
    assert sorted(uuid for uuid, _ in guests.asked) == sorted(f"u-{number}" for number in range(50))


def test_an_agent_without_an_address_is_asked_again_soon_and_one_with_some_later(guests: Guests) -> None:
    guests.answers["u-1"] = {}
    guests.look()
    guests.settle()
    for pause in (SOON, 2 * SOON, 4 * SOON):
        guests.clock += pause - 0.1
        guests.agents.ask_again()
        guests.settle()
        before = len(guests.asked)
        guests.clock += 0.1
        guests.agents.ask_again()
        guests.settle()
        assert len(guests.asked) == before + 1
    assert guests.noticed == []
    guests.answers["u-1"] = {MAC: ["10.0.0.9"]}
    guests.clock += AGAIN
    guests.agents.ask_again()
    guests.settle()
    guests.clock += AGAIN - 0.1
    guests.agents.ask_again()
    guests.settle()
    assert (len(guests.asked), guests.noticed) == (5, ["vm-u-1"])


def test_one_that_does_not_answer_any_more_says_what_it_said_until_it_boots_or_is_gone(guests: Guests) -> None:
    guests.answers["u-1"] = {MAC: ["10.0.0.9"]}
    guests.look()
    guests.settle()
    guests.answers["u-1"] = None
    guests.clock += AGAIN
    assert guests.look() == {MAC: ["10.0.0.9"]}
    guests.settle()
    assert guests.look() == {MAC: ["10.0.0.9"]}
    assert guests.look(boot=2) == {}
    guests.settle()
    guests.agents.forget("u-1")
    assert guests.look() == {}


def test_the_answer_of_a_guest_that_booted_meanwhile_is_not_taken(guests: Guests) -> None:
    guests.answers["u-1"] = {MAC: ["10.0.0.9"]}
    with guests.silence():
        guests.look(boot=1)
        guests.answers["u-1"] = {MAC: ["10.0.0.10"]}
        guests.look(boot=2)
    assert guests.look(boot=2) == {MAC: ["10.0.0.10"]}
    assert guests.noticed == ["vm-u-1"]


def test_a_guest_that_nobody_looks_at_is_forgotten(guests: Guests) -> None:
    guests.answers["u-1"] = {MAC: ["10.0.0.9"]}
    guests.look()
    guests.settle()
    guests.clock += FORGOTTEN + 1
    guests.agents.ask_again()
    guests.settle()
    assert len(guests.asked) == 1
    assert guests.look() == {}


# Leases --------------------------------------------------------------------------------------------------------


class Network:
    """A network that gives leases when a test says so, and a clock that it moves."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.given: set[str] = set()
        self.asked = 0
        self.answers = threading.Event()  # while it is not set, libvirt does not answer
        self.answers.set()
        self.noticed: list[str] = []
        self.expected = ExpectedLeases(self.leased, self.noticed.append, lambda: self.clock)

    def leased(self, guests: list[Collection[Element]]) -> list[bool]:
        self.asked += 1
        assert self.answers.wait(PATIENCE)
        return [any(nic.tag in self.given for nic in nics) for nics in guests]

    def look(self, seconds: float = 0.0) -> None:
        """Look after a while, and wait for what comes of it."""
        self.clock += seconds
        self.expected.look()
        self.settle()

    def settle(self) -> None:
        for thread in threading.enumerate():
            if thread.name == "leases":
                thread.join(PATIENCE)


def test_a_lease_is_looked_for_every_other_second_and_noticed() -> None:
    network = Network()
    network.look()
    assert network.asked == 0, "none is expected"
    network.expected.expect("web-1", 1, [Element(MAC)])
    network.expected.expect("web-2", 1, [Element(OTHER)])
    network.look()
    network.look(expected_leases.AGAIN / 2)
    assert (network.asked, network.noticed) == (1, [])
    network.given.add(MAC)
    network.look(expected_leases.AGAIN / 2)
    assert (network.asked, network.noticed) == (2, ["web-1"])
    network.expected.expect("web-1", 1, [])
    network.look(expected_leases.AGAIN)
    assert network.noticed == ["web-1"], "it is shown by now"


def test_a_lease_that_does_not_come_is_not_looked_for_until_the_next_start() -> None:
    network = Network()
    for _ in range(2):
        network.expected.expect("web-1", 1, [Element(MAC)])
        network.look(EXPECTED / 2)
    assert network.asked == 1
    network.expected.expect("web-1", 2, [Element(MAC)])
    network.look()
    assert network.asked == 2


def test_one_look_at_leases_is_enough_where_libvirt_does_not_answer() -> None:
    network = Network()
    network.given.add(MAC)
    network.answers.clear()
    network.expected.expect("web-1", 1, [Element(MAC)])
    for _ in range(5):
        network.clock += expected_leases.AGAIN
        network.expected.look()
    assert sum(thread.name == "leases" for thread in threading.enumerate()) == 1
    network.answers.set()
    network.settle()
    assert (network.asked, network.noticed) == (1, ["web-1"])
