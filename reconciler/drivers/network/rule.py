"""Access rules and limits as rows of OVN: whose they are, what tells them apart, and what was written.

A row carries the match as it was asked for. What OVN has is another text: sets have other names there, and an access
rule is bound to its port. A row whose match somebody changed is therefore seen as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.drivers.network.names import address_set_of
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.operation import TOOL, refuse
from reconciler.model.match import MatchError, parse
from reconciler.model.resource import ResourceId
from reconciler.model.rule_match import address_sets, renamed_sets

if TYPE_CHECKING:
    from reconciler.drivers.network.context import NetworkContext
    from reconciler.drivers.network.database import Change, Database, Row

DEFAULT_PRIORITY = "100"
RULE, NIC = "reconcile-rule", "reconcile-nic"  # keys of external_ids: the match as asked for, and the MAC address
_DIRECTIONS = {"from": "from-lport", "to": "to-lport"}
_DOES = ("action", "bandwidth")  # of access rules, of limits
_SHOWN = {theirs: ours for ours, theirs in _DIRECTIONS.items()}


class Rule(NamedTuple):
    """What tells a rule from others of its port or switch."""

    direction: str  # from or to
    priority: str
    match: str

    def __str__(self) -> str:
        """The rule as it is shown."""
        return " ".join(self)

    @property
    def columns(self) -> dict[str, str | int]:
        """The columns of a row that say direction and priority."""
        return {"direction": _DIRECTIONS[self.direction], "priority": int(self.priority)}

    @property
    def written(self) -> str:
        """The match as OVN has it: with its names of sets."""
        return renamed_sets(self.match, {name: address_set_of(name) for name in address_sets(self.match)})

    def on(self, port: str) -> str:
        """The match as OVN has it of an access rule: for packets of one port."""
        return f'{"inport" if self.direction == "from" else "outport"} == "{port}" && ({self.written})'

    def require_readable(self) -> None:
        """Refuse a match that OVN could not read: its database takes any text, and hosts then leave the rule out."""
        try:
            parse(self.match)
        except MatchError as error:
            refuse(TOOL, f"rule is no match of OVN: {error}")


def match_of(context: NetworkContext) -> str:
    """The match that is given, without its quotes."""
    return context.text("rule").removeprefix("'").removesuffix("'")


def rule_of(context: NetworkContext) -> Rule:
    """The rule that is given."""
    return Rule(context.text("type"), context.text("priority", DEFAULT_PRIORITY), match_of(context))


class Written(NamedTuple):
    """A rule that this program wrote into a row, and what OVN has of it now."""

    rule: Rule
    owner: ResourceId
    mac: str  # of the NIC that an access rule is for; empty for a limit
    match: str
    does: Mapping[str, Any]  # columns that say what happens to packets


def written_in(row: Row) -> Written | None:
    """What was written into a row; None for one that this program did not make."""
    ids, owner = row.external_ids, owner_of(row)
    if RULE not in ids or owner is None:
        return None
    rule = Rule(_SHOWN.get(row.direction, row.direction), str(row.priority), ids[RULE])
    does = {name: value for name in _DOES if (value := getattr(row, name, None)) is not None}
    return Written(rule, owner, ids.get(NIC, ""), row.match, does)


def same_in(row: Row) -> tuple[str, int, str]:
    """What OVN tells rules apart by."""
    return row.direction, row.priority, row.match


def rules_in(
    database: Database | Change, rows: Iterable[Row], owner: ResourceId | None = None, mac: str = ""
) -> dict[Rule, Row]:
    """The rules that are rows of this program, of a machine and NIC only if one is given."""
    found = {}
    for row in rows:
        written = database.derived(row, written_in)
        if written is not None and owner in (None, written.owner) and mac in ("", written.mac):
            found[written.rule] = row
    return found


def has_same(change: Change, rows: Iterable[Row], columns: Mapping[str, Any]) -> bool:
    """Whether one of the rows says the same of direction, priority and match."""
    same = columns["direction"], columns["priority"], columns["match"]
    return any(change.derived(row, same_in) == same for row in rows)
