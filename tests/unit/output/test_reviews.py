"""Plans as their reviewers see them: Markdown, a page, graphs. Complete, bounded, the same, and never believed.

``reviews`` has some of the golden plans as Markdown and graphs; ``--update-plans`` writes them anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import Plan
from reconciler.catalogue.operation import Impact
from reconciler.model.resource import ResourceId
from reconciler.output.chart import reduced, resources_chart, steps_chart
from reconciler.output.dot import chart_dot, quoted
from reconciler.output.escaping import fitted, visible, width
from reconciler.output.html import plan_html
from reconciler.output.markdown import plan_markdown
from reconciler.output.mermaid import chart_mermaid
from reconciler.output.review import changes, differences
from reconciler.output.svg import MOST, plan_svg
from reconciler.planner.explanation import ChangeText, explain
from reconciler.planner.plan import Action, FieldChange, Reason
from support.adversarial_plans import TEXTS, fleet, hostile, step
from support.command_line import run
from support.golden_plans import golden_plan
from support.paths import QUICKSTART, ROOT
from support.scenario import desired_of

FLEET = ROOT / "examples" / "manifests" / "fleet"
REVIEWS = sorted(path for path in (Path(__file__).parent / "reviews").iterdir() if path.is_dir())
COMMENT = 65_535


@pytest.mark.parametrize("review", REVIEWS, ids=lambda path: path.name)
def test_a_review_is_as_written(review: Path, update_plans: bool) -> None:
    made = golden_plan(review.name)
    chart = steps_chart(made)
    for name, found in (
        ("plan.md", plan_markdown(made)),
        ("plan.dot", chart_dot(chart)),
        ("plan.mmd", chart_mermaid(chart)),
    ):
        if update_plans:
            (review / name).write_text(found)
        assert found == (review / name).read_text()


# The same for the same plan -------------------------------------------------------------------------------


def command(folder: Path, seed: str, *words: str) -> bytes:
    program = [sys.executable, "-c", "from reconciler.cli import main; main()", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
    environment.pop("RECONCILE_CLUSTER", None)
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "-o", "markdown"),
        ("plan", "-o", "html"),
        ("graph",),
        ("graph", "--format", "mermaid"),
        ("graph", "--of", "resources"),
        ("graph", "--of", "resources", "--format", "mermaid"),
    ],
    ids=" ".join,
)
def test_another_process_and_another_order_of_files_give_the_same_bytes(tmp_path: Path, words: tuple[str, ...]) -> None:
    texts = [file.read_text() for file in sorted(FLEET.glob("*.yaml"))]
    documents = [each for text in texts for each in re.split(r"^---\n", text, flags=re.MULTILINE) if "kind:" in each]
    found = set()
    for seed, ordered in (("1", documents), ("2", documents[::-1])):
        folder = tmp_path / seed / "fleet"
        folder.mkdir(parents=True)
        for number, document in enumerate(ordered):
            (folder / f"{number:03}.yaml").write_text(document)
        found.add(command(folder, seed, *words, "."))
    assert len(found) == 1
    assert b"VirtualMachineDisk" in found.pop()


# Complete, and within bounds ------------------------------------------------------------------------------


def test_what_destroys_or_restarts_is_never_folded() -> None:
    steps = [
        step(1, operation="DeleteDisk", impact=Impact.DATA, action=Action.DELETE),
        step(2, operation="DeletePool", action=Action.DELETE),
        step(3, operation="ConvertVMToImage", impact=Impact.RECREATE),
        step(4, operation="StopVM", impact=Impact.RESTART, held_by="restart"),
        step(5, operation="StartVM", held_by="restart"),
        *(step(number) for number in range(6, 30)),
    ]
    text = plan_markdown(Plan("shop", tuple(reversed(steps))))
    open_part, _, folded = text.partition("<details>")
    names = ["DeleteDisk", "DeletePool", "ConvertVMToImage", "StopVM"]
    places = [open_part.index(f"<code>{name}</code>") for name in names]
    assert places[0] < min(places[1:3])
    assert places[3] > max(places[:3])
    assert not [name for name in names if name in folded]
    assert "restart, held: --allow restart" in open_part
    assert "none, held: --allow restart" in folded
    assert "25 steps that do no harm, 1 of them held" in folded
    assert "2 steps are held; release with --allow restart:VirtualMachine/web-4." in text.partition("###")[0]


def test_too_many_harmless_steps_are_counted_and_the_grave_still_listed() -> None:
    many = fleet(2000)
    made = Plan("shop", (*many.steps, step(5000, operation="DeleteVM", impact=Impact.DATA, action=Action.DELETE)))
    text = plan_markdown(made)
    assert len(text.encode()) < COMMENT
    assert "| change | <code>ResizeRAM</code> | <code>VirtualMachine</code> | 2000 |" in text
    assert "web-1999" not in text
    assert "too many to list" in text
    assert "<code>VirtualMachine/web-5000</code>" in text.partition("<details>")[0]


def test_of_too_many_grave_steps_as_many_are_listed_as_fit() -> None:
    text = plan_markdown(fleet(3000, impact=Impact.RESTART))
    listed = text.count("\n| change |")
    assert 60_000 < len(text.encode()) < COMMENT
    assert f"**…and {3000 - listed} more that destroy, delete, restart or interrupt" in text
    assert "Stops or restarts 3000 VMs" in text


values = st.one_of(st.text(max_size=40), st.sampled_from(TEXTS))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(values, values, st.sampled_from(Impact), st.sampled_from(Action), st.sampled_from(["", "data"])),
        max_size=12,
    ),
    st.integers(1, 300),
)
def test_a_comment_takes_any_plan(rows: list[tuple[str, str, Impact, Action, str]], times: int) -> None:
    steps = tuple(
        step(
            number,
            FieldChange(("cpu", "model"), value, value),
            operation=name,
            node=name,
            impact=impact,
            action=action,
            held_by=held,
        )
        for number, (name, value, impact, action, held) in enumerate(rows * times)
    )
    extra = hostile()
    text = plan_markdown(Plan(TEXTS[-2], steps, extra.problems * times, extra.notes, 1))
    assert len(text.encode()) < COMMENT
    assert text.count("<details") == text.count("</details>") <= 1


def test_a_page_of_any_size_has_every_step() -> None:
    text = plan_html(fleet(MOST + 1))
    assert text.count('<tr id="step-') == MOST + 1
    assert text.count('class="box') == 1
    assert f"{MOST + 1} × ResizeRAM" in text
    assert plan_svg(fleet(MOST)).count("<a href=") == MOST


# Never believed -------------------------------------------------------------------------------------------


def test_markdown_reads_nothing_of_what_others_wrote() -> None:
    text = plan_markdown(hostile())
    assert not [line for line in text.splitlines() if line.startswith("|") and line.count("|") != 7]
    assert set(re.findall(r"<[^>]*>", text)) <= {
        "<code>",
        "</code>",
        "<br>",
        "<details>",
        "<details open>",
        "</details>",
    } | {
        "<summary>",
        "</summary>",
    }
    outside = re.sub(r"<code>.*?</code>", "", text)
    assert not re.search(r"[@`\[\]~\\]|example|http|www", outside)
    inside = "".join(re.findall(r"<code>(.*?)</code>", text))
    assert not re.search(r"[@`\[\]*_~\\|<>\"']|://|www\.", inside)
    assert not [character for character in text.replace("\n", "") if not character.isprintable()]


class Reader(HTMLParser):
    """The elements and the text of a page; fails for one that is not closed."""

    VOID = frozenset({"meta", "br", "rect", "path"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_page_reads_nothing_of_what_others_wrote_and_asks_nobody() -> None:
    page = Reader(plan_html(hostile()))
    text = "".join(page.texts)
    assert [each for each in TEXTS if visible(each) not in text] == []
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "image", "use"}
    names = {name for _, attributes in page.elements for name in attributes}
    assert not names & {"src", "style", "srcset", "action", "xlink:href"}
    assert not [name for name in names if name.startswith("on")]
    targets = [str(attributes["href"]) for _, attributes in page.elements if "href" in attributes]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert {target[1:] for target in targets} <= set(ids)
    assert all(target.startswith("#") for target in targets)
    assert len(ids) == len(set(ids))
    assert "url(" not in (ROOT / "reconciler" / "output" / "page.css").read_text()


def test_a_page_is_made_for_keyboards_and_screen_readers() -> None:
    page = Reader(plan_html(golden_plan("everything_is_made_in_the_order_of_its_references")))
    tags = [tag for tag, _ in page.elements]
    assert (tags.count("h1"), tags.count("main")) == (1, 1)
    assert ("html", {"lang": "en"}) in page.elements
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
    assert tags.count("table") == tags.count("caption")
    boxes = [attributes for tag, attributes in page.elements if tag == "a" and "aria-label" in attributes]
    assert len(boxes) == 8
    assert {"title", "desc"} <= set(tags)
    scrolling = [attributes for _, attributes in page.elements if attributes.get("class") == "scroll"]
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in scrolling)


def test_graphs_quote_whatever_a_name_holds() -> None:
    chart = steps_chart(hostile())
    strings = r'"(?:[^"\\\n]|\\.)*"'
    left = re.sub(strings, "", chart_dot(chart))
    assert re.fullmatch(r"[\w\s\[\]{}=,;>-]*", left), left
    node = r'    n\d+\["[^"\]\[`<|]*(<br/>[^"\]\[`<|]*)*"\]:::\w+'
    edge = r"  n\d+ (-->|-\.->) n\d+"
    frame = r"flowchart LR|  subgraph g\d+\[\"wave \d+\"\]|  end|  classDef \w+ [\w#,:\- ]+|  class n\d+ held"
    wrong = [line for line in chart_mermaid(chart).splitlines() if not re.fullmatch(f"{node}|{edge}|{frame}", line)]
    assert not wrong
    assert quoted('a\\"') == '"a\\\\\\""'


# What they are made of ------------------------------------------------------------------------------------


MAXIMUM = FieldChange(("cpu", "max"), 4, 8)
NIC = ("nics", "52:54:00:00:00:01", "qos", "inbound")


@pytest.mark.parametrize(
    ("changed", "cells", "text"),
    [
        (FieldChange(("memory", "size"), "2Gi", "4Gi"), ("memory.size", "2Gi", "4Gi"), "memory.size 2Gi -> 4Gi"),
        (MAXIMUM, ("cpu.max", "4", "8"), "cpu.max 4 -> 8"),
        (
            FieldChange(("disks", "vdb"), None, {"target": "vdb", "disk": "data-1"}),
            ("disks[vdb]", "nothing", "disk data-1"),
            "disks[vdb] new: disk data-1",
        ),
        (
            FieldChange(("guest", "sshKeys", "k"), None, {}),
            ("guest.sshKeys[k]", "nothing", "new"),
            "guest.sshKeys[k] new",
        ),
        (
            FieldChange(("disks", "vdb"), {"disk": "a"}, None),
            ("disks[vdb]", "declared", "no longer declared"),
            "disks[vdb] is no longer declared",
        ),
        (
            FieldChange(("disks", "vdb"), {"disk": "a", "bus": "c"}, {"disk": "b", "bus": "d"}),
            ("disks[vdb]", "", "replaced: disk a -> b, bus c -> d"),
            "disks[vdb] replaced: disk a -> b, bus c -> d",
        ),
        (
            FieldChange(NIC, None, "1Mi"),
            (f"nics[{NIC[1]}].qos.inbound", "nothing", "1Mi"),
            f"nics[{NIC[1]}].qos.inbound nothing -> 1Mi",
        ),
        (FieldChange(("cpu", "model"), "a -> b", "c"), ("cpu.model", "a -> b", "c"), "cpu.model a -> b -> c"),
        (FieldChange(("cpu", "model"), "a; b", "c"), ("cpu.model", "a; b", "c"), "cpu.model a; b -> c"),
        (
            FieldChange(("stack",), None, "shop"),
            ("", "", "taken over into the stack shop"),
            "taken over into the stack shop",
        ),
    ],
)
def test_a_change_is_put_into_words_from_its_values(
    changed: FieldChange, cells: tuple[str, str, str], text: str
) -> None:
    assert changes(step(1, changed)) == [ChangeText(*cells)]
    assert explain(step(1, changed)) == text


def test_the_reason_of_a_step_is_put_into_words_from_its_values() -> None:
    web = ResourceId("VirtualMachine", "web-1")
    both = step(1, MAXIMUM, FieldChange(("cpu", "count"), 2, 6))
    assert explain(both) == "cpu.max 4 -> 8; cpu.count 2 -> 6"
    assert explain(step(1, MAXIMUM, reason=Reason.RESTART)) == "restart for cpu.max 4 -> 8"
    assert explain(step(1, MAXIMUM, details={"nextStart": "true"})) == "cpu.max 4 -> 8, at its next start"
    assert explain(step(2, MAXIMUM, carrier=web)) == "cpu.max 4 -> 8 (through VirtualMachine/web-1)"
    assert changes(step(1)) == [ChangeText("", "", "not on the cluster")]
    run = step(1, reason=Reason.OPERATION, request=("x", "0"), parameters={"a": "b"})
    assert changes(run) == [ChangeText("", "", "Operation x (a=b)")]
    failed = step(1, reason=Reason.OPERATION, request=("x", "0"), parameters={}, details={"failure": "not now"})
    assert explain(failed) == "Operation x, which failed before: not now"


def test_a_field_that_several_steps_move_is_shown_once() -> None:
    made = golden_plan("a_larger_maximum_restarts_the_guest_when_told_and_allowed")
    (found,) = differences(made).values()
    assert [move.field for move in found] == ["cpu.max", "cpu.count", "memory.max", "memory.size"]
    maximum = found[ChangeText("cpu.max", "4", "8")]
    assert [each.operation for each in maximum] == [
        "ChangeNumberOfCPU",
        "StopVM",
        "StartVM",
    ]


def test_lines_that_others_imply_are_not_drawn_and_no_order_is_lost() -> None:
    chart = steps_chart(golden_plan("everything_is_made_in_the_order_of_its_references"))
    kept = reduced(chart)
    assert len(kept) < len(chart.edges)
    reach: dict[str, set[str]] = {}
    for node in chart.nodes:
        starts = {edge.start for edge in kept if edge.end == node.id}
        reach[node.id] = starts | {each for start in starts for each in reach[start]}
    assert all(edge.start in reach[edge.end] for edge in chart.edges)


def test_resources_and_their_references_are_drawn_offline() -> None:
    chart = resources_chart(desired_of(QUICKSTART))
    found = {(edge.start, edge.label, edge.end) for edge in chart.edges}
    assert ("VirtualMachineDisk/web-1-data", "pool", "VirtualMachinePool/vmd-pool") in found
    assert ("VirtualMachine/web-1", "disks[0].disk", "VirtualMachineDisk/web-1-root") in found
    assert chart.groups[0].name == "VirtualMachinePool"


@given(st.text(max_size=60), st.integers(3, 40))
def test_a_text_is_fitted_into_its_columns(text: str, columns: int) -> None:
    assert width(fitted(text, columns)) <= columns
    assert visible(text).isprintable() or not text.isprintable()


# The command ----------------------------------------------------------------------------------------------


def test_a_saved_plan_is_shown_in_any_format_as_it_was(tmp_path: Path) -> None:
    direct = run(tmp_path, "plan", QUICKSTART, "-o", "markdown", "--out", "plan.json").out
    assert direct.startswith("## Plan of ")
    assert run(tmp_path, "plan", "plan.json", "-o", "markdown").out == direct
    assert run(tmp_path, "plan", "plan.json", "-o", "html").out.startswith("<!DOCTYPE html>")
    chart = run(tmp_path, "graph", "plan.json").out
    assert chart.startswith("digraph")
    assert run(tmp_path, "graph", QUICKSTART).out == chart


def test_manifests_that_are_wrong_are_reviewed_as_well(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachinePool\n")
    done = run(tmp_path, "plan", "-o", "markdown", "bad.yaml")
    assert done.code == 1
    assert "### Problems (1)" in done.out
    assert "<code>bad.yaml:1:1</code>: error:" in done.out
