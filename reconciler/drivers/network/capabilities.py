"""What the network part carries out, in place of what a driver of machines says. To be read without the bindings.

A row here has a function entered with ``@operation`` in a module of this package.
"""

from __future__ import annotations

from reconciler.drivers.capability import YES, Capabilities, Support
from reconciler.model.kinds import MACHINE, NETWORK

_ROWS: dict[str, dict[str, Support]] = {
    MACHINE: {
        "BindFloatingIP": YES,
        "UnbindFloatingIP": YES,
        "AddACL": YES,
        "ModifyACL": YES,
        "DeprecatedACL": YES,
        "BatchDeprecatedACL": YES,
        "SetQoS": YES,
        "ModifyQoS": YES,
        "UnsetQoS": YES,
    },
    NETWORK: {
        "CreateBridge": YES,
        "DeleteBridge": YES,
        "SetBridgeVlan": YES,
        "DelBridgeVlan": YES,
        "BindPortVlan": YES,
        "UnbindPortVlan": YES,
        "CreateSwitch": YES,
        "DeleteSwitch": YES,
        "ModifySwitch": YES,
        "CreateAddress": YES,
        "DeleteAddress": YES,
        "ModifyAddress": YES,
    },
}

ROWS: dict[tuple[str, str], Support] = {
    (kind, name): support for kind, rows in _ROWS.items() for name, support in rows.items()
}


# What a driver of machines does but for NICs on switches of OVN, whose ports are made here.
_PLUGGING = [(MACHINE, name) for name in ("CreateAndStartVMFromISO", "CreateAndStartVMFromImage", "PlugNIC")]


def with_networks(machines: Capabilities) -> Capabilities:
    """What a driver of machines carries out together with the network part."""
    plugging = {row: YES for row in _PLUGGING if machines.supports(*row)}
    return Capabilities(f"{machines.driver}+ovn", {**machines.rows, **plugging, **ROWS})
