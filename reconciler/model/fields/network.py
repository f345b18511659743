"""The fields of networks."""

from __future__ import annotations

from reconciler.model.fields.field import Field, FieldType, Visibility, deletion_policy_row

NETWORK_FIELDS = (
    Field("nodeName", FieldType.TEXT),
    Field("switch", FieldType.MAPPING, shown=Visibility.NEVER, required_by_import=True),
    Field("switch.subnet", FieldType.TEXT, recovered=True),
    Field("switch.gateway", FieldType.TEXT, recovered=True),
    Field("switch.dhcp", FieldType.TEXT, recovered=True),
    Field("switch.dnsServers", FieldType.LIST),
    Field("switch.mtu", FieldType.INTEGER),
    Field("switch.bridge", FieldType.TEXT),
    Field("switch.vlanId", FieldType.INTEGER),
    Field("switch.excludeIPs", FieldType.LIST),
    Field("switch.ipv6", FieldType.BOOLEAN, recovered=True),
    Field("bridge", FieldType.MAPPING, shown=Visibility.NEVER, required_by_import=True),
    Field("bridge.name", FieldType.TEXT, recovered=True),
    Field(
        "bridge.nic",
        FieldType.TEXT,
        unknown_because="the cluster does not show which of the cards is under the bridge",
    ),
    Field("bridge.vlan", FieldType.INTEGER, taken_back=True),
    Field("addresses", FieldType.LIST, shown=Visibility.NEVER, recovered=True),
    deletion_policy_row("Delete"),
)
