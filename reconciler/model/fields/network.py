"""The fields of networks."""

from __future__ import annotations

from reconciler.model.fields.field import Field, FieldType, Removal, Visibility, deletion_policy_row

NETWORK_FIELDS = (
    Field("nodeName", FieldType.TEXT),
    Field("switch", FieldType.MAPPING, shown=Visibility.NEVER, required_by_import=True),
    Field("switch.subnet", FieldType.TEXT, recovered=True),
    Field("switch.gateway", FieldType.TEXT, recovered=True),
    Field(
        "switch.dhcp",
        FieldType.TEXT,
        recovered=True,
        removed=Removal.STAYS,
        to_remove="No operation takes it away: declare another address, or make the network again.",
    ),
    Field("switch.dnsServers", FieldType.LIST, removed=Removal.RESET, reset=[]),
    Field("switch.mtu", FieldType.INTEGER, removed=Removal.STAYS, to_remove="Declare the number it should have: 1500."),
    Field(
        "switch.bridge",
        FieldType.TEXT,
        removed=Removal.STAYS,
        to_remove="It was set at creation: only another network is without it.",
    ),
    Field(
        "switch.vlanId",
        FieldType.INTEGER,
        removed=Removal.STAYS,
        to_remove="No operation takes it away: make the network again.",
    ),
    Field(
        "switch.excludeIPs",
        FieldType.LIST,
        removed=Removal.STAYS,
        to_remove="It was set at creation: only another network is without it.",
    ),
    Field(
        "switch.ipv6",
        FieldType.BOOLEAN,
        recovered=True,
        removed=Removal.STAYS,
        to_remove="It was set at creation: only another network is without it.",
    ),
    Field("bridge", FieldType.MAPPING, shown=Visibility.NEVER, required_by_import=True),
    Field("bridge.name", FieldType.TEXT, recovered=True),
    Field(
        "bridge.nic",
        FieldType.TEXT,
        unknown_because="the cluster does not show which of the cards is under the bridge",
    ),
    Field("bridge.vlan", FieldType.INTEGER, removed=Removal.UNDONE),
    Field("addresses", FieldType.LIST, shown=Visibility.NEVER, recovered=True),
    deletion_policy_row("Delete"),
)
