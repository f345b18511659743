"""The page of a plan as a person sees it: laid out by a real browser, narrow and wide, light and dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from reconciler.output.escaping import visible
from reconciler.output.html import plan_html
from reconciler.output.svg import MOST
from reconciler.planner.plan import Plan
from support.adversarial_plans import TEXTS, fleet, hostile
from support.browser import DARK, require, run, seen
from support.golden_plans import golden_plan

PLANS = {
    "pruning": lambda: golden_plan("pruning_without_permission_is_held"),
    "making": lambda: golden_plan("everything_is_made_in_the_order_of_its_references"),
    "many": lambda: fleet(MOST + 1),
    "hostile": hostile,
}
READABLE = 4.5  # contrast, by the Web Content Accessibility Guidelines


@pytest.fixture(scope="module", autouse=True)
def _browser() -> None:
    require()


@pytest.fixture(scope="module", params=PLANS)
def made(request: pytest.FixtureRequest) -> Plan:
    plan: Plan = PLANS[request.param]()
    return plan


@pytest.mark.parametrize(("width", "flags"), [(1280, ()), (400, (DARK,))], ids=["wide and light", "narrow and dark"])
def test_a_page_is_readable(made: Plan, width: int, flags: tuple[str, ...], tmp_path: Path) -> None:
    found = seen(tmp_path, plan_html(made), width, *flags)
    assert found["room"] == width
    assert found["width"] <= width, "the page is wider than its window"
    assert found["outside"] == []
    assert [each for each in found["contrasts"] if each["ratio"] < READABLE] == []
    assert [each for each in found["boxes"] if each["over"] > 0] == [], "a text is wider than its box"
    assert (sum(map(int, re.findall(r"\d+", found["paper"])[:3])) < 150) == bool(flags)
    assert found["asked"] == []
    assert found["strange"] == 0


def page_of(name: str, folder: Path) -> dict[str, Any]:
    return seen(folder, plan_html(PLANS[name]()), 1280)


def test_totals_gravest_steps_and_reasons_are_there_to_be_read(tmp_path: Path) -> None:
    text = page_of("pruning", tmp_path)["text"]
    for words in (
        "Plan of shop",
        "3 steps: 3 to delete; 1 unchanged. Stops or restarts 1 VM once allowed.",
        "3 steps are held; release with --allow data:VirtualMachineDisk/web-1-root,recreate:VirtualMachine/web-1,"
        "restart:VirtualMachine/web-1.",
        "Destroys data (1)",
        "data, held: --allow data",
    ):
        assert words in text
    assert text.index("DeleteDisk") < text.index("StopVM"), "what destroys comes first"
    assert "VirtualMachineDisk/web-1-data" in page_of("making", tmp_path)["text"]


def test_hostile_names_are_text(tmp_path: Path) -> None:
    found = page_of("hostile", tmp_path)
    assert found["title"].startswith("Plan of <script>")
    shown = re.sub(r"\s+", " ", found["text"])
    assert [text for text in TEXTS if re.sub(r"\s+", " ", visible(text)).strip() not in shown] == []


def test_a_page_opens_from_a_file_and_prints(tmp_path: Path) -> None:
    page, picture, paper = tmp_path / "plan.html", tmp_path / "plan.png", tmp_path / "plan.pdf"
    page.write_text(plan_html(PLANS["making"]()), encoding="utf-8")
    run(tmp_path, f"--screenshot={picture}", "--window-size=1280,900", page.as_uri())
    run(tmp_path, f"--print-to-pdf={paper}", page.as_uri())
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert paper.read_bytes().startswith(b"%PDF")
