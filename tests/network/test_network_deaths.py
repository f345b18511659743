"""An agent dies at each write of an operation on a switch: what is there then is whole or nothing, and taken up."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from contracts.driver_contract_steps import Steps
from reconciler.drivers.network.links import Links
from reconciler.model.kinds import NETWORK
from reconciler.model.resource import ResourceId
from support.ovn_hosts import Ovn, until
from support.ovn_writer_dies import MOMENTS, OVN_WRITER_DIES
from support.paths import ROOT, TESTS

WEB_NET = ResourceId(NETWORK, "web-net")
GIVEN = {
    "subnet": "192.168.5.0/24",
    "gateway": "192.168.5.1",
    "dhcp": "192.168.5.2",
    "dnsServer": "9.9.9.9",
    "bridge": "br-ex",
    "vlanId": "300",
}
WRITES = (1, 2)  # of CreateSwitch: the mapping of the bridge, and the switch
TABLES = ("Logical_Switch", "Logical_Switch_Port", "Logical_Router", "Logical_Router_Port", "DHCP_Options", "DNS")


def die_in(ovn: Ovn, links: Links, at: str, operation: str, **parameters: str) -> None:
    words = [*OVN_WRITER_DIES, at, ovn.nb, ovn.hosts[0].db, "web-net", operation, json.dumps(parameters)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}"}
    died = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert died.returncode == -9, f"{died.returncode}: {died.stderr}"
    number = int(ovn.nbctl("get", "NB_Global", ".", "nb_cfg"))
    until(lambda: links.nb.rows("NB_Global")[0].nb_cfg == number, "what the dead have written")


def rows(ovn: Ovn) -> dict[str, int]:
    return {table: ovn.count(table) for table in TABLES}


def mappings(ovn: Ovn) -> str:
    return ovn.hosts[0].vsctl("--if-exists", "get", "Open_vSwitch", ".", "external_ids:ovn-bridge-mappings")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("write", WRITES)
def test_a_creation_that_died_is_whole_or_nothing(ovn: Ovn, does: Steps, links: Links, moment: str, write: int) -> None:
    die_in(ovn, links, f"{moment}:{write}", "CreateSwitch", **GIVEN)
    whole = {**dict.fromkeys(TABLES, 1), "Logical_Switch_Port": 2, "DNS": 0}
    assert rows(ovn) in (whole, dict.fromkeys(TABLES, 0))
    if does.driver.observe(WEB_NET) is None:
        does.run(NETWORK, "web-net", "CreateSwitch", **GIVEN)
    assert rows(ovn) == whole
    assert mappings(ovn) == '"reconcile-br-ex:br-ex"'
    assert does.observe(NETWORK, "web-net")["settings"]["switch"]["vlanId"] == 300
    does.run(NETWORK, "web-net", "DeleteSwitch")
    assert rows(ovn) == dict.fromkeys(TABLES, 0)
    assert mappings(ovn) == ""


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("write", WRITES)
def test_a_deletion_that_died_leaves_nothing_for_good(
    ovn: Ovn, does: Steps, links: Links, moment: str, write: int
) -> None:
    does.run(NETWORK, "web-net", "CreateSwitch", **GIVEN)
    die_in(ovn, links, f"{moment}:{write}", "DeleteSwitch")
    if does.driver.observe(WEB_NET) is not None:
        does.run(NETWORK, "web-net", "DeleteSwitch")
    assert rows(ovn) == dict.fromkeys(TABLES, 0)
    does.switch("db-net")  # what is left of the mapping of the bridge goes with the next switch
    does.run(NETWORK, "db-net", "DeleteSwitch")
    assert mappings(ovn) == ""


def test_a_change_that_died_is_whole_or_nothing(ovn: Ovn, does: Steps, links: Links) -> None:
    does.run(NETWORK, "web-net", "CreateSwitch", **GIVEN)
    before = does.observe(NETWORK, "web-net")
    die_in(ovn, links, "before:2", "ModifySwitch", gateway="192.168.5.9", mtu="1300")
    assert does.observe(NETWORK, "web-net") == before
    die_in(ovn, links, "during:2", "ModifySwitch", gateway="192.168.5.9", mtu="1300")
    does.run(NETWORK, "web-net", "ModifySwitch", gateway="192.168.5.9", mtu="1300")
    after = does.observe(NETWORK, "web-net")["settings"]["switch"]
    assert (after["gateway"], after["mtu"]) == ("192.168.5.9", 1300)
