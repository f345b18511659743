"""Limits that bind in some places only: the document's and the back end's where uni-virt serves the node, the Java
client's nowhere, and none of them where 'reconcile agent' does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from reconciler.catalogue import OPERATIONS, Limit, LimitSource, Operation, Parameter, Verb, parameter_errors, said
from reconciler.model.wire import OWN_AGENT, UNIVIRT

LIMITS = [(operation, row, limit) for operation in OPERATIONS for row in operation.parameters for limit in row.limits]
limits = pytest.mark.parametrize(
    ("operation", "row", "limit"),
    LIMITS,
    ids=[f"{of.section}-{row.name}-{limit.source}".replace(" ", "-") for of, row, limit in LIMITS],
)
BINDING = (LimitSource.DOCUMENT, LimitSource.BACK_END)

# What the parameters accept and their limits do not, where a pattern says so; the name of the parameter decides.
_PATTERNS = {
    "target": ("vdaa",), "path": ("sdaa",), "device": ("vdzz",), "order": ("vda,sdaa",),
    "password": ("Abc_1", "abc", "a" * 17), "user": ("bob", "Administrator"),
    "rule": ("'ip4.src != 10.0.0.1'", "'eth.src == 52:54:00:00:00:01'", "'" + "ip || " * 40 + "ip'"),
    "alternatives": ("'tcp || udp'", "'ip4 && (tcp) || udp'", "'(((tcp))) || udp'"),
    "sets": ("'ip4.src == $dmz-hosts'", "'ip4.src == $1st'", "'ip4.src == {$dmz, $web-1}'"),
    "fip": ("10.10.0.9/31", "10.10.0.9/32"),
    "name": ("br_ex", "br-internal-1-2"), "nic": ("enp129s0f0np0", "Eth0"), "bridge": ("Bridge1", "br"),
    "subnet": ("10.0.0.0/22", "10.0.0.0/30"),
    "uuid": ("07098ca5-fd17-4fcc-afed-76b0d7fccde4", "07098CA5FD174FCCAFED76B0D7FCCDE4"),
    "graphics": ("vnc,listen=127.0.0.1", "spice,listen=0.0.0.0,password=Secret_1"),
    "targets": ("/var/lib/libvirt/vmd/web-1,target=vdaa",),
    "limits": ("/a/web-1,target=vda,read_iops_sec=100000", "/a/web-1,total_bytes_sec=10000000000"),
    "memory": ("99", "100000", "1048576,maxmemory=2097152"),
    "network": ("type=network,source=default",),
    "vcpus": ("100,maxvcpus=100,cores=100,sockets=1,threads=1",),
}  # fmt: skip


def alone(row: Parameter) -> Operation:
    """An operation with this parameter only, so that nothing else can be wrong."""
    return Operation("Some", "Thing", "0.1", Verb.UPDATE, "", (replace(row, needs=(), excludes=()),))


def beyond(row: Parameter, limit: Limit) -> Iterator[str]:
    """Values that the parameter accepts and its limit does not."""
    if limit.enum:
        yield from (str(each) for each in row.enum if each not in limit.enum)
    elif limit.minimum is not None and limit.maximum is not None:
        assert row.minimum is not None
        assert row.maximum is not None
        yield from (str(each) for each in (limit.minimum - 1, limit.maximum + 1) if row.minimum <= each <= row.maximum)
    elif limit.pattern:
        several = {"disk": ("limits", "targets"), "rule": ("alternatives", "sets", "rule")}.get(row.name, (row.name,))
        said = {"alternatives": "||", "sets": "names of sets", "limits": "limits"}
        yield from _PATTERNS[next((name for name in several if said.get(name, name) in limit.said), several[-1])]


def at_the_edges(row: Parameter, limit: Limit) -> Iterator[str]:
    """Values that both accept."""
    yield from limit.enum or [row.example]
    if limit.minimum is not None and limit.maximum is not None:
        assert row.minimum is not None
        assert row.maximum is not None
        yield from (str(each) for each in (max(limit.minimum, row.minimum), min(limit.maximum, row.maximum)))


def refused(row: Parameter, value: str, agent: str) -> list[Limit | None]:
    """The limits that refuse a value, None for the parameter's own."""
    return [error.limit for error in parameter_errors(alone(row), {row.name: value}, agent)]


@limits
def test_a_limit_binds_for_its_agent_and_for_no_other(operation: Operation, row: Parameter, limit: Limit) -> None:
    values = list(beyond(row, limit))
    assert values or limit.required, "it says the same as the parameter, or less: take it away"
    for value in values:
        assert refused(row, value, OWN_AGENT) == [], value
        if limit.source in BINDING:
            assert limit in refused(row, value, UNIVIRT), value
        else:
            assert limit not in refused(row, value, UNIVIRT), value
    for value in at_the_edges(row, limit):
        assert refused(row, value, OWN_AGENT) == [], value
        assert limit not in refused(row, value, UNIVIRT), value


@limits
def test_the_error_names_the_parameter_and_what_is_accepted_and_where(
    operation: Operation, row: Parameter, limit: Limit
) -> None:
    if limit.source not in BINDING:
        return
    for value in beyond(row, limit):
        found = [each.message for each in parameter_errors(alone(row), {row.name: value}, UNIVIRT)]
        assert any(f"{row.name} must be {said(limit, row)} for uni-virt ({limit.source})" in each for each in found)
        assert not row.secret or not any(value in each for each in found)
    if limit.required:
        (error,) = parameter_errors(alone(row), {}, UNIVIRT)
        assert error.message == f"{row.name} is missing, which uni-virt needs (API document)"
        assert parameter_errors(alone(row), {}) == []


def test_a_pattern_has_words_for_people() -> None:
    assert all(limit.said for _, _, limit in LIMITS if limit.pattern)
    assert not any(limit.said for _, _, limit in LIMITS if not limit.pattern)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("CreateAndStartVMFromISO", "memory", "99999"),
        ("ResizeRAM", "size", str(100 * 1024 * 1024)),
        ("AddACL", "rule", "'ip4.src != 10.0.0.1 && inport == @Web_1'"),
        ("SetQoS", "rate", "1000000"),
        ("SetQoS", "priority", "32767"),
        ("BindFloatingIP", "fip", "10.10.0.9/31"),
        ("BindFloatingIP", "fip", "10.10.0.9/32"),
        ("CreatePool", "uuid", "07098ca5-fd17-4fcc-afed-76b0d7fccde4"),
        ("ChangeNumberOfCPU", "count", "100"),
    ],
)
def test_what_only_the_java_client_refuses_is_sent(name: str, parameter: str, value: str) -> None:
    row = next(row for each in OPERATIONS if each.name == name for row in each.parameters if row.name == parameter)
    for agent in (OWN_AGENT, UNIVIRT):
        assert refused(row, value, agent) == []
