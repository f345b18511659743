"""Whether parameters may be sent: each by its row, and those that need or exclude each other.

Asked by the planner for every step, by manifests for every ``Operation``, and by agents before they run anything.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from reconciler.catalogue.common import MOST_CPUS, NAME
from reconciler.catalogue.operation import Limit, Operation, Parameter
from reconciler.model.kinds import MACHINE, NETWORK, POOL
from reconciler.model.match import MatchError, parse
from reconciler.model.wire import OWN_AGENT

LONGEST = 4096  # characters of a text
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
DOT_COMPONENT = r"(?:^|[/=,; ])\.\.?(?:[/=,; ]|$)"
_DOT_COMPONENT = re.compile(DOT_COMPONENT)
_USER_INFO = re.compile(r"//[^/@]*@")

# A value becomes a word of a command line on the node; these would end the word or start a command.
_DANGEROUS = re.compile("[\x00-\x1f\x7f-\x9f`$;|&<>'\"\\\\]")
_ADMITTED = {
    "rule": frozenset("'$|&<>"),
    "migratedisks": frozenset(";"),
    "dnsServer": frozenset('"'),
    "userData": frozenset("\t\n\r`$;|&<>'\"\\"),
}
FREE_TEXT = frozenset({"userData"})  # of any length, and with whatever dots


class ParameterError(NamedTuple):
    """Why parameters may not be sent."""

    parameter: str  # its name, or that of the first of several that do not go together
    message: str  # a whole clause: names the parameter
    limit: Limit | None = None  # what refuses it, if that binds with some agents only


def parameter_errors(
    operation: Operation, parameters: Mapping[str, object], agent: str = OWN_AGENT
) -> list[ParameterError]:
    """Everything that is wrong with the parameters as they would be sent to an agent; empty when they may be.

    A switch that is false counts as not given where parameters exclude or need each other.
    """
    errors: list[ParameterError] = []
    known = 0
    for row in operation.parameters:
        if row.name in parameters:
            known += 1
            errors += _row_errors(row, parameters)
        elif row.required:
            errors.append(ParameterError(row.name, f"{row.name} is missing: {row.doc}"))
    if known != len(parameters):
        names = {row.name for row in operation.parameters}
        errors += [ParameterError(name, _unknown_parameter(name, names)) for name in parameters if name not in names]
    if not errors and (rule := _RULES.get((operation.kind, operation.name))):
        errors.extend(rule(parameters))
    if not errors and operation.on(agent):
        errors += (error for row in operation.parameters for error in _limit_errors(row, parameters, agent))
    return errors


def check(operation: Operation, parameters: Mapping[str, object], agent: str = OWN_AGENT) -> list[str]:
    """The messages of ``parameter_errors``."""
    return [error.message for error in parameter_errors(operation, parameters, agent)]


def _limit_errors(row: Parameter, parameters: Mapping[str, object], agent: str) -> Iterator[ParameterError]:
    """What is wrong with a parameter, right by itself, where this agent is served."""
    for limit in row.binding(agent):
        value = parameters.get(row.name)
        if value is None:
            if limit.required:
                yield ParameterError(row.name, f"{row.name} is missing, which {agent} needs ({limit.source})", limit)
        elif not within(limit, str(value)):
            message = f"{row.name} must be {said(limit, row)} for {agent} ({limit.source}), not {_shown(row, value)}"
            yield ParameterError(row.name, message, limit)


def within(limit: Limit, value: str) -> bool:
    """Whether a limit accepts a value that its parameter accepts."""
    if limit.enum:
        return value in limit.enum
    if limit.minimum is not None and limit.maximum is not None:
        return limit.minimum <= int(value) <= limit.maximum
    return not limit.pattern or _compiled(limit.pattern).fullmatch(value) is not None


def said(limit: Limit, row: Parameter) -> str:
    """What a limit of a parameter accepts, in words."""
    if limit.enum:
        return " or ".join(limit.enum)
    if limit.minimum is None:
        return limit.said or "given"
    return f"{limit.minimum} to {limit.maximum}{f' {row.unit}' if row.unit else ''}"


_NO_LIMIT = "0"
"""Takes a limit away, and so excludes none: a total takes the place of read and write limits in one operation."""


def _row_errors(row: Parameter, parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    name, value = row.name, parameters[row.name]
    if problem := _flag(row, value) if row.type == "boolean" else _text(row, value):
        yield ParameterError(name, f"{name} {problem}")
    if value is False:
        return
    for other in row.excludes if value != _NO_LIMIT else ():
        # The later of two names reports the pair, once.
        if other < name and parameters.get(other, False) not in (False, _NO_LIMIT):
            yield ParameterError(other, f"{other} and {name} exclude each other")
    if missing := [other for other in row.needs if other not in parameters]:
        yield ParameterError(name, f"{name} needs {', '.join(missing)} as well")


def refused(parameter: str) -> str:
    """A pattern of the characters that text of a parameter may not have anywhere."""
    points = [
        point for point in range(0xA0) if _DANGEROUS.search(chr(point)) and chr(point) not in _admitted(parameter)
    ]
    return "[" + "".join(f"\\x{point:02x}" for point in points) + "]"


def _admitted(parameter: str) -> frozenset[str]:
    return _ADMITTED.get(parameter, frozenset())


def _unknown_parameter(name: str, names: set[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"{name} is not a parameter" + (f"; did you mean {near[0]}?" if near else "")


def _flag(row: Parameter, value: object) -> str:
    if value is not True and value is not False:
        return f"must be true or false, not {_shown(row, value)}"
    if row.enum and value not in row.enum:
        return f"must be {' or '.join(str(one).lower() for one in row.enum)}"
    return ""


def _text(row: Parameter, value: object) -> str:
    if not isinstance(value, str):
        hint = "; numbers are sent as text" if isinstance(value, int | float) else ""
        return f"must be text, not {_shown(row, value)}{hint}"
    if len(value) > LONGEST and row.name not in FREE_TEXT:
        return f"is longer than {LONGEST} characters"
    if _DANGEROUS.search(value):
        found = set(_DANGEROUS.findall(value)) - _admitted(row.name)
        if found:
            return f"must not contain {' '.join(sorted(map(ascii, found)))}"
    if "." in value and row.name not in FREE_TEXT and _DOT_COMPONENT.search(value):
        return f"must not contain '.' or '..' as part of a path: {_shown(row, value)}"
    if row.enum:
        if value not in row.enum:
            return f"must be one of {', '.join(map(str, row.enum))}, not {_shown(row, value)}"
    elif row.minimum is not None and row.maximum is not None:
        if not _DECIMAL.fullmatch(value) or not row.minimum <= int(value) <= row.maximum:
            unit = f" {row.unit}" if row.unit else ""
            return f"must be a whole number from {row.minimum} to {row.maximum}{unit}, not {_shown(row, value)}"
    elif row.pattern and not _compiled(row.pattern).fullmatch(value):
        example = "" if row.secret else f"; an example: {json.dumps(row.example)}"
        form = f"; {row.form}" if row.form else ""
        return f"does not have the right form: {_shown(row, value)}{form}{example}"
    return ""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _shown(row: Parameter, value: object) -> str:
    if row.secret:
        return "(hidden)"
    if isinstance(value, str):
        value = _USER_INFO.sub("//(hidden)@", value)[:80]
    return json.dumps(value, default=lambda other: type(other).__name__)[:100]


# What several parameters must satisfy together, and a row cannot say. Runs when each is fine by itself.


def _creation(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    vcpus = str(parameters["vcpus"])
    count, maximum, *topology = (
        int(number) for number in re.findall(r"(?:^|maxvcpus=|cores=|sockets=|threads=)([0-9]+)", vcpus)
    )
    if maximum != math.prod(topology):
        yield ParameterError(
            "vcpus", f"vcpus: maxvcpus must be cores x sockets x threads, {math.prod(topology)}, not {maximum}"
        )
    if count > maximum:
        yield ParameterError("vcpus", f"vcpus: {count} is more than maxvcpus, {maximum}")
    if maximum > MOST_CPUS:
        yield ParameterError("vcpus", f"vcpus: {maximum} is more than {MOST_CPUS}")


def _cpus(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    if parameters.get("maximum"):
        product = math.prod(int(str(parameters[name])) for name in ("cores", "sockets", "threads"))
        if int(str(parameters["count"])) != product:
            yield ParameterError("count", f"count must be cores x sockets x threads, {product}, when maximum is true")


def _nic(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    if re.search(",(?:ip|switch)=", str(parameters["source"])) and parameters["type"] != "l3bridge":
        message = f"ip and switch in source go with type l3bridge only, not {parameters['type']}"
        yield ParameterError("source", message)


def _medium(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    if sum(parameters[name] is True for name in ("eject", "insert", "update")) != 1:
        yield ParameterError("eject", "exactly one of eject, insert and update must be true")


def _pool(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    remote = parameters["type"] in ("uus", "nfs", "glusterfs")
    if remote and "opt" not in parameters:
        yield ParameterError("opt", f"opt is missing: a pool of type {parameters['type']} needs it")
    if not remote and "opt" in parameters:
        yield ParameterError("opt", f"opt is not for a pool of type {parameters['type']}")


def _cleaning(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    if "version" not in parameters and not parameters.get("all"):
        yield ParameterError("version", "version or all must be given")
    for version in str(parameters.get("version", "")).split(","):
        if version and not _compiled(NAME).fullmatch(version):
            yield ParameterError("version", f"version: {version} is not the name of a backup record")


def _match(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    """The match of a rule that is to be added or changed. One that is to be deleted may be as it is."""
    try:
        parse(str(parameters["rule"])[1:-1])
    except MatchError as error:
        remedy = f" {error.remedy}" if error.remedy else ""
        yield ParameterError("rule", f"rule is no match of OVN: {error}.{remedy}".removesuffix("."))


def _switch(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    subnet = str(parameters["subnet"])
    if (":" in subnet) != (str(parameters.get("ipv6", "false")).lower() == "true"):
        yield ParameterError("ipv6", f"ipv6 does not fit subnet {subnet}")
    yield from _switch_addresses(parameters)


def _switch_addresses(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    for name, separators in (("excludeIPs", r"\.\.|[ ,]"), ("dnsServer", r'[",{}]+')):
        if name in parameters:
            yield from _addresses(name, re.split(separators, str(parameters[name]).strip('"{}')))


def _address_list(parameters: Mapping[str, object]) -> Iterator[ParameterError]:
    yield from _addresses("address", str(parameters["address"]).split(","))


def _addresses(name: str, addresses: list[str]) -> Iterator[ParameterError]:
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            yield ParameterError(name, f"{name}: {address} is not an IP address")


_RULES: dict[tuple[str, str], Callable[[Mapping[str, object]], Iterator[ParameterError]]] = {
    (MACHINE, "CreateAndStartVMFromISO"): _creation,
    (MACHINE, "CreateAndStartVMFromImage"): _creation,
    (MACHINE, "ChangeNumberOfCPU"): _cpus,
    (MACHINE, "PlugNIC"): _nic,
    (MACHINE, "ManageISO"): _medium,
    (MACHINE, "AddACL"): _match,
    (MACHINE, "ModifyACL"): _match,
    (MACHINE, "SetQoS"): _match,
    (MACHINE, "ModifyQoS"): _match,
    (POOL, "CreatePool"): _pool,
    (POOL, "CleanVMBackup"): _cleaning,
    (POOL, "CleanVMRemoteBackup"): _cleaning,
    (NETWORK, "CreateSwitch"): _switch,
    (NETWORK, "ModifySwitch"): _switch_addresses,
    (NETWORK, "CreateAddress"): _address_list,
    (NETWORK, "ModifyAddress"): _address_list,
}
