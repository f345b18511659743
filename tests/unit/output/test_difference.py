"""Values without identity, compared for people: texts, XML, lists; in ``describe`` and in the status of a daemon."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import cli
from reconciler.output.difference import describe_difference, differences_by_field, has_lines
from reconciler.output.escaping import visible
from reconciler.output.html import plan_html
from reconciler.output.markdown import code, plan_markdown
from support.golden_plans import golden_plan

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)

DISK = "<disk type='file' device='disk'><source file='/a'/><target dev='vdb'/></disk>"
SAME_DISK = """<disk device="disk" type="file">
  <source file="/a"/>
  <target dev="vdb"/>
</disk>"""


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("one\ntwo\nthree\n", "one\n2\nthree\n", ["@@ -1,3 +1,3 @@", "  one", "- two", "+ 2", "  three"]),
        ("--- a\nb", "+++ a\nb", ["@@ -1,2 +1,2 @@", "- --- a", "+ +++ a", "  b"]),
        ("a\nb", "a\nb\n", ["~ only white space differs"]),
        (DISK, SAME_DISK, ["~ only white space differs"]),
        (
            DISK,
            SAME_DISK.replace("/a", "/b"),
            [
                "@@ -1,4 +1,4 @@",
                '  <disk device="disk" type="file">',
                '-   <source file="/a" />',
                '+   <source file="/b" />',
                '    <target dev="vdb" />',
                "  </disk>",
            ],
        ),
        (["1.1.1.1", "8.8.8.8"], ["8.8.8.8", "9.9.9.9"], ["- 1.1.1.1", "+ 9.9.9.9"]),
        (["a", "b"], ["b", "a"], []),
        (None, ["a"], ["+ a"]),
        (["a"], None, ["- a"]),
        (None, True, ["- nothing", "+ true"]),
        (
            {"rules": [{"match": "ip4", "action": "allow"}, {"match": "ip6", "action": "drop"}]},
            {"rules": [{"match": "ip6", "action": "drop"}, {"match": "ip4", "action": "drop"}]},
            ["- rules[0].action: allow", "+ rules[0].action: drop"],
        ),
        ({"data": "a\nb"}, {"data": "a\nc"}, ["data:", "  @@ -1,2 +1,2 @@", "    a", "  - b", "  + c"]),
        ({}, {"name": "\u202etxt"}, ["+ name: \\u202etxt"]),
    ],
)
def test_only_what_differs_is_shown(before: Any, after: Any, lines: list[str]) -> None:
    assert describe_difference(before, after) == lines


@given(values)
def test_equal_values_have_no_difference(value: Any) -> None:
    assert describe_difference(value, value) == []


@given(values, values)
def test_every_line_can_be_seen(before: Any, after: Any) -> None:
    assert all(visible(line) == line for line in describe_difference(before, after))


@pytest.mark.parametrize(
    ("value", "lines"), [("one", False), ("one\ntwo", True), ([], True), ({}, True), (DISK, True), (1, False)]
)
def test_a_value_of_one_line_is_shown_whole(value: Any, lines: bool) -> None:
    assert has_lines(value) is lines


def test_xml_with_entities_is_not_expanded() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "xx">]><a>&x;</a>'
    assert describe_difference(bomb, bomb + "\n<!-- -->") != []


STACK = """
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec: {defaults: {nodeName: node22}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {type: localfs, url: /var/lib/libvirt/disks, content: vmd}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: seed}
spec:
  pool: disks
  cloudInit:
    userData: |
      #cloud-config
      hostname: web-1
      packages: [nginx]
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: web-net}
spec:
  switch: {subnet: 192.168.5.0/24, gateway: 192.168.5.1, dnsServers: [192.168.5.1, 1.1.1.1]}
"""


def run(*words: str) -> str:
    """What a command prints on standard output."""
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_describe_shows_user_data_and_lists_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "shop.yaml").write_text(STACK)
    run("apply", "--yes", "manifests")
    assert "Differences" not in run("describe", "disk/seed", "manifests")
    changed = STACK.replace("hostname: web-1", "hostname: web-2").replace("1.1.1.1]", "9.9.9.9]")
    (manifests / "shop.yaml").write_text(changed)
    disk = run("describe", "disk/seed", "manifests")
    assert (
        """
Differences (- observed, + declared):
  cloudInit.userData:
    @@ -1,3 +1,3 @@
      #cloud-config
    - hostname: web-1
    + hostname: web-2
      packages: [nginx]
"""
        in disk
    )
    assert "\n    userData: |\n      #cloud-config\n      hostname: web-1\n" in disk
    network = run("describe", "network/web-net", "manifests")
    assert "\n  switch.dnsServers:\n    - 1.1.1.1\n    + 9.9.9.9\n" in network


def test_reviewers_see_what_differs_of_a_list_line_by_line() -> None:
    made = golden_plan("an_address_set_changes_its_members")
    (change,) = [change for step in made.steps for change in step.changes if isinstance(change.before, list)]
    gone, come = set(change.before) - set(change.after), set(change.after) - set(change.before)
    assert come
    ((_, name), lines) = next(iter(differences_by_field(made).items()))
    assert name == ".".join(change.path)
    assert sorted(lines) == sorted([*(f"- {each}" for each in gone), *(f"+ {each}" for each in come)])
    markdown, page = plan_markdown(made), plan_html(made)
    for line in lines:
        assert code(line) in markdown
        assert f"{html.escape(line)}\n" in page.replace("</pre>", "\n")


def test_reviewers_are_shown_no_lines_of_what_is_one_value() -> None:
    made = golden_plan("a_restart_that_is_not_allowed_is_held")
    assert differences_by_field(made) == {}
    assert "line by line" not in plan_markdown(made)
