"""What the daemon shows over HTTP: who may ask what, what is said, what is counted."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta, timezone
from math import isnan
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from prometheus_client.parser import text_string_to_metric_families

from reconciler.apply import Outcome, Result
from reconciler.daemon.status.pages import pages, stuck_watches
from reconciler.daemon.status.status_json import MAX_STEPS as MOST
from reconciler.daemon.status.status_json import shown, status_json
from reconciler.daemon.status.values import ChangedSide, Contact, Drift, Mode, Status, Sync
from reconciler.manifests.schema import schema
from reconciler.model.kinds import DISK, MACHINE
from reconciler.model.problem import ReconcilerError
from reconciler.model.secret import Secret
from reconciler.output.review import Danger
from reconciler.output.server import PageResponse, serve
from reconciler.planner.plan import PathOf, Plan
from support.daemon_pages import Daemon
from support.daemons import NOW, PROBLEMS, STEPS, calm, fleet, id, passes, shop, status, told, view
from support.paths import ROOT

SECRET = "5up3r-s3cret"


class Got:
    """An answer."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.code, self.headers, self.body = answer.status, answer.headers, answer.read()
        self.text = self.body.decode() if "Content-Encoding" not in self.headers else ""


def ask(where: str, path: str, method: str = "GET", **headers: str) -> Got:
    connection = http.client.HTTPConnection(where, timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            if value:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return Got(connection.getresponse())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def daemon() -> Daemon:
    return Daemon(status())


@pytest.fixture(scope="module")
def where(daemon: Daemon) -> Iterator[str]:
    with daemon.at() as where:
        yield where


# Who may ask -----------------------------------------------------------------------------------------------

PAGES = ("/", "/status", "/healthz", "/readyz", "/metrics")


@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
def test_every_answer_tells_browsers_to_be_careful(where: str, path: str) -> None:
    got = ask(where, path)
    assert got.code == (404 if path == "/nowhere" else 200)
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Cache-Control"] == "no-store"
    assert got.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in got.headers["Content-Security-Policy"]
    assert "unsafe" not in got.headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in got.headers
    assert got.headers["Server"].strip() == "reconcile"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/status"])
def test_nothing_can_be_done_but_look(where: str, method: str, path: str) -> None:
    got = ask(where, path, method)
    assert got.code == 405
    assert got.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", PAGES)
def test_head_is_get_without_the_body(where: str, path: str) -> None:
    got = ask(where, path, "HEAD")
    assert got.code == 200
    assert got.body == b""
    assert got.headers["Content-Type"] == ask(where, path).headers["Content-Type"]


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost", 200), ("LOCALHOST:9467", 200), ("127.0.0.1:80", 200), ("[::1]:9467", 200), ("127.0.0.2", 200),
        ("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421),
        ("192.0.2.7", 421), ("localhost@evil.example", 421), ("[::1", 421), ("evil.example:127.0.0.1", 421),
    ],
)  # fmt: skip
def test_on_a_loopback_address_a_request_names_one(where: str, host: str, code: int) -> None:
    assert ask(where, "/status", Host=host).code == code


def test_a_request_with_two_hosts_is_refused(where: str) -> None:
    host, port = where.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10) as line:
        line.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.0 421 ")


def test_elsewhere_any_name_may_lead_here() -> None:
    with serve("0.0.0.0:0", {"/": lambda query: PageResponse("here\n")}) as where:
        assert ask(f"127.0.0.1:{where.rsplit(':')[-1]}", "/", Host="daemon.ops.svc").text == "here\n"


def test_it_listens_on_the_sixth_version_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    with serve("[::1]:0", {"/": lambda query: PageResponse("six\n")}) as where:
        assert where.startswith("[::1]:")
        assert ask(where, "/").text == "six\n"


def test_nothing_is_answered_where_nobody_wants_it(daemon: Daemon) -> None:
    with daemon.at("") as where:
        assert where == ""
    with pytest.raises(ReconcilerError, match="not HOST:PORT"), daemon.at("here"):
        pass


def test_a_page_that_fails_is_logged_without_what_it_read(caplog: pytest.LogCaptureFixture) -> None:
    def bad(query: object) -> PageResponse:
        raise KeyError(SECRET)

    with (
        caplog.at_level(logging.ERROR),
        serve("127.0.0.1:0", {"/": bad, "/good": lambda query: PageResponse("")}) as where,
    ):
        with pytest.raises(http.client.HTTPException):
            ask(where, "/")
        assert ask(where, "/good").code == 200
    assert "KeyError" in caplog.text
    assert "test_serving.py" in caplog.text
    assert SECRET not in caplog.text


def test_a_long_answer_is_packed_for_who_can_unpack_it(where: str, daemon: Daemon) -> None:
    daemon.status, before = told(fleet(500)), daemon.status
    try:
        plain = ask(where, "/status?resources=all")
        packed = ask(where, "/status?resources=all", Accept_Encoding="gzip, br")
    finally:
        daemon.status = before
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 5
    assert json.loads(gzip.decompress(packed.body))["resources"] == json.loads(plain.body)["resources"]


# Whether it is well ----------------------------------------------------------------------------------------


def test_health_and_readiness_say_why_not(daemon: Daemon, where: str) -> None:
    assert (ask(where, "/healthz").code, ask(where, "/healthz").text) == (200, "ok\n")
    assert (ask(where, "/readyz").code, ask(where, "/readyz").text) == (200, "ok\nblocked by 1 error, see /status\n")
    before = daemon.status
    try:
        daemon.unhealthy = ["the control loop has been stuck for 90 s"]
        daemon.unready = ["the cluster was not read yet", "another replica acts"]
        daemon.status = replace(before, watches={"cluster": 60.1, "files": 59.9})
        health, ready, said = ask(where, "/healthz"), ask(where, "/readyz"), json.loads(ask(where, "/status").body)
    finally:
        daemon.unhealthy, daemon.unready, daemon.status = [], [], before
    assert (health.code, ready.code) == (503, 503)
    assert health.text.splitlines() == [
        "the control loop has been stuck for 90 s",
        "the watch on the cluster has been stuck for 60 s",
    ]
    assert ready.text.splitlines() == ["the cluster was not read yet", "another replica acts"]
    assert said["unhealthy"] == health.text.splitlines()
    assert said["unready"] == ready.text.splitlines()


def test_a_watch_may_be_silent_for_so_long() -> None:
    assert stuck_watches({"b": 300.0, "a": 1.0}, 300.0) == []
    assert [line.split()[4] for line in stuck_watches({"b": 301.0, "a": 999.0}, 300.0)] == ["a", "b"]


# Status ----------------------------------------------------------------------------------------------------


def check(value: Any) -> None:
    Draft202012Validator(schema("status"), format_checker=FormatChecker()).validate(value)


def every_key_is_described(value: Any) -> None:
    """The schema is closed: a field that is not in it does not pass."""
    check(value)
    with pytest.raises(Exception, match="Additional properties"):
        check({**value, "more": 1})


@pytest.mark.parametrize(
    "made", [status, calm, lambda: told(fleet(300)), lambda: Status("s", ".", NOW)], ids=["busy", "calm", "many", "new"]
)
@pytest.mark.parametrize("everything", [True, False])
def test_a_status_is_as_its_schema_says(made: Callable[[], Status], everything: bool) -> None:
    value = status_json(made(), NOW, everything=everything)
    every_key_is_described(json.loads(json.dumps(value)))
    assert value == status_json(made(), NOW, everything=everything), "the same for the same"


@pytest.mark.parametrize("part", ["step", "running"])
def test_the_gravity_of_a_step_is_as_the_schema_says(part: str) -> None:
    assert schema("status")["$defs"][part]["properties"]["grave"]["enum"] == [*Danger, None]


def test_the_schema_is_one_and_describes_what_it_names() -> None:
    Draft202012Validator.check_schema(schema("status"))
    for name, field in schema("status")["properties"].items():
        assert field.get("description"), name


def test_without_all_only_what_needs_a_look_is_shown(where: str) -> None:
    few = json.loads(ask(where, "/status").body)
    all = json.loads(ask(where, "/status?resources=all").body)
    check(few)
    check(all)
    names = {item["name"] for item in few["resources"]["items"]}
    assert names == {"backup", "db-1-data", "old-data", "web-1", "web-2", "web-3", "cache-1", "scratch"}
    assert few["resources"]["total"] == all["resources"]["total"] == len(all["resources"]["items"]) == len(shop())
    assert few["counts"] == all["counts"] == {
        "Synced": 13, "OutOfSync": 2, "PendingRestart": 1, "Held": 1, "Failed": 1, "Blocked": 1, "Unmanaged": 1,
    }  # fmt: skip
    assert ask(where, "/status?resources=some").code == 400


def test_times_are_utc_durations_seconds_and_problems_have_places() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=8)))
    value = status_json(status(), elsewhere)
    assert value["time"] == "2026-11-23T14:03:12.000Z"
    assert value["resync"] == "2026-11-23T14:07:32.000Z"
    assert value["watches"] == {"cluster": 1.5, "files": 4.2}
    assert [value["problems"][0][name] for name in ("file", "line", "column")] == ["shop/cache.yaml", 9, 13]
    assert value["passes"][0]["seconds"] == 0.018
    assert value["running"][0] == {
        **value["running"][0], "operation": "StartVM", "began": "2026-11-23T14:03:09.000Z", "typical": 8.0,
    }  # fmt: skip


def test_the_plan_has_waves_and_says_what_is_held_and_what_waits() -> None:
    plan = status_json(status(), NOW)["plan"]
    assert [(step["id"], step["wave"]) for step in plan["steps"]] == [
        ("s1", 1), ("s2", 1), ("s4", 1), ("s5", 1), ("s3", 2), ("s6", 3),
    ]  # fmt: skip
    by_id = {step["id"]: step for step in plan["steps"]}
    assert by_id["s4"]["waits"] == "failed, retried at 14:04:00: ResizeRAM: no balloon"
    assert (by_id["s6"]["held"], by_id["s6"]["grave"], by_id["s6"]["sign"]) == ("data", "Destroys data", "-")
    assert (plan["totals"]["held"], plan["totals"]["waiting"], plan["totals"]["waves"]) == (2, 1, 3)
    assert all("parameters" not in step for step in plan["steps"])


def test_of_a_long_plan_the_grave_steps_are_all_shown() -> None:
    many = tuple(replace(STEPS[number % 2 * 4], id=f"n{number}") for number in range(2 * MOST))
    plan = status_json(status(plan=Plan("shop", many)), NOW)["plan"]
    assert plan["totals"]["steps"] == 2 * MOST
    assert plan["totals"]["shown"] == len(plan["steps"]) == MOST
    assert all(step["grave"] for step in plan["steps"])
    mild = status_json(status(plan=Plan("shop", many[::2] + many[:9:2])), NOW)["plan"]
    assert mild["totals"]["shown"] == MOST


def test_fields_are_shown_as_manifests_write_them() -> None:
    assert shown(MACHINE, ("memory", "size"), 4 * 1024**3) == "4Gi"
    assert shown(MACHINE, ("cpu", "count"), 4) == 4
    assert shown(MACHINE, ("autostart",), True) is True
    assert shown(MACHINE, ("disks", "vda", "qos", "readBytes"), 1024**2) == "1Mi"
    assert shown(MACHINE, ("disks", "vda"), {"qos": {"readBytes": 1024}}) == {"qos": {"readBytes": "1Ki"}}
    assert shown(DISK, ("path",), PathOf(id(DISK, "a"))) == "<path of VirtualMachineDisk/a>"
    assert shown(DISK, ("path",), ("/x/", PathOf(id(DISK, "a")))) == "/x/<path of VirtualMachineDisk/a>"
    assert shown(MACHINE, (), None) is None


def test_a_secret_is_in_no_answer(daemon: Daemon, where: str) -> None:
    whole = {"listen": "::", "passwordFrom": Secret("env", "VNC", digest=SECRET)}
    drifts = (
        Drift(("graphics",), whole, {"passwordFrom": SECRET}, ChangedSide.UNKNOWN, Mode.HEAL, NOW),
        Drift(("guest", "passwordFrom"), Secret("secretKeyRef", "web-1", "root", "default"), SECRET, ChangedSide.BOTH,
              Mode.HEAL, NOW),
    )  # fmt: skip
    step = replace(STEPS[0], parameters={"password": SECRET}, last_applied={"graphics.passwordFrom": SECRET})
    daemon.status, before = told((view(MACHINE, "a", "Running", drift=drifts),), plan=Plan("s", (step,))), daemon.status
    try:
        texts = [ask(where, path).text for path in ("/status?resources=all", "/status", "/metrics", "/")]
    finally:
        daemon.status = before
    assert [text for text in texts if SECRET in text] == []
    assert "<secret from env VNC>" in texts[0]
    assert "<secret from Secret web-1, key root>" in texts[0]


# Metrics ---------------------------------------------------------------------------------------------------


def values(text: str) -> dict[str, float]:
    """``name{label=value}`` -> value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_what_is_so_is_read_when_somebody_asks(where: str) -> None:
    found = values(ask(where, "/metrics").text)
    fleet = ("reconcile_resources", "reconcile_planned", "reconcile_running")
    assert {name: found[name] for name in found if name.startswith(fleet)} == {
        **{f"reconcile_resources{{sync={sync}}}": 0.0 for sync in Sync},
        "reconcile_resources{sync=Synced}": 13.0,
        "reconcile_resources{sync=OutOfSync}": 2.0,
        "reconcile_resources{sync=PendingRestart}": 1.0,
        "reconcile_resources{sync=Held}": 1.0,
        "reconcile_resources{sync=Failed}": 1.0,
        "reconcile_resources{sync=Blocked}": 1.0,
        "reconcile_resources{sync=Unmanaged}": 1.0,
        "reconcile_resources_backing_off": 1.0,
        "reconcile_planned_steps{state=runnable}": 3.0,
        "reconcile_planned_steps{state=waiting}": 1.0,
        "reconcile_planned_steps{state=held}": 2.0,
        "reconcile_running_steps": 2.0,
    }  # fmt: skip
    drift = {name: value for name, value in found.items() if name.startswith("reconcile_drift_fields") and value}
    assert drift == {
        "reconcile_drift_fields{mode=Heal,since=declared changed}": 2.0,
        "reconcile_drift_fields{mode=Heal,since=observed changed}": 1.0,
        "reconcile_drift_fields{mode=Heal,since=pending restart}": 1.0,
        "reconcile_drift_fields{mode=Heal,since=unknown}": 1.0,
        "reconcile_drift_fields{mode=Report,since=both changed}": 1.0,
    }
    assert sum(name.startswith("reconcile_drift_fields") for name in found) == len(ChangedSide) * len(Mode)
    assert found["reconcile_input_problems{severity=error}"] == 1
    assert found["reconcile_input_problems{severity=warning}"] == 1
    assert found["reconcile_daemon_leader"] == 1
    assert found["reconcile_daemon_cluster_answers"] == 1
    assert isnan(found["reconcile_daemon_cluster_silence_seconds"])
    assert found["reconcile_daemon_hints_queued"] == 1
    assert found["reconcile_daemon_watch_silence_seconds{watch=cluster}"] == 1.5
    assert found["reconcile_daemon_last_success_timestamp_seconds"] == NOW.timestamp() - 340
    assert found["reconcile_daemon_next_full_pass_timestamp_seconds"] == NOW.timestamp() + 260
    assert found["process_resident_memory_bytes"] > 1e6


def test_a_cluster_that_does_not_answer_is_a_metric_and_in_the_status() -> None:
    with Daemon(
        replace(status(), cluster=Contact("the cluster has not answered for 40 s: timed out", 41.5))
    ).at() as where:
        found, said = values(ask(where, "/metrics").text), json.loads(ask(where, "/status").body)
    assert found["reconcile_daemon_cluster_answers"] == 0
    assert found["reconcile_daemon_cluster_silence_seconds"] == 41.5
    assert said["cluster"] == {"away": "the cluster has not answered for 40 s: timed out", "silence": 41.5}


def test_a_standby_that_never_succeeded_says_so() -> None:
    daemon = Daemon(Status("shop", ".", NOW))
    with daemon.at() as where:
        found = values(ask(where, "/metrics").text)
    assert found["reconcile_daemon_leader"] == 0
    assert found["reconcile_daemon_last_success_timestamp_seconds"] == 0
    assert found["reconcile_planned_steps{state=runnable}"] == 0


def test_what_happens_is_counted() -> None:
    daemon = Daemon(status())
    daemon_metrics = daemon.daemon_metrics
    ok, slow, failed, error = (passes()[number] for number in (0, 2, 3, 7))
    for done in (ok, ok, slow, failed, error):
        daemon_metrics.reconciled(done)
    daemon_metrics.step_ended(Outcome(STEPS[0], Result.CHANGED, seconds=2.0))
    daemon_metrics.step_ended(Outcome(STEPS[0], Result.FAILED, "no", 0.5))
    daemon_metrics.step_ended(Outcome(STEPS[5], Result.HELD))
    daemon_metrics.cache_mismatch()
    with daemon.at() as where:
        found = values(ask(where, "/metrics").text)
    assert {name: found[name] for name in found if name.startswith("reconcile_daemon_passes_total")} == {
        "reconcile_daemon_passes_total{result=ok,scope=incremental}": 2.0,
        "reconcile_daemon_passes_total{result=failed,scope=incremental}": 1.0,
        "reconcile_daemon_passes_total{result=blocked,scope=incremental}": 0.0,
        "reconcile_daemon_passes_total{result=error,scope=incremental}": 0.0,
        "reconcile_daemon_passes_total{result=ok,scope=full}": 1.0,
        "reconcile_daemon_passes_total{result=failed,scope=full}": 0.0,
        "reconcile_daemon_passes_total{result=blocked,scope=full}": 0.0,
        "reconcile_daemon_passes_total{result=error,scope=full}": 1.0,
    }
    assert found["reconcile_daemon_pass_duration_seconds_count{scope=full}"] == 2
    assert found["reconcile_daemon_pass_duration_seconds_sum{scope=full}"] == pytest.approx(
        slow.seconds + error.seconds
    )
    assert found["reconcile_steps_total{impact=live,operation=StartVM,result=changed}"] == 1
    assert found["reconcile_steps_total{impact=live,operation=StartVM,result=failed}"] == 1
    assert found["reconcile_steps_total{impact=data,operation=DeleteDisk,result=held}"] == 1
    assert found["reconcile_step_duration_seconds_sum{operation=StartVM}"] == 2.5
    assert "reconcile_step_duration_seconds_sum{operation=DeleteDisk}" not in found, "it did not run"
    assert found["reconcile_daemon_full_pass_differences_total"] == 1


def test_every_metric_is_documented_and_every_documented_one_is_there() -> None:
    daemon = Daemon(status())
    daemon.daemon_metrics.step_ended(Outcome(STEPS[0], Result.CHANGED, seconds=2.0))
    table = pages(
        lambda: daemon.status, healthy=list, ready=list, daemon_metrics=daemon.daemon_metrics, now=lambda: NOW
    )
    body = table["/metrics"]({}).body
    text = body if isinstance(body, str) else body.decode()
    types = dict(re.findall(r"^# TYPE (reconcile_\S+) (\w+)$", text, re.MULTILINE))
    real = {(name, type) for name, type in types.items() if not name.endswith("_created")}
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    assert set(re.findall(r"^\| `(reconcile_\w+)[^`]*` \| (\w+) \|", page, re.MULTILINE)) == real


def test_the_page_describes_every_field_of_a_status() -> None:
    page = (ROOT / "docs" / "reference" / "status.md").read_text()
    named = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert set(schema("status")["properties"]) <= named


def test_problems_are_those_of_the_input() -> None:
    assert [each["message"] for each in status_json(status(), NOW)["problems"]] == [each.message for each in PROBLEMS]
