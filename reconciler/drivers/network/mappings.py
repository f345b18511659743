"""Which networks of OVN a bridge of the node leads to: ``ovn-bridge-mappings`` of its Open vSwitch.

What is there is used. What is missing is added under a name that says so, and goes with the last switch that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.drivers.network.context import NetworkContext
from reconciler.drivers.operation import TOOL, refuse

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Database, Row

_KEY = "ovn-bridge-mappings"
_OURS = "reconcile-"  # what the names of those that are added begin with


def ensure(context: NetworkContext, bridge: str) -> str:
    """The network of OVN behind a bridge of the node, added where there is none. Refuses without the bridge."""

    def write(change: Change) -> str:
        if change.find("Bridge", name=bridge) is None:
            refuse(TOOL, f"bridge {bridge} does not exist in Open vSwitch of {context.node}")
        row, pairs = _read(change)
        for network, leads_to in pairs.items():
            if leads_to == bridge:
                return network
        _write(change, row, {**pairs, f"{_OURS}{bridge}": bridge})
        return f"{_OURS}{bridge}"

    return context.ovs.change(write)[0]


def networks_behind(change: Change, bridge: str) -> list[str]:
    """The networks of OVN that a bridge of the node leads to."""
    return [network for network, leads_to in _read(change)[1].items() if leads_to == bridge]


def leads(ovs: Database, network: str, bridge: str) -> bool:
    """Whether a network of OVN is that behind a bridge of the node."""
    rows = ovs.rows("Open_vSwitch")
    return bool(rows) and _pairs(rows[0]).get(network) == bridge


def sweep(context: NetworkContext) -> None:
    """Remove what was added for switches that are gone."""
    used = {
        each.options.get("network_name") for each in context.nb.rows("Logical_Switch_Port") if each.type == "localnet"
    }

    def write(change: Change) -> None:
        row, pairs = _read(change)
        _write(
            change, row, {name: bridge for name, bridge in pairs.items() if name in used or not name.startswith(_OURS)}
        )

    context.ovs.change(write)


def _read(change: Change) -> tuple[Row, dict[str, str]]:
    row = change.rows("Open_vSwitch")[0]
    return row, _pairs(row)


def _pairs(row: Row) -> dict[str, str]:
    words = filter(None, (each.strip() for each in row.external_ids.get(_KEY, "").split(",")))
    return dict(each.partition(":")[::2] for each in words)


def _write(change: Change, row: Row, pairs: dict[str, str]) -> None:
    ids = {key: value for key, value in row.external_ids.items() if key != _KEY}
    if pairs:
        ids[_KEY] = ",".join(f"{name}:{bridge}" for name, bridge in pairs.items())
    change.set(row, external_ids=ids)
