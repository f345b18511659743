"""Lists of addresses that rules name: API sections 8.10 to 8.12."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.drivers.network.context import NetworkContext, operation
from reconciler.drivers.network.names import address_set_of
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.operation import TOOL, refuse, refuse_taken
from reconciler.model.kinds import NETWORK

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row

_ORDER = "reconcile-set-addresses"  # the addresses as they were given; the set itself has no order
_MATCHING = ("ACL", "QoS", "Logical_Router_Policy")  # tables whose matches may name a set


@operation(NETWORK, "CreateAddress", creates=True)
def create_address(context: NetworkContext) -> None:
    name, addresses = address_set_of(context.target.name), _given(context)

    def write(change: Change) -> None:
        taken = change.find("Address_Set", name=name)
        if taken is None:
            marks = context.marks(**{_ORDER: " ".join(addresses)})
            change.insert("Address_Set", name=name, addresses=addresses, external_ids=marks)
        elif owner_of(taken) == context.target and not context.made(taken):
            refuse_taken(context.target)
        elif not context.made(taken):
            refuse(TOOL, f"{context.target}: OVN has an address set {name} that reconcile did not make for it")

    context.carry_out(write)


@operation(NETWORK, "ModifyAddress")
def modify_address(context: NetworkContext) -> None:
    addresses = _given(context)

    def write(change: Change) -> None:
        row = context.row("Address_Set")
        change.set(row, addresses=addresses)
        change.merge(row, external_ids={_ORDER: " ".join(addresses)})

    context.carry_out(write)


@operation(NETWORK, "DeleteAddress")
def delete_address(context: NetworkContext) -> None:
    def write(change: Change) -> None:
        row = context.row("Address_Set")
        named = re.compile(rf"\${re.escape(row.name)}(?![A-Za-z0-9_.])")
        rules = [each for table in _MATCHING for each in change.rows(table) if named.search(each.match)]
        if rules:
            # OVN would let it go, and what a rule with it drops would pass from then on.
            refuse(TOOL, f"address list {context.target.name} is in use: {len(rules)} access rules name it")
        change.delete(row)

    context.carry_out(write)


def _given(context: NetworkContext) -> list[str]:
    """The addresses of the operation, each once, in their order."""
    words = (each.strip() for each in context.text("address").strip("{}").split(","))
    return list(dict.fromkeys(filter(None, words)))


def in_order(row: Row) -> list[str]:
    """The addresses of a set, in the order in which they were given if they are those."""
    given = row.external_ids.get(_ORDER, "").split()
    return given if sorted(given) == sorted(row.addresses) else sorted(row.addresses)
