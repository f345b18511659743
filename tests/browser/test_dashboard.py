"""The dashboard as a person sees and uses it: in a real browser, with daemons that come, change and go."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.daemon.status.dashboard import SCRIPTS, STYLES, dashboard
from reconciler.daemon.status.values import Contact, ResourceStatus, Running, Status, Sync
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.observe.addresses import NicAddress
from reconciler.output.escaping import visible
from reconciler.planner.plan import FieldChange, Plan, Reason
from support.adversarial_plans import TEXTS
from support.browser_page import Tab, opened
from support.daemon_pages import Daemon
from support.daemons import PROBLEMS, STEPS, calm, fleet, passes, renamed, shop, status, step, told
from support.paths import ROOT

READABLE = 4.5  # contrast, by the Web Content Accessibility Guidelines
WIDE, NARROW = 1280, 400


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    with opened() as tab:
        yield tab


class Seen:
    """A dashboard before a person, and the daemon behind it."""

    def __init__(self, tab: Tab, daemon: Daemon) -> None:
        self.tab, self.daemon = tab, daemon

    def open(self, where: str, hash: str = "") -> None:
        self.tab.go(f"http://{where}/{hash}")
        self.tab.until("document.querySelector('#header h1')")

    def text(self, place: str = "body") -> str:
        return re.sub(r"\s+", " ", self.tab.run(f"document.querySelector({json.dumps(place)}).innerText"))

    def all(self, selector: str) -> list[str]:
        """The text of each such element."""
        made: list[str] = self.tab.run(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(each => each.innerText.replace(/\\s+/g, ' '))"
        )
        return made

    def until_says(self, words: str, place: str = "body") -> None:
        """Wait for words in an element, which may have yet to come."""
        text = f"(document.querySelector({json.dumps(place)})?.innerText ?? '').replace(/\\s+/g, ' ')"
        self.tab.until(f"{text}.includes({json.dumps(words)})")

    def search(self, words: str) -> None:
        self.tab.run("document.querySelector('#search').select()")
        self.tab.write(words)

    def node(self, id: str) -> str:
        return f'#picture [data-key="{id}"]'


@pytest.fixture
def seen(browser: Tab) -> Iterator[Seen]:
    """The busy shop; whatever a test does, nothing may go wrong in the page."""
    browser.size(WIDE)
    browser.dark(False)
    page = Seen(browser, Daemon(status(datetime.now(UTC))))
    with page.daemon.at() as where:
        page.open(where)
        yield page
        assert browser.troubles == []


def edges(tab: Tab) -> set[tuple[str, str]]:
    found = tab.run("[...document.querySelectorAll('.edges path')].map(each => [each.dataset.from, each.dataset.to])")
    return {(a, b) for a, b in found}


# What is to be seen ----------------------------------------------------------------------------------------


def test_the_topology_has_every_resource_and_a_line_for_every_reference(seen: Seen) -> None:
    views = shop()
    keys = set(seen.tab.run("[...document.querySelectorAll('.node')].map(each => each.dataset.key)"))
    assert keys == {str(view.id) for view in views} | {"VirtualMachineDisk/cache-1-root"}
    assert edges(seen.tab) == {(str(view.id), str(used)) for view in views for used in view.uses}
    assert seen.all(".column h3") == ["POOLS", "IMAGES", "DISKS", "MACHINES", "NETWORKS"]
    assert "not found" in seen.text(seen.node("VirtualMachineDisk/cache-1-root"))
    title = seen.tab.run(f"document.querySelector('{seen.node('VirtualMachine/web-2')}').title")
    assert title == "VirtualMachine/web-2 on node22: Running, Failed, Degraded"


def test_columns_stand_left_to_right_and_no_node_covers_another(seen: Seen) -> None:
    boxes: list[list[float]] = seen.tab.run(
        "[...document.querySelectorAll('.node')].map(each => each.getBoundingClientRect())"
        ".map(box => [box.left, box.top, box.right, box.bottom])"
    )
    for number, a in enumerate(boxes):
        for b in boxes[:number]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    pool, disk, machine, net = (
        seen.tab.run(f"document.querySelector('{seen.node(id)}').getBoundingClientRect().left")
        for id in ("VirtualMachinePool/vmd-pool", "VirtualMachineDisk/web-1-root", "VirtualMachine/web-1",
                   "VirtualMachineNetwork/web-net")
    )  # fmt: skip
    assert pool < disk < machine < net


def test_the_header_says_who_this_is_and_how_it_stands(seen: Seen) -> None:
    text = seen.text("#header")
    for words in ("shop", "Leader", "Healthy", "4f1c2ab90d", "13 of 19 resources are synced", "1 failed",
                  "6 steps planned, 2 running, 2 held, 1 waiting"):  # fmt: skip
        assert words in text
    assert seen.tab.run("document.title") == "● shop · reconcile"


def test_a_standby_and_an_unhealthy_daemon_say_so(seen: Seen) -> None:
    seen.daemon.status = replace(calm(datetime.now(UTC)), leader=False, holder="ops-2")
    seen.daemon.unhealthy = ["the control loop has been stuck for 90 s"]
    seen.daemon.unready = ["the first reconcile has not finished"]
    seen.until_says("Unhealthy", "#header")
    assert "Standby; leader is ops-2" in seen.text("#header")
    assert "Not ready" in seen.text("#header")
    assert "the control loop has been stuck for 90 s" in seen.text("#alerts [role=alert]")


def test_a_cluster_that_does_not_answer_is_said_over_what_was_known(seen: Seen) -> None:
    away = "the cluster has not answered for 40 s: https://10.0.0.1 does not answer: timed out"
    seen.daemon.status = replace(calm(datetime.now(UTC)), cluster=Contact(away, 41.0))
    seen.until_says("what is shown is what was known", "#alerts [role=alert]")
    assert away in seen.text("#alerts")


def test_problems_of_the_input_are_loud_and_have_their_place(seen: Seen) -> None:
    text = seen.text("#alerts")
    assert "2 problems in the manifests" in text
    assert "shop/cache.yaml:9:13 error: spec.disks[0].disk: there is no disk cache-1-root Declare it" in text
    assert "shop/web.yaml:3:3 warning: metadata.labels" in text
    assert "1 bug in reconcile; what meets one is left as it is" in text
    assert "VirtualMachine/web-3: TypeError in planner/diff.py, line 9, 4 times" in text
    seen.daemon.status = replace(seen.daemon.status, problems=(), bugs=())
    seen.tab.until("document.querySelector('#alerts').innerText === ''")


def test_the_plan_shows_what_is_grave_first_then_waves(seen: Seen) -> None:
    text = seen.text("#plan")
    order = [text.index(words) for words in ("Destroys data (1)", "DeleteDisk", "Stops or restarts (1)", "StopVM",
                                             "WAVE 1", "StartVM", "WAVE 2", "ResizeVM", "kept:")]  # fmt: skip
    assert order == sorted(order)
    assert "Held: needs --allow data" in text
    assert "Waiting: failed, retried at 14:04:00: ResizeRAM: no balloon" in text
    seen.daemon.status = calm(datetime.now(UTC))
    seen.until_says("No changes", "#plan")
    assert "All 18 resources are synced." in seen.text("#header")


def test_a_long_plan_is_folded_but_for_what_is_grave(seen: Seen) -> None:
    many = tuple(
        step(number, "ResizeRAM", ResourceId(MACHINE, f"m-{number}"), "memory.size 2Gi 4Gi")
        for number in range(100, 160)
    )
    seen.daemon.status = replace(seen.daemon.status, plan=Plan("shop", (*many, *STEPS[4:])))
    seen.until_says("Show 35 more", "#plan")
    assert "DeleteDisk" in seen.text("#plan")
    seen.tab.click('#plan [data-key="wave 1"]')
    seen.until_says("m-159", "#plan")


def test_steps_under_way_have_a_bar_that_goes_on_by_itself(seen: Seen) -> None:
    bar = "document.querySelector('#running [role=progressbar]')"
    assert "StartVM" in seen.text("#running")
    assert "of about 8 s on node22" in seen.text("#running")
    assert "1 min" in seen.text("#running")
    first = int(seen.tab.run(f"{bar}.getAttribute('aria-valuenow')"))
    assert 30 <= first < 99
    seen.tab.until(f"Number({bar}.getAttribute('aria-valuenow')) > {first}")
    late = Running(STEPS[0], datetime.now(UTC) - timedelta(seconds=60), 8.0)
    seen.daemon.status = replace(seen.daemon.status, running=(late,))
    seen.tab.until("document.querySelector('.bar.late')")
    assert int(seen.tab.run(f"{bar}.getAttribute('aria-valuenow')")) == 99, "not done before it is seen to be"


def test_reconciliations_and_runs_are_shown(seen: Seen) -> None:
    assert "410 full sync" in seen.text("#reconciliations")
    assert "2 changed, 1 failed" in seen.text("#reconciliations")
    assert "the cluster does not answer" in seen.text("#reconciliations")
    assert len(seen.all("#reconciliations .beats i")) == len(passes())
    assert "reconcile on ops-1" in seen.text("#history")
    assert "failed 1 failed" in seen.text("#history")


# What one can do -------------------------------------------------------------------------------------------


def test_a_count_is_a_filter(seen: Seen) -> None:
    seen.tab.click('[data-key="filter Failed"]')
    seen.until_says("1 resource found", "#found")
    assert seen.tab.run("document.querySelector('[data-key=\"filter Failed\"]').getAttribute('aria-pressed')") == "true"
    keys = seen.tab.run("[...document.querySelectorAll('.node:not(.beside)')].map(each => each.dataset.key)")
    assert keys == ["VirtualMachine/web-2"]
    beside = seen.tab.run("[...document.querySelectorAll('.node.beside')].map(each => each.dataset.key).sort()")
    assert beside == ["VirtualMachineDisk/web-2-root", "VirtualMachineNetwork/web-net"], "what it hangs on is there too"
    seen.tab.click('[data-key="clear"]')
    assert len(seen.all(".node")) == 21


def test_the_search_takes_words_of_any_sort(seen: Seen) -> None:
    seen.tab.press("/")
    assert seen.tab.run("document.activeElement.id") == "search"
    for words, names in {
        "WEB- machine running": {"web-2", "web-3"},
        "node23": {"backup", "old-data", "scratch"},
        "balloon": {"web-2"},
        "192.168.5.9": {"web-2"},
        "52:54:00:0a:00:12": {"web-2"},
        "no such thing": set(),
    }.items():
        seen.search(words)
        seen.until_says(f"{len(names)} resource", "#found")
        assert set(seen.all(".node:not(.beside) .name")) == names
    assert "No resource matches." in seen.text("#picture")


def test_a_resource_shows_all_that_is_known_of_it(seen: Seen) -> None:
    seen.tab.click(seen.node("VirtualMachine/web-2"))
    text = seen.text("#detail")
    for words in ("web-2", "Failed", "Degraded", "no balloon", "Retrying in 4", "3 fields differ from the manifest",
                  "memory.size desired 4Gi observed 2Gi manifest changed · to be applied",
                  "cpu.count desired 4 observed 2 manifest and cluster changed · not reverted",
                  "contested: reverted 3 times",
                  "graphics.passwordFrom desired <secret from env VNC_PASSWORD> observed <secret>",
                  "ResizeRAM", "Uses 2 web-2-root"):  # fmt: skip
        assert words in text, text
    assert "s3cret" not in seen.tab.run("document.documentElement.outerHTML")
    assert seen.tab.run("location.hash") == "#VirtualMachine%2Fweb-2"
    seen.tab.click('#detail [data-key="to VirtualMachineNetwork/web-net"]')
    seen.until_says("Used by 4", "#detail")
    assert seen.tab.run("document.activeElement.id") == "detail"
    seen.tab.press("Escape")
    assert not seen.tab.run("document.querySelector('#detail').offsetHeight")
    assert seen.tab.run("location.hash") == ""


def test_a_machine_shows_its_size_console_nics_addresses_and_disks(seen: Seen) -> None:
    seen.tab.click(seen.node("VirtualMachine/web-2"))
    facts = seen.all("#detail .facts dd")
    assert facts[-3:] == ["2, at most 4", "2Gi, at most 4Gi", "vnc 127.0.0.1:5901"]
    assert seen.all("#detail .parts li") == [
        "52:54:00:0a:00:02 l3bridge web-net 192.168.5.9 static fd00::9 agent",
        "52:54:00:0a:00:12 bridge virbr0",
        "vda virtio web-2-root",
        "hda cdrom empty",
    ]
    seen.tab.size(NARROW)
    assert seen.tab.run("document.documentElement.scrollWidth") <= NARROW
    seen.tab.size(WIDE)

    # Another address is drawn as it comes; one who is no machine has no such parts.
    def moved(each: ResourceStatus) -> ResourceStatus:
        if each.machine is None:
            return each
        nic = each.machine.nics[0]._replace(addresses=(NicAddress("192.168.5.10", "lease"),))
        return each._replace(machine=each.machine._replace(nics=(nic,), console=None))

    views = tuple(map(moved, shop(datetime.now(UTC))))
    seen.daemon.status = replace(seen.daemon.status, resources=lambda: views)
    seen.until_says("192.168.5.10 lease", "#detail")
    assert seen.all("#detail .facts dd")[-1] == "none"
    seen.tab.click('#detail [data-key="to VirtualMachineDisk/web-2-root"]')
    seen.until_says("web-2-root", "#detail h2")
    assert seen.all("#detail .parts li") == []


def test_an_address_names_a_resource(seen: Seen, browser: Tab) -> None:
    with seen.daemon.at() as where:
        seen.open(where, "#VirtualMachine%2Fdb-1")
        assert "db-1-data" in seen.text("#detail")
        seen.open(where, "#VirtualMachine%2Fgone")
        assert "There is no such resource" in seen.text("#detail")
        seen.open(where, "#%E0%A4%A")
        assert not seen.tab.run("document.querySelector('#detail').offsetHeight")


def test_the_keyboard_goes_along_columns_and_references(seen: Seen) -> None:
    assert seen.tab.run("[...document.querySelectorAll('.node')].filter(each => each.tabIndex === 0).length") == 1
    seen.tab.run(f"document.querySelector('{seen.node('VirtualMachineDisk/db-1-root')}').focus()")
    here = "document.activeElement.dataset.key"
    seen.tab.press("ArrowDown")
    assert seen.tab.run(here) == "VirtualMachineDisk/db-1-data"
    seen.tab.press("ArrowRight")
    assert seen.tab.run(here) == "VirtualMachine/db-1"
    seen.tab.press("ArrowRight")
    assert seen.tab.run(here) == "VirtualMachineNetwork/db-net"
    seen.tab.press("ArrowLeft", "Enter")
    assert "db-1" in seen.text("#detail h2")
    assert seen.tab.run("document.querySelectorAll('.edges path.hot').length") == 4


def test_the_list_begins_with_the_most_urgent(seen: Seen) -> None:
    seen.tab.click('#views [data-key="list"]')
    rows = seen.all(".list tbody tr")
    assert len(rows) == len(shop())
    assert rows[0].startswith("web-2 Machine Running Failed Degraded node22 ResizeRAM")
    assert rows[1].startswith("cache-1 Machine Blocked Missing")
    seen.tab.click('.list [data-key="VirtualMachineDisk/db-1-data"]')
    assert "capacity" in seen.text("#detail")


# As time goes by -------------------------------------------------------------------------------------------


def test_a_change_is_shown_by_itself_and_the_focus_stays(seen: Seen) -> None:
    seen.tab.run(f"document.querySelector('{seen.node('VirtualMachine/web-1')}').focus()")
    views = tuple(each._replace(state="Paused", sync=Sync.HELD) if each.id.name == "web-1" else each for each in shop())
    seen.daemon.status = told(views, datetime.now(UTC))
    seen.until_says("Paused", "#picture")
    assert seen.tab.run("document.activeElement.dataset.key") == "VirtualMachine/web-1"
    assert "1 out of sync" in seen.text("#header")


def test_a_daemon_that_is_gone_is_told_and_that_it_is_back(browser: Tab) -> None:
    browser.size(WIDE)
    daemon = Daemon(status(datetime.now(UTC)))
    page = Seen(browser, daemon)
    with daemon.at() as where:
        page.open(where)
    page.until_says("The daemon has not answered since", "#alerts")
    assert "No connection" in page.text("#alerts")
    assert browser.run("document.querySelector('#alerts [role=alert]') !== null")
    assert browser.run("document.body.classList.contains('stale')")
    assert "No answer" in page.text("#header")
    assert "Healthy" not in page.text("#header")
    assert browser.run("document.querySelectorAll('.node').length") == 21, "what was known is still there"
    with daemon.at(where):
        browser.until("!document.body.classList.contains('stale')")
        assert "has not answered" not in page.text("#alerts")
    assert {trouble.split(":")[0] for trouble in browser.troubles} <= {"network"}


def test_nothing_is_asked_while_the_tab_is_hidden(seen: Seen) -> None:
    asked = "performance.getEntriesByType('resource').filter(each => each.name.includes('status')).length"
    seen.tab.run("Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true})")
    seen.tab.run("window.away = true")
    before = seen.tab.run(asked)
    seen.tab.run("new Promise(done => setTimeout(done, 2600))")
    assert seen.tab.run(asked) <= before + 1, "but for one that was under way"
    before = seen.tab.run(asked)
    seen.tab.run("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    seen.tab.until(f"{asked} > {before}")


# What harms ------------------------------------------------------------------------------------------------


def hostile() -> Status:
    """Every text in every place that a name, a state or a message can be in."""
    now = datetime.now(UTC)
    views = shop(now)
    for each, text in zip(shop(now), TEXTS, strict=False):
        views = renamed(views, each.id.name, text)
    problems = tuple(Problem(Origin(text, 1, 1), text, text, text) for text in TEXTS)
    steps = tuple(
        step(number, text, ResourceId(MACHINE, text), node=text, reason=Reason.FIELDS_CHANGED,
             changes=(FieldChange((text,), text, text),))
        for number, text in enumerate(TEXTS)
    )  # fmt: skip
    return replace(status(now), resources=lambda: views, problems=problems, plan=Plan("s", steps),
                  waiting={"s1": TEXTS[0]}, running=tuple(Running(each, now) for each in steps),
                  commit=TEXTS[0], holder=TEXTS[1], watches=dict.fromkeys(TEXTS, 1.0))  # fmt: skip


@pytest.mark.parametrize("view", ["topology", "list"])
def test_hostile_names_are_text(seen: Seen, view: str) -> None:
    seen.daemon.status = hostile()
    seen.until_says("12 problems", "#alerts")
    seen.tab.click(f'#views [data-key="{view}"]')
    for text in TEXTS[:3]:
        seen.tab.run(f"location.hash = encodeURIComponent({json.dumps(f'VirtualMachineDisk/{text}')})")
    assert seen.tab.run("document.title").endswith("shop · reconcile")
    strange = "body script:not(:last-child), img, iframe, body a:not(.skip), [onerror], [onmouseover], body style"
    assert seen.tab.run(f"document.querySelectorAll('{strange}').length") == 0
    for place in ("#picture", "#alerts", "#plan", "#running"):
        assert re.sub(r"\s+", " ", visible(TEXTS[0])) in seen.text(place), place
    assert "\u202e" not in seen.text()
    assert "\\u202e" in seen.text()
    assert seen.tab.run("document.documentElement.scrollWidth") <= WIDE


# One for each way to be unseen: ends of lines, directions, no width, tags, private, half a character.
UNSEEN = "a\tb\nc\r\x1b\x7f\u061c\u202e\u2066\u200b\u2028\ufeff\ue000\U000e0041\U000f0000\ud800z"
SHOWS = """[...document.querySelectorAll('#resources, #resources *')].flatMap(each =>
  [...each.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim())
    .concat([...each.attributes].map(given => given.value))
)"""


@pytest.mark.parametrize("view", ["topology", "list"])
def test_what_cannot_be_seen_is_shown_as_in_a_terminal(seen: Seen, view: str) -> None:
    now = datetime.now(UTC)
    views = renamed(shop(now), "web-1", UNSEEN)
    seen.daemon.status = replace(status(now), resources=lambda: views)
    seen.tab.click(f'#views [data-key="{view}"]')
    seen.tab.until(f"document.querySelector('#picture').innerText.includes({json.dumps(visible(UNSEEN))})")
    assert [text for text in seen.tab.run(SHOWS) if not text.isprintable()] == []


def test_the_policy_lets_nothing_else_run(seen: Seen) -> None:
    seen.tab.run(
        "window.broken = [];"
        " addEventListener('securitypolicyviolation', event => broken.push(event.effectiveDirective))"
    )
    seen.tab.run(
        "document.body.insertAdjacentHTML('beforeend',"
        """ '<img src="http://127.0.0.1:1/x" onerror="window.taken=1"><p style="color:red">')"""
    )
    seen.tab.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.taken=1'}))"
    )
    seen.tab.run("fetch('http://127.0.0.1:1/').catch(() => 0)")
    seen.tab.until("new Set(window.broken).size >= 5")
    assert set(seen.tab.run("broken")) == {
        "img-src", "script-src-attr", "style-src-attr", "script-src-elem", "connect-src",
    }  # fmt: skip
    assert seen.tab.run("window.taken") is None
    seen.tab.troubles.clear()


def test_the_page_needs_no_other_place_and_all_of_it_is_in_it() -> None:
    body = dashboard()({}).body
    assert isinstance(body, str)
    folder = ROOT / "reconciler" / "daemon" / "status" / "dashboard"
    assert {file.name for file in folder.iterdir() if file.suffix in (".js", ".css")} == {*SCRIPTS, *STYLES}
    assert body.count("</script>") == body.count("<script>") == 1
    assert body.count("</style>") == 1
    assert set(re.findall(r"https?://[^'\"\s>]+", body)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", body)


# Much of it, and little room -------------------------------------------------------------------------------


def test_ten_thousand_resources_are_usable(seen: Seen) -> None:
    seen.daemon.status = told(fleet(10_000), datetime.now(UTC))
    seen.until_says("of 10,000 resources are synced", "#header")
    assert seen.tab.run("document.querySelectorAll('*').length") < 3000
    assert len(seen.all(".node")) <= 5 * 40
    assert "in pool-0" in seen.text(seen.node("group 2 pool VirtualMachinePool/pool-0"))
    took = seen.tab.run(
        "(() => { const began = performance.now(), box = document.querySelector('#search'); box.value = 'vm-00005';"
        " box.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - began; })()"
    )
    assert took < 2000, "milliseconds"  # some dozens on a machine that is not busy
    assert set(seen.all(".node:not(.beside) .name")) == {"vm-00005", "vm-00005-root"}
    seen.tab.click('[data-key="clear"]')
    seen.tab.click(seen.node("group 2 pool VirtualMachinePool/pool-0"))
    seen.until_says("249 resources: disks in pool-0", "#found")
    seen.tab.click('[data-key="clear"]')
    seen.tab.click('#views [data-key="list"]')
    assert len(seen.all(".list tbody tr")) == 100
    assert seen.all(".list tbody tr")[0].count("Failed") == 1
    seen.tab.click('[data-key="more"]')
    assert len(seen.all(".list tbody tr")) == 200


def test_a_group_that_is_chosen_shows_what_is_in_it(seen: Seen) -> None:
    seen.daemon.status = told(fleet(600), datetime.now(UTC))
    seen.until_says("Large columns are grouped", "#found")
    seen.tab.click(seen.node("group 3 node node0"))
    seen.until_says("298 resources: machines on node0. Too many to draw; this is a list.", "#found")
    assert seen.all(".list tbody tr")[0].startswith("vm-00005 Machine Running Out of sync")
    seen.search("vm-0001")
    seen.until_says("10 resources", "#found")
    assert len(seen.all(".node")) == 23, "ten machines with their disks, and three networks"
    seen.tab.click('[data-key="clear"]')
    assert len(seen.all(".node.group")) == 2


def test_many_problems_are_counted_and_the_first_are_shown(seen: Seen) -> None:
    many = tuple(Problem(Origin("shop/web.yaml", line, 1), f"wrong {line}") for line in range(1, 41))
    seen.daemon.status = replace(seen.daemon.status, problems=many)
    seen.until_says("40 problems in the manifests", "#alerts")
    assert "wrong 6" not in seen.text("#alerts")
    seen.tab.click('#alerts [data-key="problems"]')
    assert "wrong 40" in seen.text("#alerts")


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False), (NARROW, True)])
@pytest.mark.parametrize("view", ["topology", "list"])
def test_it_is_readable(seen: Seen, width: int, dark: bool, view: str) -> None:
    seen.tab.size(width)
    seen.tab.dark(dark)
    seen.tab.click(f'#views [data-key="{view}"]')
    seen.tab.run("location.hash = 'VirtualMachine%2Fweb-2'")
    seen.until_says("no balloon", "#detail")
    found: dict[str, Any] = seen.tab.run(_LOOK)
    assert found["width"] <= width, "the page is wider than its window"
    assert found["outside"] == []
    assert [each for each in found["contrasts"] if each["ratio"] < READABLE] == []
    assert (found["paper"] < 0.2) == dark
    assert found["nameless"] == []


_LOOK = """(async () => {
  await new Promise(done => setTimeout(done, 250));  // colours fade from one to the next
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const channels = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const luminance = colour => { const [r, g, b] = channels(colour).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = element => { for (let each = element; each; each = each.parentElement) {
    const colour = getComputedStyle(each).backgroundColor; if (channels(colour)[3] > 0) return colour; } return 'white'; };
  const words = [...document.body.querySelectorAll('*')].filter(each => each.checkVisibility() && !each.closest('.unseen, .skip, svg, script, noscript') &&
    [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return {
    width: document.documentElement.scrollWidth, paper: luminance(getComputedStyle(document.body).backgroundColor),
    outside: words.filter(each => !each.closest('.scroll') && each.getBoundingClientRect().right > innerWidth + 1).map(each => each.textContent.slice(0, 60)),
    contrasts: words.filter(each => !each.closest('.beside')).map(each => {
      const [a, b] = [luminance(getComputedStyle(each).color), luminance(behind(each))].sort((x, y) => y - x);
      return {text: each.textContent.slice(0, 40), ratio: (a + 0.05) / (b + 0.05)}; }),
    nameless: [...document.querySelectorAll('button')].filter(each => !each.textContent.trim() && !each.getAttribute('aria-label')).length ? ['button'] : [],
  };
})()"""  # noqa: E501


def test_a_narrow_screen_begins_with_the_list(seen: Seen) -> None:
    seen.tab.size(NARROW)
    with seen.daemon.at() as where:
        seen.open(where)
        assert seen.all(".list tbody tr")[0].startswith("web-2")
        places = [
            seen.tab.run(f"document.querySelector('#{name}').getBoundingClientRect().top")
            for name in ("header", "alerts", "running", "resources", "plan", "reconciliations", "history")
        ]
        assert places == sorted(places)
        seen.tab.click('[data-key="VirtualMachine/web-3"]')
        assert seen.tab.run("document.activeElement.id") == "detail", "what was chosen is brought before the reader"
        assert "memory.max" in seen.text("#detail")


def test_the_first_seconds_of_a_daemon_are_shown(seen: Seen) -> None:
    seen.daemon.status = Status("shop", "manifests", datetime.now(UTC))
    for words, place in {
        "No resource is declared yet.": "#header", "No plan yet.": "#plan",
        "No reconciliation has finished yet.": "#reconciliations", "Nothing has been applied yet.": "#history",
        "Standby": "#header",
    }.items():  # fmt: skip
        seen.until_says(words, place)
    assert PROBLEMS[0].message not in seen.text()
