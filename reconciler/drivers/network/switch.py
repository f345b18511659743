"""Switches with their routers, DHCP and uplinks: API sections 8.7 to 8.9 (wire format 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.drivers.network import mappings
from reconciler.drivers.network.context import NetworkContext, operation
from reconciler.drivers.network.names import router_of
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.network.switch_rows import Settings, SwitchRows, settings_of
from reconciler.drivers.network.switch_writer import SwitchWriter
from reconciler.drivers.operation import TOOL, refuse, refuse_taken
from reconciler.model.kinds import NETWORK

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row


@operation(NETWORK, "CreateSwitch", creates=True)
def create_switch(context: NetworkContext) -> None:
    name, settings = context.target.name, Settings.of(context.parameters)
    settings.check(name)

    def write(change: Change) -> None:
        taken = change.find("Logical_Switch", name=name)
        if context.made(taken):
            return
        _require_free(context, change, taken)
        switch = change.insert("Logical_Switch", name=name, external_ids=context.marks())
        SwitchWriter(context, change, SwitchRows(switch), settings, network).write()

    with context.links.mapping_lock:
        network = mappings.ensure(context, settings.bridge) if settings.bridge else ""
        context.carry_out(write)


def _require_free(context: NetworkContext, change: Change, taken: Row | None) -> None:
    """Refuse if OVN has a switch of the target's name, or a router that its own would be."""
    name = context.target.name
    if taken is not None and owner_of(taken) == context.target:
        refuse_taken(context.target)
    router = change.find("Logical_Router", name=router_of(name))
    for what, row in ((f"switch {name}", taken), (f"router {router_of(name)}", router)):
        if row is not None:
            refuse(TOOL, f"{context.target}: OVN has a {what} that reconcile did not make: choose another name")


@operation(NETWORK, "ModifySwitch")
def modify_switch(context: NetworkContext) -> None:
    bridge = settings_of(SwitchRows.of(context.nb, context.row("Logical_Switch"))).bridge

    def write(change: Change) -> None:
        rows = SwitchRows.of(change, context.row("Logical_Switch"))
        settings = settings_of(rows).given(context.parameters)
        settings.check(context.target.name)
        SwitchWriter(context, change, rows, settings, network).write()

    with context.links.mapping_lock:
        network = mappings.ensure(context, bridge) if bridge else ""
        context.carry_out(write)


@operation(NETWORK, "DeleteSwitch")
def delete_switch(context: NetworkContext) -> None:
    def write(change: Change) -> None:
        rows = SwitchRows.of(change, context.row("Logical_Switch"))
        if rows.others:
            refuse(TOOL, f"switch {context.target.name} is in use: {len(rows.others)} ports are on it")
        for row in (rows.switch, rows.router, rows.dhcp):
            if row is not None:
                change.delete(row)

    with context.links.mapping_lock:
        context.carry_out(write)
        mappings.sweep(context)
