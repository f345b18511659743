"""Lists of addresses as address sets of OVN."""

from __future__ import annotations

import pytest

from contracts.driver_contract_steps import Steps
from reconciler.drivers.network.links import Links
from reconciler.model.kinds import NETWORK
from support.ovn_hosts import Ovn, until


def addresses(ovn: Ovn, name: str) -> str:
    return ovn.nbctl("--bare", "--columns=addresses", "find", "Address_Set", f"name={name}")


@pytest.mark.parametrize(("name", "called"), [("dmz-hosts", "dmz_hosts"), ("dmz", "dmz"), ("1st.dmz", "_1st.dmz")])
def test_a_list_is_a_set_that_matches_can_name(ovn: Ovn, does: Steps, links: Links, name: str, called: str) -> None:
    does.run(NETWORK, name, "CreateAddress", address="192.168.1.2,192.168.1.1")
    assert addresses(ovn, called) == "192.168.1.1 192.168.1.2"
    ovn.nbctl("ls-add", "S", "--", "acl-add", "S", "to-lport", "100", f"ip4.src == ${called}", "drop")
    with does.refused("Exception", name, "1 access rule"):
        does.run(NETWORK, name, "DeleteAddress")
    ovn.nbctl("acl-del", "S")
    until(lambda: not links.nb.rows("ACL"), "the rule is gone")
    does.run(NETWORK, name, "DeleteAddress")
    assert ovn.count("Address_Set") == 0


def test_a_set_whose_name_begins_alike_is_not_in_use(ovn: Ovn, does: Steps) -> None:
    does.run(NETWORK, "dmz", "CreateAddress", address="192.168.1.2")
    ovn.nbctl("ls-add", "S", "--", "acl-add", "S", "to-lport", "100", "ip4.src == $dmz_hosts", "drop")
    does.run(NETWORK, "dmz", "DeleteAddress")


def test_addresses_are_shown_in_the_order_they_were_given_until_they_are_others(ovn: Ovn, does: Steps) -> None:
    does.run(NETWORK, "dmz", "CreateAddress", address="192.168.1.2,192.168.1.1")
    assert does.observe(NETWORK, "dmz")["settings"] == {"addresses": ["192.168.1.2", "192.168.1.1"]}
    ovn.nbctl("set", "Address_Set", "dmz", 'addresses="192.168.1.9"')
    until(lambda: does.observe(NETWORK, "dmz")["settings"] == {"addresses": ["192.168.1.9"]}, "drift", seconds=1)


def test_a_set_of_others_is_not_taken_over(ovn: Ovn, does: Steps, links: Links) -> None:
    ovn.nbctl("create", "Address_Set", "name=dmz", 'addresses="192.168.1.9"')
    until(lambda: links.nb.rows("Address_Set"), "the set")
    with does.refused("Exception", "dmz", "reconcile did not make"):
        does.run(NETWORK, "dmz", "CreateAddress", address="192.168.1.2")
    assert addresses(ovn, "dmz") == "192.168.1.9"
