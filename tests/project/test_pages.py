"""The pages of ``docs``: what they show is what the program prints, and what they link to is there."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from reconciler.cli import cli
from support.paths import ROOT
from tools import console, site

DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in [*sorted(DOCS.rglob("*.md")), *ROOT.glob("*.md")]}
GENERATED = {name for name, text in PAGES.items() if "make generate" in text.splitlines()[0]}
SHOWN = [name for name, text in PAGES.items() if "```console\n" in text]

every_page = pytest.mark.parametrize("name", PAGES)


@pytest.mark.parametrize("name", SHOWN)
def test_the_commands_of_a_page_print_what_it_shows(name: str) -> None:
    played = console.played(PAGES[name])
    assert console.comparable(played) == console.comparable(PAGES[name]), f"python -m tools.console {name}"


def test_the_tutorial_is_among_the_pages_that_are_run() -> None:
    assert "docs/tutorial/first-machines.md" in SHOWN


def test_outcomes_are_compared_whatever_their_order_and_duration() -> None:
    pool, disk = "created  CreatePool VirtualMachinePool/a", "created  CreateDisk VirtualMachineDisk/b"
    page = "```console\n$ reconcile -y m\n{}\n{}\n```\n"
    one, other = page.format(f"{pool} (0.1 s)", f"{disk} (3 s)"), page.format(f"{disk} (0.0 s)", f"{pool} (0.0 s)")
    assert console.comparable(one) == console.comparable(other)
    assert console.comparable(one) != console.comparable(other.replace("/b", "/c"))


@pytest.mark.parametrize(
    "command",
    [
        "pip install anything",
        "rm -r /etc",
        "cp a ../b",
        "mkdir a; rm -r b",
        "reconcile --driver libvirt m",
        "reconcile agent --node a",
        "reconcile --plan /etc",
    ],
)
def test_a_command_that_reaches_outside_is_not_run(command: str) -> None:
    page = f"```console\n$ mkdir before\n```\n\n<!-- console\n$ {command}\n-->\n"
    with pytest.raises(ValueError, match="not a command"):
        console.played(page)


@every_page
def test_a_page_links_to_what_is_there(name: str) -> None:
    folder = (ROOT / name).parent
    links = re.findall(r"\]\(([^)#:\s]+)(#[^)\s]+)?\)", PAGES[name])
    assert [target for target, _ in links if not (folder / target).exists()] == []
    for target, anchor in links:
        if anchor and target.endswith(".md"):
            assert anchor[1:] in anchors((folder / target).read_text()), f"{target}{anchor}"


def anchors(page: str) -> set[str]:
    """The names that parts of a page have, as GitHub and MkDocs make them from headings."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    made = {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', page))


@every_page
def test_the_commands_of_a_page_are_understood(name: str) -> None:
    """In blocks and between backquotes: the verb is there, and takes the options and values."""
    blocks = re.findall(r"^```(?:console)?\n(.*?)^```$", PAGES[name], re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^(?:\$ )?(?:.*\| )?(reconcile .+)$", "\n".join(blocks), re.MULTILINE)
    lines += re.findall(r"`(reconcile [^`\n]+)`", PAGES[name])
    for line in [] if name in GENERATED else lines:
        words = shlex.split(re.split(r"\s#|\s[|>&]", line)[0])[1:]
        if not any(re.fullmatch(r"\[.*|[A-Z/.]+\]?|.*\.\.\.", word) for word in words):  # a form, not a command
            verb, rest = verb_of(words)
            if len(words) > 1:
                cli.commands[verb].make_context(verb, rest)  # type: ignore[attr-defined]


def verb_of(words: list[str]) -> tuple[str, list[str]]:
    """The verb of a command, and the words after it; without a verb options say which one is meant."""
    if words[0] in cli.commands:  # type: ignore[attr-defined]
        return words[0], words[1:]
    for option, verb in (("--plan", "plan"), ("--watch", "watch")):
        if option in words:
            return verb, [word for word in words if word != option]
    return "apply", words


def test_the_site_has_every_page_in_its_menu() -> None:
    told = yaml.safe_load(re.sub(r"!!\S+", "", (ROOT / "mkdocs.yml").read_text()))
    named = re.findall(r"[\w-]+(?:/[\w-]+)*\.md", yaml.safe_dump(told["nav"]))
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert sorted(named) == sorted([*pages, *(name.lower() for name in site.BESIDE_README if name.endswith(".md"))])
