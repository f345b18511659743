"""Every check of manifests: that one manifest fails it, at the value it is about, with a remedy."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from reconciler import InvalidInput, load, validate
from reconciler.catalogue import OPERATIONS
from reconciler.manifests.checks import CHECKS, Check
from reconciler.manifests.cross_checks import REFERENCE_CHECKS
from reconciler.manifests.desired import Declared
from reconciler.manifests.loader import load_texts
from reconciler.manifests.uniqueness import reservations_of
from reconciler.manifests.validator import ValidationResult, Validator
from reconciler.model.fields import references_of
from reconciler.model.kinds import KINDS
from reconciler.model.problem import MOST_SHOWN, Problem, Severity, shown
from support.paths import ROOT
from support.yaml_text import documents_in

INVALID = sorted((Path(__file__).parent / "invalid").iterdir())
DOCUMENTED = sorted((ROOT / "examples/manifests/documented").glob("*.yaml"))
HEAD = "apiVersion: gitops.doslab.io/v1alpha1\n"


def examined(text: str) -> ValidationResult:
    return Validator().examine(load(["-"], stdin=io.BytesIO(text.encode())))


@cache
def refused(file: Path) -> tuple[dict[Any, Declared], tuple[Problem, ...]]:
    """What a file that is not valid declares, with its errors, and the problems."""
    validator = Validator()
    result = validator.examine(load([file]))
    linked = [each.resource for each in validator._checked.values() if each.resource is not None]
    return {each.declared.id: each.declared for each in linked}, tuple(result.problems)


ROWS = [(kind, row) for kind, rows in CHECKS.items() for row in rows]


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=lambda each: getattr(getattr(each, "find", None), "__name__", each))
def test_each_check_has_a_manifest_that_fails_it(kind: str, row: Check) -> None:
    findings = [
        finding
        for file in INVALID
        for resource in refused(file)[0].values()
        if kind in ("", resource.id.kind) and resource.broken.isdisjoint(row.fields)
        for finding in row.find(resource)
    ]
    assert findings
    for finding in findings:
        assert finding.place
        assert finding.remedy


@pytest.mark.parametrize("check", REFERENCE_CHECKS, ids=lambda check: check.__name__)
def test_each_check_of_a_reference_has_a_manifest_that_fails_it(check: Any) -> None:
    findings = [
        finding
        for file in INVALID
        for resource in refused(file)[0].values()
        for path, id in references_of(resource.id.kind, resource.spec, resource.id.namespace)
        if (other := refused(file)[0].get(id)) is not None
        for finding in check(resource, path, other, refused(file)[0])
    ]
    assert findings
    assert all(finding.path and finding.remedy for finding in findings)


def test_each_thing_that_only_one_may_have_is_had_by_two_in_some_manifest() -> None:
    kinds: set[str] = set()
    taken: set[str] = set()
    for file in INVALID:
        keys = [claim.key for resource in refused(file)[0].values() for claim in reservations_of(resource)]
        taken |= {key[0] for key in keys if keys.count(key) > 1}
        kinds |= {key[0] for key in keys}
    assert kinds == taken >= {"mac", "ip", "disk", "limit", "pool", "bridge", "card", "device"}


def test_every_problem_of_a_field_is_at_the_field_and_has_a_remedy() -> None:
    for file in INVALID:
        for problem in refused(file)[1]:
            assert problem.remedy, problem
            # A network is one of three things, and nothing says which one is meant.
            assert problem.path != "spec" or "exactly one of" in problem.message, problem


def paths_in(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*at, key)
        yield from paths_in(each, (*at, key))


_WRONG: tuple[Any, ...] = ("x" * 5000, [None])


@pytest.mark.parametrize("file", DOCUMENTED, ids=lambda file: file.stem)
def test_whatever_is_broken_everything_is_checked_and_said_at_its_place(file: Path) -> None:
    """Each value of each documented manifest taken away, and replaced by a long text or a list of nothing."""
    documents = [each for each in documents_in(file.read_text()) if each]
    for number, document in enumerate(documents):
        for path in paths_in(document):
            if (
                path[:2] == ("metadata", "name")
                or path[0] in ("apiVersion", "kind")
                or path in (("metadata",), ("spec",))
            ):
                continue
            for value in (_WRONG[len(str(path)) % 2], ...):  # one of them, and without it
                broken = copy.deepcopy(documents)
                place = broken[number]
                for part in path[:-1]:
                    place = place[part]
                if value is ...:
                    del place[path[-1]]
                else:
                    place[path[-1]] = value
                listed = load_texts({"broken.json": json.dumps({"kind": "List", "items": broken})})
                for problem in Validator().examine(listed).problems:
                    assert problem.remedy, problem
                    assert problem.path != "spec" or "exactly one of" in problem.message, problem
                    assert len(problem.message) < 2 * MOST_SHOWN + 200, problem


def test_a_message_quotes_the_beginning_of_a_long_value_only() -> None:
    for value in ("x" * 5000, ["x" * 5000], {"a": "x" * 5000}, "'" * 5000):
        assert len(shown(value)) <= MOST_SHOWN
    assert shown("abc") == "'abc'"


@pytest.mark.parametrize(
    "field",
    ["graphics: {type: vnc, passwordFrom: {env: horse-12!}}", "guest: {user: root, passwordFrom: {env: horse-12!}}"],
)
def test_what_may_be_a_secret_is_not_quoted_and_its_rule_is_said(field: str) -> None:
    text = (
        HEAD + "kind: VirtualMachine\nmetadata: {name: web-1}\nspec:\n  nodeName: node22\n  osVariant: debian12\n"
        "  cpu: {count: 1}\n  memory: {size: 1Gi}\n  disks: [{target: vda, disk: web-1-root}]\n"
        "  nics: [{mac: '52:54:00:00:00:05', type: l2bridge, source: br-lan}]\n  " + field + "\n"
    )
    (problem,) = examined(text).problems
    assert "horse" not in str(problem)
    assert "hidden" in problem.message
    assert problem.remedy


def test_each_secret_parameter_says_its_rule() -> None:
    for operation in OPERATIONS:
        for row in operation.parameters:
            if row.secret and row.pattern:
                assert row.form, (operation.name, row.name)


def test_what_is_referred_to_and_not_described_is_a_warning_offline_only() -> None:
    text = (
        HEAD + "kind: VirtualMachineDisk\nmetadata: {name: web-1-root}\n"
        "spec: {nodeName: node22, pool: disks, from: {image: debian12}}\n---\n"
        + HEAD
        + "kind: Operation\nmetadata: {name: show-it}\n"
        "spec: {target: {kind: VirtualMachinePool, name: disks}, operation: ShowPool}\n"
    )
    loaded = load(["-"], stdin=io.BytesIO(text.encode()))
    assert not validate(loaded).warnings
    warnings = validate(loaded, offline=True).warnings
    assert [(each.path, each.severity) for each in warnings] == [
        ("spec.pool", Severity.WARNING),
        ("spec.from.image", Severity.WARNING),
        ("spec.target.name", Severity.WARNING),
    ]
    assert "VirtualMachinePool/disks is not described here" in warnings[0].message


def test_files_that_no_later_operation_takes_are_a_warning_offline_only() -> None:
    pool = "kind: VirtualMachinePool\nmetadata: {{name: {}}}\nspec: {{nodeName: node22, {}}}\n---\n"
    text = (
        HEAD
        + pool.format("vms-1", "type: localfs, url: /srv/vms/")
        + HEAD
        + pool.format("vms-2", "type: dir, url: /mnt/localfs")
        + HEAD
        + pool.format("vms-3", "type: nfs, url: '10.0.0.9:/srv', options: rw")
        + HEAD
        + "kind: VirtualMachine\nmetadata: {name: web-1}\n"
        "spec: {nodeName: node22, osVariant: debian12, cpu: {count: 1}, memory: {size: 1Gi}, nics: [],\n"
        "  disks: [{target: vda, block: /dev/sdb}, {target: vdb, block: /dev/disk/by-id/wwn-1}],\n"
        "  cdroms: [{target: sda, path: /srv/iso/a.iso}, {target: sdb, path: /mnt/usb/iso/a.iso}, {target: sdc}]}\n"
    )
    loaded = load(["-"], stdin=io.BytesIO(text.encode()))
    assert not validate(loaded).warnings
    warnings = validate(loaded, offline=True).warnings
    assert [(each.path, each.origin.line, each.severity) for each in warnings] == [
        ("spec.url", 4, Severity.WARNING),
        ("spec.disks[0].block", 20, Severity.WARNING),
        ("spec.cdroms[0].path", 21, Severity.WARNING),
    ]


@pytest.mark.parametrize(
    ("agent", "graphics", "path"),
    [
        ("reconcile", "", ""),
        ("reconcile", "graphics: {type: spice}", ""),
        ("reconcile", "graphics: {type: vnc, listen: '::1'}", ""),
        ("reconcile", "graphics: {type: vnc, listen: 0.0.0.0}", "spec.graphics.listen"),
        ("reconcile", "graphics: {type: vnc, listen: 10.0.0.22, passwordFrom: {env: VNC}}", ""),
        ("uni-virt", "", "spec"),
        ("uni-virt", "graphics: {type: vnc}", "spec.graphics"),
        ("uni-virt", "graphics: {type: vnc, passwordFrom: {env: VNC}}", ""),
    ],
)
def test_a_console_that_others_reach_without_a_password_is_a_warning_offline(
    agent: str, graphics: str, path: str
) -> None:
    text = (
        f"{HEAD}kind: Stack\nmetadata: {{name: shop}}\nspec: {{agent: {agent}}}\n---\n{HEAD}"
        "kind: VirtualMachine\nmetadata: {name: web-1}\n"
        "spec:\n  nodeName: node22\n  osVariant: debian12\n  cpu: {count: 1}\n  memory: {size: 1Gi}\n  disks: []\n"
        f"  nics: [{{type: bridge, source: br-ext, mac: '52:54:00:00:00:01'}}]\n  {graphics}\n"
    )
    warnings = validate(load_texts({"machines.yaml": text}), offline=True).warnings
    assert [each.path for each in warnings if "console" in each.message] == ([path] if path else [])


def test_switches_whose_subnets_overlap_are_a_warning_offline_only() -> None:
    subnets = {"wide": "10.0.0.0/8", "inside": "10.1.0.0/16", "last": "10.255.0.0/16", "alone": "11.0.0.0/8"}
    subnets |= {"same": "11.0.0.0/8", "other": "192.168.5.0/24", "six": "fd00::/64"}
    text = "".join(
        "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachineNetwork\n"
        f"metadata: {{name: {name}-net}}\n"
        f"spec: {{nodeName: n1, switch: {{subnet: '{subnet}', gateway: '{subnet.partition('/')[0]}1'"
        f"{', ipv6: true' if ':' in subnet else ''}}}}}\n".replace(".01'", ".1'")
        for name, subnet in subnets.items()
    )
    loaded = load_texts({"networks.yaml": text})
    assert validate(loaded).warnings == []
    assert [(each.path, each.severity, each.message) for each in validate(loaded, offline=True).warnings] == [
        (
            "spec.switch.subnet",
            Severity.WARNING,
            f"{subnet} {what} of VirtualMachineNetwork/{other} at networks.yaml:{line}:39: "
            "nothing can reach both by its address",
        )
        for subnet, what, other, line in (
            ("10.1.0.0/16", "overlaps 10.0.0.0/8", "wide-net", 5),
            ("10.255.0.0/16", "overlaps 10.0.0.0/8", "wide-net", 5),
            ("11.0.0.0/8", "is also the subnet", "alone-net", 20),
        )
    ]


def test_a_snapshot_of_a_disk_that_its_machine_does_not_have_is_a_warning_offline_only() -> None:
    machine = (
        "kind: VirtualMachine\nmetadata: {name: web-1}\nspec: {nodeName: node22, osVariant: debian12, cpu: {count: 1}, "
        "memory: {size: 1Gi}, disks: [{target: vda, disk: root}], cdroms: [{target: sda, path: /a.iso}], nics: []}\n"
    )
    targets = "{target: vda}, {target: vdb}, {target: sda, mode: 'no'}, {target: sda}"
    snapshot = (
        "kind: VirtualMachineSnapshot\nmetadata: {name: before}\n"
        f"spec: {{nodeName: node22, virtualMachine: web-1, disks: [{targets}]}}\n"
    )
    loaded = load(["-"], stdin=io.BytesIO(f"{HEAD}{machine}---\n{HEAD}{snapshot}".encode()))
    assert not validate(loaded).warnings
    warnings = [each for each in validate(loaded, offline=True).warnings if "has no disk" in each.message]
    assert [(each.path, each.severity) for each in warnings] == [
        ("spec.disks[1].target", Severity.WARNING),
        ("spec.disks[3].target", Severity.WARNING),
    ]


def test_what_is_described_with_an_error_is_described() -> None:
    text = (
        HEAD + "kind: VirtualMachineDisk\nmetadata: {name: web-1-root}\n"
        "spec: {nodeName: node22, pool: disks, capacity: 10Gi}\n---\n"
        + HEAD
        + "kind: VirtualMachinePool\nmetadata: {name: disks}\nspec: {nodeName: node22, type: localfs}\n"
    )
    with pytest.raises(InvalidInput) as caught:
        validate(load(["-"], stdin=io.BytesIO(text.encode())), offline=True)
    assert [problem.message for problem in caught.value.problems] == ["url is missing"]


def test_an_error_in_the_stack_is_the_only_one() -> None:
    file = Path(__file__).parent / "invalid/a_stack_with_one_error_keeps_its_defaults.yaml"
    assert len(refused(file)[1]) == 1


def test_what_the_stack_says_besides_its_error_holds() -> None:
    text = (
        HEAD + "kind: Stack\nmetadata: {name: shop}\n"
        "spec: {defaults: {nodeName: n7}, policy: {allow: [death], prune: true}}\n"
    )
    stack = examined(text).desired.stack
    assert (stack.name, stack.defaults, stack.prune, stack.allow) == ("shop", {"nodeName": "n7"}, True, frozenset())


def test_all_kinds_have_checks() -> None:
    assert CHECKS.keys() - {""} <= KINDS.keys()


def test_a_flow_that_is_expected_of_a_machine_that_is_not_described_is_told_offline() -> None:
    stack = """apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec:
  expect:
    - {from: outside, to: vm/web-9, port: icmp, allowed: false}
"""
    loaded = load_texts({"reconcile.yaml": stack})
    assert validate(loaded).warnings == [], "a plan looks on the cluster"
    (warning,) = validate(loaded, offline=True).warnings
    place, message = "reconcile.yaml:6:7: warning: spec.expect[0]", "VirtualMachine/web-9 is not described here"
    assert str(warning).startswith(f"{place}: {message}: it must be on the cluster")
