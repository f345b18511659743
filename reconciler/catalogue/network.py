"""VirtualMachineNetwork: bridges, switches and address lists, sections 8.1 to 8.12.

The resource's name and the parameter ``name`` are two things: the latter is the bridge on the node.
"""

from __future__ import annotations

from reconciler.catalogue.common import (
    BRIDGE,
    DOES_NOTHING,
    IP_SHAPE,
    IPV4,
    IPV6,
    NIC,
    SHORT_BRIDGE,
    SHORT_NIC,
    TEXT_BOOLEANS,
    UNKNOWN_KEY,
    UNSEEN,
    choice,
    document,
    document_form,
    ip,
    mac,
    name,
    number,
    text,
    vlan,
)
from reconciler.catalogue.operation import Impact, Operation, Verb

KIND = "VirtualMachineNetwork"

_BRIDGE_EXISTS = "the bridge exists"
_SWITCH_EXISTS = "the switch exists"
_ADDRESSES_EXIST = "the address list exists"

_NIC = text("nic", "NIC of the node that joins the bridge.", NIC, "eth1", limits=(SHORT_NIC,))
_NAME = text("name", "Name of the bridge on the node.", BRIDGE, "br-web", limits=(SHORT_BRIDGE,))
_MAC = mac("mac", "NIC of the VM.")
_DOMAIN = name("domain", "The VM.", "web-1")
_DHCP = ip("dhcp", "Address of the DHCP server; without one the switch has no router.", "192.168.5.2", required=False)
_MTU = number("mtu", "Largest packet, in bytes.", 68, 65_535, "1500", required=False, limits=(document(10, 9999),))
_OUTER_BRIDGE = text("bridge", "Bridge to the outside.", BRIDGE, "br-ex", required=False, limits=(SHORT_BRIDGE,))
_ADDRESSES = text(
    "address", "Addresses, separated by commas.", rf"{IP_SHAPE}(?:,{IP_SHAPE})*", "192.168.1.1,192.168.1.2"
)
_RANGE = rf"{IP_SHAPE}(?:\.\.{IP_SHAPE})?"

# fmt: off
# One address alone, several in quoted braces, for both operations that have it (quirk Q96).
_DNS = text(
    "dnsServer",
    'Name server; several as "{FIRST,SECOND}", with the double quotes.',
    rf'(?:{IP_SHAPE}|"\{{{IP_SHAPE}(?:,{IP_SHAPE})+\}}")',
    "192.168.5.1",
    required=False,
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        KIND, "CreateBridge", "8.1", Verb.CREATE,
        "Create a layer-2 bridge on a NIC of the node; the node's own network blinks.",
        (_NIC, _NAME, vlan(required=False)),
        needs=("the node has the NIC",),
        leaves=_BRIDGE_EXISTS,
        fields=("metadata",),
        univirt=DOES_NOTHING,
    ),
    Operation(
        KIND, "DeleteBridge", "8.2", Verb.DELETE,
        "Remove a layer-2 bridge and give the NIC back to the node.",
        (_NIC, _NAME),
        needs=(_BRIDGE_EXISTS, "no VM is on it"),
        leaves="the bridge is gone",
        fields=("metadata",),
        running=Impact.INTERRUPT,
        univirt="removes the resource, and leaves the bridge",
    ),
    Operation(
        KIND, "SetBridgeVlan", "8.3", Verb.UPDATE,
        "Put a bridge into a VLAN.",
        (vlan(), _NAME),
        needs=(_BRIDGE_EXISTS,),
        leaves="the bridge is in the VLAN",
        fields=("bridge.vlan",),
        running=Impact.INTERRUPT,
        univirt=DOES_NOTHING,
    ),
    Operation(
        KIND, "DelBridgeVlan", "8.4", Verb.UPDATE,
        "Take a bridge out of a VLAN.",
        (vlan(), _NAME),
        needs=(_BRIDGE_EXISTS, "the bridge is in the VLAN"),
        leaves="the bridge is in no VLAN",
        fields=("bridge.vlan",),
        running=Impact.INTERRUPT,
        univirt=DOES_NOTHING,
    ),
    Operation(
        KIND, "BindPortVlan", "8.5", Verb.UPDATE,
        "Put a NIC of a VM into a VLAN.",
        (_MAC, _DOMAIN, vlan(doc="VLAN id; always give one.", required=False)),
        needs=(_BRIDGE_EXISTS, "the VM has the NIC"),
        leaves="the NIC is in the VLAN",
        fields=("VirtualMachine.nics.vlan",),
        running=Impact.INTERRUPT,
        univirt=DOES_NOTHING,
        deprecated=True,
    ),
    Operation(
        KIND, "UnbindPortVlan", "8.6", Verb.UPDATE,
        "Take a NIC of a VM out of its VLAN.",
        (_MAC, _DOMAIN, vlan(required=False)),
        needs=(_BRIDGE_EXISTS, "the NIC is in the VLAN"),
        leaves="the NIC is in no VLAN",
        fields=("VirtualMachine.nics.vlan",),
        running=Impact.INTERRUPT,
        univirt=DOES_NOTHING,
        deprecated=True,
    ),
    Operation(
        KIND, "CreateSwitch", "8.7", Verb.CREATE,
        "Create a layer-3 switch. Nobody checks that the addresses make sense together.",
        (
            text(
                "subnet",
                "Its addresses, NETWORK/LENGTH: of IPv4 1 to 30.",
                rf"(?:{IPV4}/(?:[1-9]|[12][0-9]|30)|(?:{IPV6})/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))",
                "192.168.5.0/24",
                limits=(document_form(r"[0-9.]+/(?:8|16|24)|.*:.*", "a prefix length of 8, 16 or 24"),),
            ),
            _DHCP,
            ip("gateway", "Way out of the subnet.", "192.168.5.1"),
            _MTU,
            _OUTER_BRIDGE,
            vlan("vlanId", "VLAN id on the bridge.", required=False),
            text(
                "excludeIPs",
                "Addresses and ranges (FIRST..LAST) not to hand out, separated by spaces.",
                rf"{_RANGE}(?:[ ,]{_RANGE})*",
                "192.168.5.10..192.168.5.100",
                required=False,
            ),
            _DNS,
            choice("ipv6", "Whether the subnet is IPv6.", TEXT_BOOLEANS, "false", required=False),
        ),
        needs=("no switch has the name",),
        leaves=_SWITCH_EXISTS,
        fields=("metadata",),
        univirt=DOES_NOTHING,
    ),
    Operation(
        KIND, "DeleteSwitch", "8.8", Verb.DELETE,
        "Remove a layer-3 switch.",
        (_OUTER_BRIDGE, choice("ipv6", "Whether the subnet is IPv6.", TEXT_BOOLEANS, "False", required=False)),
        needs=(_SWITCH_EXISTS, "no VM is on it"),
        leaves="the switch is gone",
        fields=("metadata",),
        running=Impact.INTERRUPT,
        univirt="removes the resource, and leaves the switch",
    ),
    Operation(
        KIND, "ModifySwitch", "8.9", Verb.UPDATE,
        "Change what a layer-3 switch tells its VMs.",
        (
            ip("gateway", "Way out of the subnet.", "192.168.5.1", required=False),
            _MTU,
            _DNS,
            _DHCP,
            vlan("vlanId", "VLAN id on the bridge.", required=False),
            choice("ipv6", "Whether the subnet is IPv6.", TEXT_BOOLEANS, "False", required=False),
        ),
        needs=(_SWITCH_EXISTS,),
        leaves="the switch has the settings",
        fields=("switch",),
        running=Impact.INTERRUPT,
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "CreateAddress", "8.10", Verb.CREATE,
        "Create a list of addresses that access rules can name.",
        (_ADDRESSES,),
        leaves=_ADDRESSES_EXIST,
        fields=("metadata",),
        univirt=UNSEEN,
        univirt_unseen=True,
    ),
    Operation(
        KIND, "DeleteAddress", "8.11", Verb.DELETE,
        "Delete a list of addresses; the resource's name says which.",
        needs=(_ADDRESSES_EXIST, "no access rule names it"),
        leaves="the address list is gone",
        fields=("metadata",),
        running=Impact.INTERRUPT,
    ),
    Operation(
        KIND, "ModifyAddress", "8.12", Verb.UPDATE,
        "Replace the addresses of a list.",
        (_ADDRESSES,),
        needs=(_ADDRESSES_EXIST,),
        leaves="the list has the addresses",
        fields=("addresses",),
        running=Impact.INTERRUPT,
        univirt=UNSEEN,
        univirt_unseen=True,
    ),
)
# fmt: on
