"""Phrases that describe a row of the catalogue, for the reference page and ``reconcile operations``."""

from __future__ import annotations

import re

from reconciler.catalogue.operation import Limit, LimitSource, Operation, Parameter
from reconciler.catalogue.parameters import said
from reconciler.model.kinds import MACHINE, NETWORK, POOL
from reconciler.model.wire import UNIVIRT

# A length that applies to the whole text, at the beginning of a pattern.
LENGTH = re.compile(r"\(\?=\.\{([0-9]+),([0-9]+)\}\\Z\)")

# Checks of ``catalogue.check`` that no schema can make: arithmetic, and what an IP address is within a list.
_TOPOLOGY = "vcpus: maxvcpus is cores x sockets x threads, and at least the count."
BEYOND: dict[tuple[str, str], str] = {
    (MACHINE, "CreateAndStartVMFromISO"): _TOPOLOGY,
    (MACHINE, "CreateAndStartVMFromImage"): _TOPOLOGY,
    (MACHINE, "ChangeNumberOfCPU"): "With maximum, count is cores x sockets x threads.",
    (NETWORK, "CreateSwitch"): "excludeIPs and dnsServer hold IP addresses.",
    (NETWORK, "ModifySwitch"): "dnsServer holds IP addresses.",
    (NETWORK, "CreateAddress"): "Each of address is an IP address.",
    (NETWORK, "ModifyAddress"): "Each of address is an IP address.",
    **{
        (MACHINE, name): "rule is a match that OVN can read: ovn-sb(5), table Logical_Flow."
        for name in ("AddACL", "ModifyACL", "SetQoS", "ModifyQoS")
    },
}


def exclusions(operation: Operation) -> list[tuple[str, str]]:
    """The pairs of parameters that exclude each other, each once."""
    order = [row.name for row in operation.parameters]
    return [
        (row.name, other)
        for place, row in enumerate(operation.parameters)
        for other in row.excludes
        if place < order.index(other)
    ]


def field_paths(operation: Operation) -> list[str]:
    """The manifest fields that lead to an operation, as ``reconcile explain`` takes them."""
    return [field if field.startswith("VirtualMachine") else f"{operation.kind}.{field}" for field in operation.fields]


def univirt_support(operation: Operation) -> tuple[str, str]:
    """How the existing back end, uni-virt, treats it: yes, caveat or no, and the reason."""
    if not operation.univirt:
        return "yes", ""
    return "caveat" if operation.on_univirt else "no", operation.univirt


def allowed_values(row: Parameter) -> str:
    """The values that a parameter accepts, in one line; empty if the pattern is too long for a line."""
    if row.type == "boolean":
        return " or ".join(str(each).lower() for each in row.enum or (True, False))
    if row.enum:
        return ", ".join(map(str, row.enum))
    if row.minimum is not None:
        return f"{row.minimum} to {row.maximum}"
    if length := LENGTH.match(row.pattern):
        return f"{length[1]} to {length[2]} characters"
    return ""


def _limit_phrase(limit: Limit, row: Parameter) -> str:
    """A narrower limit of a parameter, and where it binds."""
    if limit.source is LimitSource.CLIENT:
        return f"{row.name}: {said(limit, row)} through the Java client, which nothing here uses ({limit.source})."
    return f"{row.name}: {said(limit, row)} for {UNIVIRT} ({limit.source})."


def parameter_relations(operation: Operation) -> list[str]:
    """How parameters depend on each other, one sentence for each rule."""
    found = [f"{one} and {other} exclude each other." for one, other in exclusions(operation)]
    # Parameters that all need one another say so once.
    seen: set[frozenset[str]] = set()
    for row in operation.parameters:
        group = frozenset((row.name, *row.needs))
        if not row.needs or group in seen:
            continue
        mutual = all(
            frozenset((each.name, *each.needs)) == group for each in operation.parameters if each.name in group
        )
        seen.add(group)
        names = [each.name for each in operation.parameters if each.name in group]
        found.append(
            f"{_series(names)} are given together or not at all."
            if mutual
            else f"{row.name} needs {_series(list(row.needs))}."
        )
    if (beyond := BEYOND.get((operation.kind, operation.name))) is not None:
        found.append(beyond)
    found += _SAID.get((operation.kind, operation.name), ())
    return found + [_limit_phrase(limit, row) for row in operation.parameters for limit in row.limits]


_RECORDS_SAID = ("version or all is given.", "Each of version is the name of a backup record, 4 to 100 characters.")

# ``_TOGETHER`` in words.
_SAID: dict[tuple[str, str], tuple[str, ...]] = {
    (MACHINE, "PlugNIC"): ("ip and switch in source go with type l3bridge only.",),
    (MACHINE, "ManageISO"): ("Exactly one of eject, insert and update is true.",),
    (POOL, "CreatePool"): ("opt is given for uus, nfs and glusterfs, and for no other type.",),
    (POOL, "CleanVMBackup"): _RECORDS_SAID,
    (POOL, "CleanVMRemoteBackup"): _RECORDS_SAID,
    (NETWORK, "CreateSwitch"): ("ipv6 is true when subnet is IPv6, and only then.",),
}


def _series(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
