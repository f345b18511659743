"""The words that name a flow, and what is wrong with others."""

from __future__ import annotations

import ipaddress

import pytest

from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.trace.flow import AddressEnd, Flow, FlowError, MachineEnd, flow_of

WEB, DB = (MachineEnd(ResourceId(MACHINE, name)) for name in ("web-1", "db-1"))


@pytest.mark.parametrize(
    ("words", "flow"),
    [
        ("vm/web-1 vm/db-1 tcp/3306", Flow(WEB, DB, "tcp", 3306)),
        ("VirtualMachine/web-1 vms/db-1 icmp", Flow(WEB, DB, "icmp")),
        ("vm/web-1 outside udp/53", Flow(WEB, AddressEnd(), "udp", 53)),
        ("fd00::5 vm/db-1 sctp/1", Flow(AddressEnd(ipaddress.ip_address("fd00::5")), DB, "sctp", 1)),
        ("vm/shop/web-1 vm/db-1 icmp", Flow(MachineEnd(ResourceId(MACHINE, "web-1", "shop")), DB, "icmp")),
        ("vm/web-1@52:54:00:0A:00:01 vm/db-1 icmp", Flow(MachineEnd(WEB.id, "52:54:00:0a:00:01"), DB, "icmp")),
    ],
)
def test_words_name_a_flow(words: str, flow: Flow) -> None:
    assert flow_of(*words.split()) == flow
    assert flow_of(*str(flow).replace(" -> ", " ").split()) == flow, "it is printed as it can be asked for"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("web-1 vm/db-1 icmp", "'web-1' is no end of a flow"),
        ("disk/web-1 vm/db-1 icmp", "'disk/web-1' is a VirtualMachineDisk, and flows are from and to machines"),
        ("vm/ vm/db-1 icmp", "'vm/' names no machine"),
        ("vm/web-1@ vm/db-1 icmp", "'vm/web-1@' names no machine"),
        ("vm/a/b/c vm/db-1 icmp", "'vm/a/b/c' names no machine"),
        ("10.0.0.256 vm/db-1 icmp", "'10.0.0.256' is no end of a flow"),
        ("vm/web-1 vm/db-1 tcp", "'tcp' is no protocol with a port"),
        ("vm/web-1 vm/db-1 http/80", "'http/80' is no protocol with a port"),
        ("vm/web-1 vm/db-1 tcp/0", "port 0 is out of range: 1 to 65535"),
        ("vm/web-1 vm/db-1 tcp/65536", "port 65536 is out of range: 1 to 65535"),
        ("vm/web-1 vm/web-1@front icmp", "both ends are VirtualMachine/web-1"),
        ("outside outside icmp", "both ends are outside"),
    ],
)
def test_other_words_are_refused_with_what_to_write(words: str, message: str) -> None:
    with pytest.raises(FlowError) as refused:
        flow_of(*words.split())
    assert str(refused.value) == message
    assert refused.value.remedy.endswith(".")
