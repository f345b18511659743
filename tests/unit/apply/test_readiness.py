"""A machine that was interrupted is back when its service answers; time is simulated, except where it is asked."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler import Options, Plan, Report, observe
from reconciler.apply import Result
from reconciler.apply.guest_agent import GuestAgentProber
from reconciler.apply.probe import NetworkProber, answers
from reconciler.drivers.simulator.context import key_of, observed_spec
from reconciler.model.journal import StepEnded, read_journal
from reconciler.model.outcome import ErrorKind
from reconciler.model.problem import InvalidInput, Unavailable
from reconciler.model.readiness import Readiness
from reconciler.model.resource import API_VERSION, ResourceId
from reconciler.output.plan_json import from_json, to_json
from reconciler.output.text import plan_text
from reconciler.planner import Policy
from reconciler.rehearsal import rehearse
from support.fleets import resource
from support.scenario import converge, desired_of, plan_of
from support.services import NEVER, Services
from support.staged import Stage, staged

ALLOW = frozenset({"interrupt", "restart"})
ONE_OF_THREE = "exactly one of tcp, http, guestAgent is needed"
TCP = {"tcp": {"port": 22}, "timeout": 5}
AGENT = {"guestAgent": {}, "timeout": 5}
WEB = ResourceId("VirtualMachine", "web-0")


def shop(generation: int, count: int = 3, readiness: Any = TCP, **spec: Any) -> list[dict[str, Any]]:
    """Machines whose NIC has another MAC in each generation; each says how it is ready."""
    at = {"nodeName": "node22"}
    documents = [
        resource("VirtualMachinePool", "disks", {**at, "type": "localfs", "url": "/var/lib/libvirt/disks"}),
        resource("VirtualMachineNetwork", "front", {**at, "switch": {"subnet": "10.1.1.0/24", "gateway": "10.1.1.1"}}),
    ]
    for number in range(count):
        mac, ip = f"52:54:00:00:{generation:02x}:{number:02x}", f"10.1.1.{10 + number}"
        documents.append(
            resource("VirtualMachineDisk", f"web-{number}-root", {**at, "pool": "disks", "capacity": "10Gi"})
        )
        machine = {
            **at,
            "osVariant": "debian12",
            "cpu": {"count": 1},
            "memory": {"size": "1Gi"},
            "disks": [{"target": "vda", "disk": f"web-{number}-root", "boot": True}],
            "nics": [{"mac": mac, "type": "l3bridge", "source": "br-int", "network": "front", "ip": ip}],
            **({} if readiness is None else {"readiness": readiness}),
            **spec,
        }
        documents.append(resource("VirtualMachine", f"web-{number}", machine))
    return documents


@contextmanager
def shopped(count: int = 3, **spec: Any) -> Iterator[Stage]:
    """A cluster with the machines of the first generation."""
    with staged() as stage:
        converge(stage.cluster, desired_of(shop(0, count, **spec)))
        stage.driver.ran.clear()
        yield stage


def rolled(stage: Stage, services: Services, plan: Plan | None = None, **how: Any) -> Report:
    """Roll the machines to the second generation."""
    services.clock = stage.clock
    return stage.run(plan or plan_of(stage.cluster, desired_of(shop(1)), allow=ALLOW), prober=services, **how)


def unplugged(stage: Stage) -> list[str]:
    return [name for operation, name in stage.driver.ran if operation == "UnplugNIC"]


def waiting(plan: Plan) -> dict[str, str]:
    return {
        f"{step.operation} {step.resource.name}": ", ".join(map(str, step.readiness))
        for step in plan.steps
        if step.readiness
    }


# The plan ---------------------------------------------------------------------------------------------------


def test_the_last_step_of_an_interruption_waits_until_its_machine_is_ready() -> None:
    with shopped() as stage:
        made = plan_of(stage.cluster, desired_of(shop(1)), allow=ALLOW)
    assert waiting(made) == {f"PlugNIC web-{n}": f"tcp 10.1.1.{10 + n}:22" for n in range(3)}
    assert made.ready_first == ()
    assert "type l3bridge; then waits until tcp 10.1.1.10:22 answers\n" in plan_text(made)
    assert from_json("plan.json", json.dumps(to_json(made))).steps == made.steps


@pytest.mark.parametrize(
    ("readiness", "shown"),
    [
        ({"tcp": {"port": 22, "address": "fd00::5"}}, "tcp [fd00::5]:22"),
        ({"http": {"port": 80, "path": "/healthz"}}, "http://10.1.1.10:80/healthz"),
        ({"http": {"port": 443, "path": "/", "scheme": "https", "address": "web.shop"}}, "https://web.shop:443/"),
    ],
)
def test_the_address_is_that_of_the_first_nic_unless_it_is_declared(readiness: Any, shown: str) -> None:
    with shopped(1) as stage:
        made = plan_of(stage.cluster, desired_of(shop(1, 1, readiness)), allow=ALLOW)
    assert waiting(made) == {"PlugNIC web-0": shown}


def test_a_machine_that_is_stopped_or_declares_none_is_not_waited_for() -> None:
    with shopped() as stage:
        stopped = plan_of(stage.cluster, desired_of(shop(1, powerState="Stopped")), allow=ALLOW)
        silent = plan_of(stage.cluster, desired_of(shop(1, readiness=None)), allow=ALLOW)
        held = plan_of(stage.cluster, desired_of(shop(1)))
    assert [waiting(each) for each in (stopped, silent, held)] == [{}, {}, {}]
    assert held.ready_first == ()


def test_others_are_asked_before_the_first_machine_is_interrupted() -> None:
    with shopped() as stage:
        one = [*shop(1, 1), *[each for each in shop(0) if each["metadata"]["name"].startswith(("web-1", "web-2"))]]
        made = plan_of(stage.cluster, desired_of(one), allow=ALLOW)
    assert [each.machine.name for each in made.ready_first] == ["web-1", "web-2"]
    sentence = (
        "Waits until these answer before it interrupts the first one: tcp 10.1.1.11:22 of VirtualMachine/web-1, "
        "tcp 10.1.1.12:22 of VirtualMachine/web-2."
    )
    assert sentence in plan_text(made)
    assert from_json("plan.json", json.dumps(to_json(made))).ready_first == made.ready_first


def test_readiness_is_no_difference_and_is_not_sent() -> None:
    with shopped() as stage:
        made = plan_of(stage.cluster, desired_of(shop(0, readiness={"http": {"port": 80, "path": "/"}})))
        assert [step.operation for step in made.steps if step.for_agent] == []
        assert "readiness" not in json.dumps(stage.cluster.get(WEB))


@pytest.mark.parametrize(
    ("readiness", "place", "message"),
    [
        ({}, "spec.readiness", ONE_OF_THREE),
        ({"timeout": 5}, "spec.readiness", ONE_OF_THREE),
        (
            {"tcp": {"port": 1}, "http": {"port": 1, "path": "/"}},
            "spec.readiness",
            ONE_OF_THREE,
        ),
        ({"tcp": {}}, "spec.readiness.tcp", "port is missing"),
        ({"tcp": {"port": 70000}}, "spec.readiness.tcp.port", "out of range"),
        ({"http": {"port": 80, "path": "health"}}, "spec.readiness.http.path", "not allowed"),
        ({"http": {"port": 80, "path": "/a b"}}, "spec.readiness.http.path", "not allowed"),
        ({"tcp": {"port": 22}, "timeout": 0}, "spec.readiness.timeout", "out of range"),
        ({"guestAgent": {}, "tcp": {"port": 22}}, "spec.readiness", ONE_OF_THREE),
        ({"guestAgent": {"port": 22}}, "spec.readiness.guestAgent.port", "unknown field"),
        ({"guestAgent": True}, "spec.readiness.guestAgent", "must be a mapping"),
    ],
)
def test_a_readiness_that_says_nothing_is_an_error_at_its_place(readiness: Any, place: str, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        desired_of(shop(0, 1, readiness))
    assert any(each.path.startswith(place) and message in each.message for each in raised.value.problems)


def test_a_readiness_without_any_address_is_an_error_at_its_place() -> None:
    nic = {"mac": "52:54:00:00:00:01", "type": "bridge", "source": "virbr0"}
    with pytest.raises(InvalidInput) as raised:
        desired_of(shop(0, 1, nics=[nic]))
    (problem,) = raised.value.problems
    assert (problem.path, problem.origin.line > 1) == ("spec.readiness.tcp.address", True)
    assert (problem.message, problem.remedy) == (
        "no NIC has an ip, and there is no address to ask",
        "Add address, or an ip to a NIC.",
    )
    desired_of(shop(0, 1, {"tcp": {"port": 22, "address": "10.1.1.9"}}, nics=[nic]))


# The apply --------------------------------------------------------------------------------------------------


def test_the_next_machine_follows_at_once_when_the_last_is_ready() -> None:
    with shopped() as stage:
        services = Services()
        assert rolled(stage, services).ok
        assert unplugged(stage) == ["web-0", "web-1", "web-2"]
        assert services.asked == [f"tcp 10.1.1.{10 + number}:22" for number in range(3)]


def test_the_next_machine_waits_for_as_long_as_the_last_is_not_ready() -> None:
    with shopped() as stage:
        services = Services({"tcp 10.1.1.10:22": 3.0})
        ended: dict[str, float] = {}
        report = rolled(
            stage,
            services,
            on_outcome=lambda outcome: ended.setdefault(
                f"{outcome.step.operation} {outcome.step.resource.name}", stage.clock()
            ),
        )
        assert report.ok
        assert services.asked.count("tcp 10.1.1.10:22") > 1
        assert ended["UnplugNIC web-0"] < 3.0 <= ended["PlugNIC web-0"] <= ended["UnplugNIC web-1"]
    waited = next(each for each in report.outcomes if each.step.readiness)
    assert waited.seconds < 1.0, "waiting is not part of the operation"


def test_a_machine_that_does_not_become_ready_fails_and_no_other_is_interrupted() -> None:
    with shopped() as stage:
        report = rolled(stage, Services({"tcp 10.1.1.10:22": NEVER}))
        (failed,) = [each for each in report.outcomes if each.result is Result.FAILED]
        assert failed.step.resource == WEB
        assert failed.message == "running, but tcp 10.1.1.10:22 did not answer within 5 s"
        assert failed.error is ErrorKind.NOT_READY
        assert unplugged(stage) == ["web-0"]
        assert {each.result for each in report.outcomes if each.step.resource.name in ("web-1", "web-2")} == {
            Result.SKIPPED
        }


def test_all_that_share_a_thing_are_waited_for_after_it_changed() -> None:
    edited = shop(1)
    edited[1]["spec"]["switch"]["gateway"] = "10.1.1.2"
    with shopped() as stage:
        services = Services({"tcp 10.1.1.11:22": NEVER, "tcp 10.1.1.12:22": 3.0})
        plan = plan_of(stage.cluster, desired_of(edited), allow=ALLOW)
        assert waiting(plan)["ModifySwitch front"] == "tcp 10.1.1.10:22, tcp 10.1.1.11:22, tcp 10.1.1.12:22"
        report = rolled(stage, services, plan)
        failed, *skipped = report.outcomes
        assert (failed.step.operation, failed.result, failed.error) == (
            "ModifySwitch",
            Result.FAILED,
            ErrorKind.NOT_READY,
        )
        assert failed.message == (
            "done, but VirtualMachine/web-1 is not ready: tcp 10.1.1.11:22 did not answer within 5 s"
        )
        assert {each.result for each in skipped} == {Result.SKIPPED}
        assert unplugged(stage) == []


def test_the_next_plan_asks_it_before_it_interrupts_another_machine() -> None:
    with shopped() as stage:
        services = Services({"tcp 10.1.1.10:22": NEVER})
        rolled(stage, services)
        again = rolled(stage, services)
        (failed,) = [each for each in again.outcomes if each.result is Result.FAILED]
        assert (failed.step.operation, failed.step.resource.name) == ("UnplugNIC", "web-1")
        assert failed.message == (
            "VirtualMachine/web-0 is not ready, and no other machine is interrupted meanwhile: "
            "tcp 10.1.1.10:22 did not answer within 5 s"
        )
        assert unplugged(stage) == ["web-0"]
        services.answers.clear()
        assert rolled(stage, services).ok
        assert unplugged(stage) == ["web-0", "web-1", "web-2"]


def test_others_run_while_a_machine_is_waited_for() -> None:
    """Also where one step runs at a time."""
    with shopped() as stage:
        desired = [*shop(1), resource("VirtualMachineDisk", "more", shop(0)[2]["spec"])]
        plan = plan_of(stage.cluster, desired_of(desired), allow=ALLOW)
        order = [step for step in plan.steps if step.resource.name == "more"]
        slow = replace(plan, steps=(*[step for step in plan.steps if step not in order], *order))
        ended: list[str] = []
        report = rolled(
            stage,
            Services({"tcp 10.1.1.10:22": 3.0}),
            slow,
            options=Options(parallel=1),
            on_outcome=lambda outcome: ended.append(f"{outcome.step.operation} {outcome.step.resource.name}"),
        )
    assert report.ok
    assert ended.index("CreateDisk more") < ended.index("PlugNIC web-0")


def test_a_run_that_is_asked_to_stop_waits_for_nobody() -> None:
    with shopped() as stage:
        report = rolled(stage, Services({"tcp 10.1.1.10:22": NEVER}), interrupts=lambda: int(stage.clock() > 2))
        assert stage.clock() < 5
    by_name = {f"{each.step.operation} {each.step.resource.name}": each for each in report.outcomes}
    assert by_name["PlugNIC web-0"].result is Result.CHANGED
    assert by_name["PlugNIC web-0"].message == "it was not waited until tcp 10.1.1.10:22 answers"
    assert by_name["UnplugNIC web-1"].result is Result.INTERRUPTED


def test_a_saved_plan_that_was_stopped_while_it_waited_goes_on_waiting() -> None:
    with shopped() as stage:
        made = plan_of(stage.cluster, desired_of(shop(1)), allow=ALLOW)
        services = Services({"tcp 10.1.1.10:22": NEVER})
        rolled(stage, services, made, interrupts=lambda: int(stage.clock() > 2))
        report = rolled(stage, services, made, options=Options(saved=True))
        (failed,) = [each for each in report.outcomes if each.result is Result.FAILED]
        assert failed.message == "running, but tcp 10.1.1.10:22 did not answer within 5 s"
        assert unplugged(stage) == ["web-0"]
        services.answers.clear()
        assert rolled(stage, services, made, options=Options(saved=True)).ok
        assert unplugged(stage) == ["web-0", "web-1", "web-2"]


def test_an_operation_after_which_a_machine_is_not_ready_does_not_run_again() -> None:
    request = {
        "apiVersion": "gitops.doslab.io/v1alpha1",
        "kind": "Operation",
        "metadata": {"name": "reset-web-0"},
        "spec": {"target": {"kind": "VirtualMachine", "name": "web-0"}, "operation": "ResetVM"},
    }
    with shopped() as stage:
        desired = desired_of([*shop(0), request])
        services = Services({"tcp 10.1.1.10:22": NEVER})
        report = rolled(stage, services, plan_of(stage.cluster, desired, allow=ALLOW))
        (failed,) = [each for each in report.outcomes if each.result is Result.FAILED]
        assert failed.step.operation == "ResetVM"
        ends = [each for each in read_journal(stage.cluster.records("default")) if isinstance(each, StepEnded)]
        assert (ends[-1].result, ends[-1].message) == (Result.RAN, failed.message)
        assert plan_of(stage.cluster, desired, allow=ALLOW).steps == ()


def test_a_rehearsal_takes_services_to_answer_and_says_so() -> None:
    with shopped() as stage:
        desired, policy = desired_of(shop(1)), Policy(allow=ALLOW)
        made = plan_of(stage.cluster, desired, allow=ALLOW)
        rehearsal = rehearse(made, desired, observe(stage.cluster), policy)
    assert rehearsal.converges
    assert (WEB, "is ready: tcp 10.1.1.10:22 is not asked") in rehearsal.assumed


# Guest agents -----------------------------------------------------------------------------------------------


def agents(stage: Stage, state: str, *names: str) -> None:
    """Have the simulated hosts show this state of the channels of guest agents; no state: no channel."""
    world = stage.cluster.world()
    for name in names:
        key = key_of(ResourceId("VirtualMachine", name))
        entity = world[key]
        for domain in (entity["spec"]["domain"], entity["persistent"]):
            domain["devices"].pop("channel", None)
        if state:
            plug_agent(entity["spec"]["domain"], state)
            plug_agent(entity["persistent"])
        world[key] = entity
        shown = stage.cluster.get(ResourceId("VirtualMachine", name))
        assert shown is not None
        observed = {**shown["spec"], **observed_spec(key, entity)}
        stage.cluster.update({**shown, "spec": observed})


def plug_agent(domain: dict[str, Any], state: str = "") -> None:
    target = {"_type": "virtio", "_name": "org.qemu.guest_agent.0", **({"_state": state} if state else {})}
    domain["devices"]["channel"] = [{"_type": "unix", "target": target}]


def agent_plan(stage: Stage, generation: int = 1, **spec: Any) -> Plan:
    return plan_of(stage.cluster, desired_of(shop(generation, readiness=AGENT, **spec)), allow=ALLOW)


def test_a_guest_agent_needs_no_address_and_the_plan_names_its_machine() -> None:
    with shopped() as stage:
        one = [*shop(1, 1, AGENT), *shop(0, 2, AGENT)[-2:]]
        made = plan_of(stage.cluster, desired_of(one), allow=ALLOW)
    assert waiting(made) == {"PlugNIC web-0": "the guest agent of VirtualMachine/web-0"}
    text = plan_text(made)
    assert "; then waits until the guest agent of VirtualMachine/web-0 answers\n" in text
    assert (
        "Waits until these answer before it interrupts the first one: the guest agent of VirtualMachine/web-1." in text
    )
    assert from_json("plan.json", json.dumps(to_json(made))) == made
    assert to_json(made)["readyFirst"] == [{"machine": "VirtualMachine/web-1", "scheme": "guestAgent", "timeout": 5}]


def test_a_guest_agent_that_is_shown_to_answer_is_not_asked_over_the_network() -> None:
    with shopped() as stage:
        services = Services()
        assert rolled(stage, services, agent_plan(stage)).ok
        assert unplugged(stage) == ["web-0", "web-1", "web-2"]
    assert services.asked == []


def test_the_next_machine_waits_until_the_guest_agent_of_the_last_one_answers() -> None:
    with shopped() as stage:
        agents(stage, "disconnected", "web-0")

        def get(id: ResourceId) -> Any:
            if stage.clock() >= 3.0:
                agents(stage, "connected", "web-0")
            return stage.cluster.get(id)

        stage.instead["get"] = get  # type: ignore[assignment]
        ended: dict[str, float] = {}
        report = rolled(
            stage,
            Services(),
            agent_plan(stage),
            on_outcome=lambda outcome: ended.setdefault(
                f"{outcome.step.operation} {outcome.step.resource.name}", stage.clock()
            ),
        )
        assert report.ok, [each.message for each in report.outcomes]
    assert ended["UnplugNIC web-0"] < 3.0 <= ended["PlugNIC web-0"] <= ended["UnplugNIC web-1"]


def test_a_guest_agent_that_does_not_answer_in_time_fails_and_stops_the_roll() -> None:
    with shopped() as stage:
        agents(stage, "disconnected", "web-0")
        report = rolled(stage, Services(), agent_plan(stage))
        (failed,) = [each for each in report.outcomes if each.result is Result.FAILED]
        assert failed.message == "running, but the guest agent of VirtualMachine/web-0 did not answer within 5 s"
        assert failed.error is ErrorKind.NOT_READY
        assert unplugged(stage) == ["web-0"]


def test_a_machine_without_the_channel_is_refused_at_its_place_and_no_other() -> None:
    with shopped() as stage:
        agents(stage, "", "web-0")
        made = agent_plan(stage)
        (problem,) = made.problems
        assert problem.path == "spec.readiness.guestAgent"
        assert problem.origin.line > 1
        assert problem.message == (
            "VirtualMachine/web-0: the machine has no channel org.qemu.guest_agent.0, so its guest agent cannot answer"
        )
        assert {step.resource.name for step in made.steps} == {"web-1", "web-2"}
        unchanged = agent_plan(stage, 0)
        assert (len(unchanged.problems), WEB in unchanged.unchanged_resources) == (1, False)
        assert agent_plan(stage, 1, powerState="Stopped").problems == ()


def test_a_channel_that_waits_for_the_next_start_is_enough_for_a_plan() -> None:
    with shopped() as stage:
        agents(stage, "", "web-0")
        world, key = stage.cluster.world(), key_of(WEB)
        entity = world[key]
        plug_agent(entity["persistent"])
        world[key] = entity
        shown = stage.cluster.get(WEB)
        assert shown is not None
        spec = {**shown["spec"], **observed_spec(key, entity)}
        assert [*spec["nextStart"]] == ["devices"]
        stage.cluster.update({**shown, "spec": spec})
        assert agent_plan(stage).problems == ()
        assert agent_plan(stage, 0).is_empty, "nothing that is declared waits"


def test_uni_virt_does_not_show_guest_agents() -> None:
    stack = {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": "default"}, "spec": {"agent": "uni-virt"}}
    with shopped() as stage:
        made = plan_of(stage.cluster, desired_of([stack, *shop(0, 1, AGENT)]), allow=ALLOW)
        found = [each for each in made.problems if each.path == "spec.readiness.guestAgent"]
        asked = plan_of(stage.cluster, desired_of([stack, *shop(0, 1)]), allow=ALLOW)
    assert [(each.message, each.remedy) for each in found] == [
        (
            "VirtualMachine/web-0: uni-virt does not show when a guest agent begins to answer",
            "Declare tcp or http, or serve the node with 'reconcile agent'.",
        )
    ]
    assert not [each for each in asked.problems if "readiness" in each.path]


@pytest.mark.parametrize(("power", "state", "answers"), [
    ("Running", "connected", True), ("Running", "disconnected", False), ("Running", "", False),
    ("Paused", "connected", False),
])  # fmt: skip
def test_a_guest_agent_answers_while_its_channel_is_open_in_a_guest_that_runs(
    power: str, state: str, answers: bool
) -> None:
    domain: dict[str, Any] = {"devices": {}}
    plug_agent(domain, state)
    domain["devices"]["channel"] = domain["devices"]["channel"][0]  # as an older generation of clients writes it
    found = {"kind": "VirtualMachine", "metadata": {"name": "web-0"}, "spec": {"powerstate": power, "domain": domain}}
    assert asked_of(lambda id: found) is answers


def test_a_machine_that_is_gone_and_a_cluster_that_is_away_show_no_guest_agent() -> None:
    def away(id: ResourceId) -> Any:
        raise Unavailable("no answer")

    assert asked_of(lambda id: None) is False
    assert asked_of(away) is False


def asked_of(get: Any) -> bool | None:
    prober = GuestAgentProber(SimpleNamespace(get=get), Services())  # type: ignore[arg-type]
    return prober.holds(Readiness(WEB, "guestAgent"))


# The network ------------------------------------------------------------------------------------------------


def asking(scheme: str, port: int, path: str = "") -> Readiness:
    return Readiness(WEB, scheme, "127.0.0.1", port, path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_tcp_answers_when_a_connection_is_made() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert answers(asking("tcp", listener.getsockname()[1]))
    assert not answers(asking("tcp", free_port()))
    assert not answers(Readiness(WEB, "tcp", "no-such-host.invalid", 22))


@pytest.fixture
def site() -> Iterator[int]:
    """The port of a server that answers with the status in the path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path[1:4]))
            self.send_header("Location", "/500")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "ready"), [("/200?full=1", True), ("/302", True), ("/399", True), ("/404", False), ("/503", False)]
)
def test_http_answers_with_a_status_from_200_to_399(site: int, path: str, ready: bool) -> None:
    assert answers(asking("http", site, path)) is ready


def test_what_is_not_http_or_not_there_does_not_answer(site: int) -> None:
    assert not answers(asking("https", site, "/200"))
    assert not answers(asking("http", free_port(), "/200"))


def test_the_prober_returns_at_once_and_asks_again_after_an_answer() -> None:
    prober, readiness = NetworkProber(), asking("tcp", free_port())
    assert first_answer(prober, readiness) is False
    with socket.create_server(("127.0.0.1", readiness.port)):
        assert first_answer(prober, readiness) is True


def first_answer(prober: NetworkProber, readiness: Readiness) -> bool | None:
    assert prober.holds(readiness) is None
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if (answer := prober.holds(readiness)) is not None:
            return answer
    return None
