"""What the driver of a node does not carry out is refused at planning; what drivers do is read off the cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reconciler import LocalCluster, Policy
from reconciler.agent.agent import Agent
from reconciler.agent.embedded import NodeLeases, scanned_copy, serving_node, simulators
from reconciler.cli import cli
from reconciler.drivers.base import Driver
from reconciler.drivers.capabilities import CAPABILITIES
from reconciler.drivers.capability import YES, Capabilities, Only, caveat, no
from reconciler.manifests.request import Request
from reconciler.model.journal import RunStarted
from reconciler.model.kinds import MACHINE, POOL
from reconciler.model.problem import Forbidden
from reconciler.model.resource import ResourceId
from reconciler.observe.capabilities import announced, announcement, lease_name
from reconciler.observe.observed import observe
from reconciler.planner import make_plan, plan_request
from reconciler.planner.explanation import explain_note
from reconciler.planner.plan import Plan
from reconciler.reconcile import observe_stack, reconcile_once, run_request
from support.scenario import OPTIONS, converge, desired_of, plan_of, served

NODE = "node22"
STACK = """\
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/disks, state: Active}
"""
SWITCH = """\
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: web-net}
spec: {nodeName: node22, switch: {subnet: 192.168.5.0/24, gateway: 192.168.5.1}}
"""
OPERATION = """\
---
apiVersion: gitops.doslab.io/v1alpha1
kind: Operation
metadata: {name: once}
spec: {target: {kind: VirtualMachinePool, name: disks}, operation: ShowPool}
"""
SWITCH_REFUSED = (
    f"VirtualMachineNetwork/web-net: node {NODE} does not carry out CreateSwitch (driver libvirt): "
    "networks need OVN: start the agent with --ovn-nb"
)


def without(*operations: tuple[str, str], driver: str = "simulator") -> Capabilities:
    """The capabilities of the simulator less some operations."""
    rows = CAPABILITIES["simulator"].rows
    return Capabilities(driver, {**rows, **dict.fromkeys(operations, no("left out by this test"))})


class Reduced:
    """A simulated host whose driver does less than the simulator."""

    def __init__(self, inner: Driver, capabilities: Capabilities) -> None:
        self.inner, self._capabilities = inner, capabilities
        self.ran: list[str] = []

    def capabilities(self) -> Capabilities:
        return self._capabilities

    def run(self, target: ResourceId, operation: str, parameters: Any) -> Any:
        self._capabilities.require(target.kind, operation)
        self.ran.append(operation)
        return self.inner.run(target, operation, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def planned(text: str, capabilities: dict[str, Capabilities]) -> Plan:
    """The plan of manifests for an empty cluster, where this is what agents have announced."""
    with LocalCluster(":memory:") as cluster:
        desired = desired_of(text)
        observed = observe_stack(cluster, desired)
        observed.capabilities = capabilities
        return make_plan(desired, observed, Policy())


def steps(made: Plan) -> list[str]:
    return [step.operation for step in made.steps]


# The planner ----------------------------------------------------------------------------------------------


def test_an_operation_that_the_driver_of_the_node_does_not_carry_out_is_a_problem_with_its_place() -> None:
    made = planned(STACK + SWITCH, {NODE: CAPABILITIES["libvirt"]})
    (problem,) = made.problems
    assert problem.message == SWITCH_REFUSED
    assert (problem.origin.file, problem.origin.line) == ("<stdin>", 13)
    assert "reconcile operations" in problem.remedy
    assert steps(made) == ["CreatePool"]


def test_a_node_of_which_nothing_is_known_is_not_refused_anything() -> None:
    for capabilities in ({}, {"node23": CAPABILITIES["libvirt"]}):
        made = planned(STACK + SWITCH, capabilities)
        assert not made.problems
        assert sorted(steps(made)) == ["CreatePool", "CreateSwitch"]


def test_a_driver_that_carries_everything_out_changes_no_plan() -> None:
    assert planned(STACK + SWITCH, {NODE: CAPABILITIES["simulator"]}) == planned(STACK + SWITCH, {})


def test_an_operation_with_a_caveat_is_planned() -> None:
    assert steps(planned(STACK, {NODE: CAPABILITIES["libvirt"]})) == ["CreatePool"]


def test_the_name_of_a_node_is_compared_in_lower_case() -> None:
    made = planned(STACK.replace("node22", "Node22"), {NODE: without((POOL, "CreatePool"))})
    assert [problem.message.partition(":")[0] for problem in made.problems] == ["VirtualMachinePool/disks"]


def test_what_needs_a_resource_that_is_not_created_is_left_out_with_a_note() -> None:
    disk = "\n".join(
        (
            "---",
            "apiVersion: gitops.doslab.io/v1alpha1",
            "kind: VirtualMachineDisk",
            "metadata: {name: root}",
            "spec: {nodeName: node22, pool: disks, capacity: 1Gi}",
        )
    )
    made = planned(f"{STACK}{disk}\n", {NODE: without((POOL, "CreatePool"))})
    assert not made.steps
    assert [problem.message for problem in made.problems] == [
        f"VirtualMachinePool/disks: node {NODE} does not carry out CreatePool (driver simulator): left out by this test"
    ]
    assert [(note.id.name, explain_note(note)) for note in made.blocked] == [
        ("root", "blocked by VirtualMachinePool/disks; left out: CreateDisk"),
        ("disks", "blocked by its own problem; left out: CreatePool"),
    ]


TWO_NICS = """\
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: root}
spec: {nodeName: node22, pool: disks, capacity: 1Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  nodeName: node22
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 256Mi}
  disks: [{target: vda, disk: root}]
  nics:
  - {mac: "52:54:00:0a:00:01", type: bridge, source: br-ext}
  - {mac: "52:54:00:0a:00:02", type: bridge, source: br-ext}
"""


ROUTED = "type: l3bridge, source: br-int, network: web-net"


@pytest.mark.parametrize(
    ("changed", "line", "field", "message"),
    [
        (
            ('01", type: bridge, source: br-ext', f'01", {ROUTED}'),
            25,
            "nics[0].type",
            "CreateAndStartVMFromISO with type l3bridge",
        ),
        (('02", type: bridge, source: br-ext', f'02", {ROUTED}'), 26, "nics[1].type", "PlugNIC with type l3bridge"),
        (("type: localfs", "type: vdiskfs"), 8, "type", "CreatePool with type vdiskfs"),
    ],
)
def test_a_value_that_a_driver_does_not_carry_out_is_a_problem_at_its_field(
    changed: tuple[str, str], line: int, field: str, message: str
) -> None:
    stack = (STACK + TWO_NICS).replace(*changed)
    assert not planned(STACK + TWO_NICS, {NODE: CAPABILITIES["libvirt"]}).problems
    problems = planned(stack, {NODE: CAPABILITIES["libvirt"]}).problems
    (problem,) = [each for each in problems if "does not carry out" in each.message]
    assert (problem.path, problem.origin.line) == (f"spec.{field}", line)
    assert f"node {NODE} does not carry out {message} (driver libvirt)" in problem.message


def test_a_value_on_request_that_a_driver_does_not_carry_out_is_refused_as_well() -> None:
    with served() as cluster:
        converge(cluster, desired_of(STACK + TWO_NICS))
        observed = observe(cluster)
        observed.capabilities = {NODE: CAPABILITIES["libvirt"]}
        parameters = 'parameters: {mac: "52:54:00:0a:00:03", type: %s, source: source=br-ext, live: true, config: true}'
        for type, refused in (("bridge", False), ("l2bridge", False), ("network", False), ("l3bridge", True)):
            asked = OPERATION.replace("VirtualMachinePool, name: disks", "VirtualMachine, name: web-1")
            asked = asked.replace("operation: ShowPool", f"operation: PlugNIC, {parameters % type}")
            (request,) = desired_of(asked).requests.values()
            made = plan_request(request, observed, "shop")
            assert bool(made.problems) is refused
            assert "does not carry out PlugNIC with type l3bridge" in str(made.problems) or not refused


def test_an_operation_on_request_that_is_not_carried_out_is_a_problem_at_its_document() -> None:
    made = planned(STACK + OPERATION, {NODE: without((POOL, "ShowPool"))})
    (problem,) = made.problems
    assert f"node {NODE} does not carry out ShowPool" in problem.message
    assert problem.origin.line == 12
    assert steps(made) == ["CreatePool"]


def test_a_stack_of_uni_virt_is_judged_by_what_uni_virt_does_whatever_an_agent_announces() -> None:
    stack = STACK.replace("metadata: {name: shop}\n", "metadata: {name: shop}\nspec: {agent: uni-virt}\n", 1)
    made = planned(stack, {NODE: without((POOL, "CreatePool"))})
    assert not made.problems


def test_an_operation_that_a_person_asks_for_is_refused_as_well() -> None:
    with served() as cluster:
        converge(cluster, desired_of(STACK))
        observed = observe(cluster)
        observed.capabilities = {NODE: without((POOL, "StopPool"))}
        made = plan_request(_request("StopPool"), observed, "shop")
        assert not made.steps
        assert "does not carry out StopPool" in made.problems[0].message


def _request(operation: str) -> Request:
    (request,) = desired_of(OPERATION.replace("ShowPool", operation)).requests.values()
    return request


# What is announced ----------------------------------------------------------------------------------------


def test_an_announcement_is_read_as_it_was_made() -> None:
    with LocalCluster(":memory:") as cluster:
        for node, capabilities in (("Node22", CAPABILITIES["libvirt"]), ("node23", without((MACHINE, "StartVM")))):
            cluster.lease(lease_name(node), "test", annotation=announcement(node, capabilities))
        found = announced(cluster)
    assert {node: each.driver for node, each in found.items()} == {"node22": "libvirt", "node23": "simulator"}
    assert found["node22"].supported == CAPABILITIES["libvirt"].supported
    assert found["node22"].of(MACHINE, "PlugNIC").only == CAPABILITIES["libvirt"].of(MACHINE, "PlugNIC").only
    assert found["node22"].of(MACHINE, "BackupVM") == no("backups are not implemented")
    assert found["node23"].of(MACHINE, "StartVM") == no("its agent does not announce it")
    assert found["node23"].of(MACHINE, "StopVM") == YES


def test_a_driver_that_is_not_known_here_is_taken_at_its_word() -> None:
    limits = Only("type", ("localfs",)), Only("opt", ("a", "b"), option="key")
    stated = Capabilities("xen", {(POOL, "CreatePool"): caveat("whatever it says", *limits)})
    with LocalCluster(":memory:") as cluster:
        cluster.lease(lease_name(NODE), "test", annotation=announcement(NODE, stated))
        found = announced(cluster)[NODE]
    assert found.supported == {(POOL, "CreatePool")}
    assert found.of(POOL, "CreatePool") == caveat("type: localfs only; key: a, b only", *limits)
    assert found.of(POOL, "StopPool") == no("its agent does not announce it")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '{"node": "a"}',
        '{"node": "a", "driver": "b", "operations": 3}',
        '{"node": "a", "driver": "b", "operations": {}, "only": 3}',
    ],
)
def test_an_announcement_that_cannot_be_read_counts_as_none(text: str) -> None:
    with LocalCluster(":memory:") as cluster:
        cluster.lease(lease_name(NODE), "test", annotation=text)
        assert announced(cluster) == {}


def test_who_may_not_list_leases_plans_as_if_no_agent_announced_anything() -> None:
    class Barred(LocalCluster):
        def lease_annotations(self, prefix: str) -> list[str]:
            raise Forbidden("leases is forbidden")

    with Barred(":memory:") as cluster:
        assert steps(plan_of(cluster, desired_of(STACK + SWITCH))) == ["CreatePool", "CreateSwitch"]


# Agents ---------------------------------------------------------------------------------------------------


def test_an_agent_announces_its_driver_while_it_serves_the_node_and_no_longer(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster.db") as cluster, LocalCluster(tmp_path / "cluster.db") as other:
        driver = Reduced(simulators(cluster)(NODE), without((POOL, "StopPool")))
        agent = Agent(cluster, lambda asked: driver if asked == NODE else None, node=NODE)
        assert announced(other) == {}
        with agent:
            wait_for(lambda: agent.ready)
            assert announced(other)[NODE].supported == driver.capabilities().supported
        assert announced(other) == {}


def test_a_run_on_a_host_is_planned_by_what_its_driver_carries_out(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        driver = Reduced(simulators(cluster)(NODE), without((POOL, "StopPool")))
        with serving_node(cluster, driver, NODE):
            converge(cluster, desired_of(STACK))
            made, report = reconcile_once(cluster, desired_of(STACK.replace("Active", "Inactive")), options=OPTIONS)
            assert "does not carry out StopPool" in made.problems[0].message
            assert report is None or not report.outcomes
            made, report = run_request(cluster, _request("StopPool"))
            assert "does not carry out StopPool" in made.problems[0].message
        assert driver.ran == ["CreatePool"]


def test_a_run_by_hand_knows_for_which_agent_the_stack_was_applied() -> None:
    """What uni-virt does not have ends its watch of the whole kind."""
    told = "VirtualMachinePool/disks: ShowPool cannot be sent to uni-virt: unknown key"
    with served() as cluster:
        converge(cluster, desired_of(STACK))
        cluster.record("shop", RunStarted("a-later-run", agent="uni-virt").to_json())
        for agent in ("", "uni-virt"):
            made, report = run_request(cluster, _request("ShowPool"), agent=agent)
            assert made.problems[0].message.startswith(told)
            assert not (report and report.outcomes)
        made, report = run_request(cluster, _request("ShowPool"), agent="reconcile", options=OPTIONS)
        assert report is not None
        assert report.ok, "who runs it knows better"


def test_nothing_is_sent_by_hand_that_would_end_an_agent_of_which_nobody_knows() -> None:
    with served() as cluster:
        converge(cluster, desired_of(STACK))
        observed = observe(cluster)
    shown = plan_request(_request("ShowPool"), observed, "shop", agent="")
    assert [each.message for each in shown.problems] == [
        "VirtualMachinePool/disks: nobody has announced to serve node node22, and if it is uni-virt, ShowPool must not "
        "be sent: unknown key: the node stops watching the whole kind"
    ]
    assert shown.problems[0].remedy == "Say who serves the node: --agent reconcile or --agent uni-virt."
    assert not plan_request(_request("StopPool"), observed, "shop", agent="").problems, "both have it"
    observed.capabilities = {NODE: CAPABILITIES["simulator"]}
    assert not plan_request(_request("ShowPool"), observed, "shop", agent="").problems, "an agent has announced it"


def test_a_plan_on_a_host_knows_what_its_driver_carries_out_and_writes_nothing(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        driver = Reduced(simulators(cluster)(NODE), without((POOL, "CreatePool")))
        with scanned_copy(cluster, driver, NODE) as shown:
            assert "does not carry out CreatePool" in plan_of(shown, desired_of(STACK)).problems[0].message
        assert announced(cluster) == {}


def test_the_embedded_simulators_refuse_nothing() -> None:
    with served() as cluster:
        converge(cluster, desired_of(STACK + SWITCH))
        assert not plan_of(cluster, desired_of(STACK + SWITCH)).problems


def test_the_embedded_agent_announces_the_driver_of_a_node_while_it_works_there() -> None:
    with LocalCluster(":memory:") as cluster:
        driver = Reduced(simulators(cluster)(NODE), without((POOL, "StopPool")))
        leases = NodeLeases(cluster, lambda node: driver)
        with leases.held(NODE) as mine:
            assert mine
            made = plan_of(cluster, desired_of(STACK.replace("Active", "Inactive")))
        leases.close()
        assert announced(cluster) == {}
    assert [problem.message.partition(" (")[0] for problem in made.problems] == [
        f"VirtualMachinePool/disks: node {NODE} does not carry out StopPool"
    ]


def test_the_command_refuses_what_an_agent_in_another_process_does_not_carry_out(tmp_path: Path) -> None:
    database, manifests = tmp_path / "cluster.db", tmp_path / "stack.yaml"
    manifests.write_text(STACK + SWITCH)
    code = textwrap.dedent(
        f"""
        import sys
        from reconciler import LocalCluster
        from reconciler.agent.agent import Agent
        from reconciler.agent.embedded import simulators
        from reconciler.drivers.capabilities import CAPABILITIES

        cluster = LocalCluster({str(database)!r})
        driver = simulators(cluster)({NODE!r})
        driver.capabilities = lambda: CAPABILITIES["libvirt"]
        with Agent(cluster, lambda node: driver if node == {NODE!r} else None, node={NODE!r}) as agent:
            while not agent.ready:
                assert agent.healthy
            print("ready", flush=True)
            sys.stdin.read()
        """
    )
    command = ["--plan", str(manifests), "--cluster", str(database), "--output", "json"]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        refused = CliRunner().invoke(cli, command)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert refused.exit_code == 1
    assert SWITCH_REFUSED in refused.output
    assert f"{manifests}:13" in refused.output
    plain = CliRunner().invoke(cli, command)
    assert plain.exit_code == 0, plain.output
    assert len(json.loads(plain.stdout)["steps"]) == 2


def wait_for(condition: Any) -> None:
    pause = threading.Event()
    for _ in range(6000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come")
