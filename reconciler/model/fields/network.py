"""The fields of networks."""

from __future__ import annotations

from reconciler.model.fields.field import Field, Shown, Type, deletion_policy_row

NETWORK_FIELDS = (
    Field("nodeName", Type.TEXT),
    Field("switch", Type.MAPPING, shown=Shown.NEVER, required_by_import=True),
    Field("switch.subnet", Type.TEXT, recovered=True),
    Field("switch.gateway", Type.TEXT, recovered=True),
    Field("switch.dhcp", Type.TEXT, recovered=True),
    Field("switch.dnsServers", Type.LIST),
    Field("switch.mtu", Type.INTEGER),
    Field("switch.bridge", Type.TEXT),
    Field("switch.vlanId", Type.INTEGER),
    Field("switch.excludeIPs", Type.LIST),
    Field("switch.ipv6", Type.BOOLEAN, recovered=True),
    Field("bridge", Type.MAPPING, shown=Shown.NEVER, required_by_import=True),
    Field("bridge.name", Type.TEXT, recovered=True),
    Field(
        "bridge.nic",
        Type.TEXT,
        unknown_because="the cluster does not show which of the cards is under the bridge",
    ),
    Field("bridge.vlan", Type.INTEGER, taken_back=True),
    Field("addresses", Type.LIST, shown=Shown.NEVER, recovered=True),
    deletion_policy_row("Delete"),
)
