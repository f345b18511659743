"""The deployment files, on a real API server: accepted as they stand, and each identity may do what it must, no more.

``identities`` are kubeconfigs of the service accounts, for tests that run ``reconcile`` as one of them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml

from reconciler import __version__
from reconciler.apply import Options
from reconciler.cli import cli
from support.api_call import MERGE_PATCH, Answer, call
from support.control_plane import ControlPlane
from support.deployment import (
    AGENT,
    ALL_KINDS,
    APPLIER,
    DEPLOY,
    FOLDERS,
    HOME,
    KEY,
    NODE,
    OTHER,
    PLANNER,
    RIGHTS,
    SYSTEM,
    deployed,
    documents,
    expected,
    found,
    granted,
    identities,
    until,
)
from support.paths import ROOT

__all__ = ["deployed", "identities"]  # fixtures


# Rights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", [HOME, SYSTEM, OTHER])
@pytest.mark.parametrize("identity", RIGHTS)
def test_an_identity_has_exactly_its_rights(identities: dict[str, Path], identity: str, namespace: str) -> None:
    assert granted(identities[identity], namespace, identities["nobody"]) == expected(identity, namespace)


# What they can do -----------------------------------------------------------------------------------------


class Act(NamedTuple):
    """A request that is done, but for what it would leave behind. ``PUT`` sends what is there."""

    method: str
    path: str
    body: dict[str, Any] | None = None


def made(
    api: str, kind: str, name: str = "made", labels: dict[str, str] | None = None, **fields: Any
) -> dict[str, Any]:
    labelled = {"labels": labels} if labels else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **labelled}, **fields}


MACHINES = f"/apis/doslab.io/v1/namespaces/{HOME}/virtualmachines"
CONFIG = f"/api/v1/namespaces/{HOME}/configmaps"
SECRETS = f"/api/v1/namespaces/{HOME}/secrets"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases"
EVENTS = f"/apis/events.k8s.io/v1/namespaces/{HOME}/events"
PATCH = {"metadata": {"labels": {"touched": "yes"}}}
# Of the names and labels that the admission policies let their writers write (test_admission).
RECORD, OF_STACK, OF_NODE = "reconcile-journal.web.n", "reconcile-stack-", f"reconcile-agent-{NODE}"
JOURNAL, ON_NODE = {"gitops.doslab.io/journal": "web"}, {"host": NODE}
LEASE = "coordination.k8s.io/v1"
EVENT = made(
    "events.k8s.io/v1",
    "Event",
    regarding={"kind": "VirtualMachine", "name": "probe", "namespace": HOME},
    action="startVM",
    reason="startVM",
    type="Normal",
    reportingController="reconcile-agent",
    reportingInstance="reconcile-agent-probe",
    eventTime="2026-01-02T10:00:03.120456Z",
)

# What must be there for the acts: by the path it is created at.
THERE: tuple[tuple[str, dict[str, Any]], ...] = (
    (MACHINES, made("doslab.io/v1", "VirtualMachine", "probe", ON_NODE, spec={})),
    (CONFIG, made("v1", "ConfigMap", f"{RECORD}000001", JOURNAL)),
    (LEASES, made(LEASE, "Lease", f"{OF_STACK}probe", spec={})),
    (LEASES, made(LEASE, "Lease", OF_NODE, spec={})),
    (SECRETS, made("v1", "Secret", "probe")),
    (SECRETS, made("v1", "Secret", KEY)),
)
ACTS: dict[str, Act] = {
    "list the machines of all namespaces": Act("GET", "/apis/doslab.io/v1/virtualmachines"),
    "get a machine": Act("GET", f"{MACHINES}/probe"),
    "create a machine": Act(
        "POST",
        MACHINES,
        made("doslab.io/v1", "VirtualMachine", labels=ON_NODE, spec={"lifecycle": {"startVM": {}}}),
    ),
    "update a machine": Act("PUT", f"{MACHINES}/probe"),
    "patch a machine": Act("PATCH", f"{MACHINES}/probe", PATCH),
    "delete a machine": Act("DELETE", f"{MACHINES}/probe"),
    "delete all machines": Act("DELETE", MACHINES),
    "create a machine elsewhere": Act(
        "POST", MACHINES.replace(HOME, OTHER), made("doslab.io/v1", "VirtualMachine", labels=ON_NODE, spec={})
    ),
    "list the events of all namespaces": Act("GET", "/apis/events.k8s.io/v1/events"),
    "create an event": Act("POST", EVENTS, EVENT),
    "list the stack records": Act("GET", f"{CONFIG}?labelSelector=gitops.doslab.io/journal%3Dweb"),
    "list the config maps elsewhere": Act("GET", CONFIG.replace(HOME, OTHER)),
    "list the config maps of all namespaces": Act("GET", "/api/v1/configmaps"),
    "create a stack record": Act("POST", CONFIG, made("v1", "ConfigMap", f"{RECORD}000002", JOURNAL)),
    "patch a stack record": Act("PATCH", f"{CONFIG}/{RECORD}000001", PATCH),
    "delete a stack record": Act("DELETE", f"{CONFIG}/{RECORD}000001"),
    "create another config map": Act("POST", CONFIG, made("v1", "ConfigMap")),
    "read the key of digests": Act("GET", f"{SECRETS}/{KEY}"),
    "make the key of digests": Act("POST", SECRETS, made("v1", "Secret", KEY)),
    "make another Secret": Act("POST", SECRETS, made("v1", "Secret")),
    "change the key of digests": Act("PATCH", f"{SECRETS}/{KEY}", PATCH),
    "delete the key of digests": Act("DELETE", f"{SECRETS}/{KEY}"),
    "read another Secret": Act("GET", f"{SECRETS}/probe"),
    "list the Secrets": Act("GET", SECRETS),
    "list the Secrets of all namespaces": Act("GET", "/api/v1/secrets"),
    "make a Secret elsewhere": Act("POST", SECRETS.replace(HOME, SYSTEM), made("v1", "Secret")),
    "get a lease": Act("GET", f"{LEASES}/{OF_NODE}"),
    "take the lease of a stack": Act("POST", LEASES, made(LEASE, "Lease", f"{OF_STACK}made", spec={})),
    "renew the lease of a stack": Act("PUT", f"{LEASES}/{OF_STACK}probe"),
    "take the lease of its node": Act("POST", LEASES, made(LEASE, "Lease", OF_NODE, spec={})),
    "renew the lease of its node": Act("PUT", f"{LEASES}/{OF_NODE}"),
    "delete a lease": Act("DELETE", f"{LEASES}/{OF_NODE}"),
    "list the leases": Act("GET", LEASES),
    "take a lease elsewhere": Act(
        "POST", LEASES.replace(HOME, OTHER), made(LEASE, "Lease", f"{OF_STACK}made", spec={})
    ),
    "know the cluster from others": Act("GET", "/api/v1/namespaces/kube-system"),
    "get another namespace": Act("GET", f"/api/v1/namespaces/{SYSTEM}"),
    "list the namespaces": Act("GET", "/api/v1/namespaces"),
    "list the nodes": Act("GET", "/api/v1/nodes"),
    "list the pods": Act("GET", f"/api/v1/namespaces/{SYSTEM}/pods"),
    "become another": Act("POST", f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{APPLIER}/token", {}),
    "give rights": Act(
        "POST",
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{HOME}/roles",
        made("rbac.authorization.k8s.io/v1", "Role", rules=[]),
    ),
    "change a definition": Act(
        "PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/virtualmachines.doslab.io", PATCH
    ),
}
_WRITES_KINDS = {
    "list the machines of all namespaces",
    "get a machine",
    "create a machine",
    "update a machine",
    "delete a machine",
    "create a machine elsewhere",
}
_STACK_LEASES = {"get a lease", "take the lease of a stack", "renew the lease of a stack"}
_NODE_LEASES = {"get a lease", "take the lease of its node", "renew the lease of its node"}
CAN: dict[str, set[str]] = {
    PLANNER: {
        "list the machines of all namespaces",
        "get a machine",
        "list the events of all namespaces",
        "list the stack records",
        "list the leases",
        "read the key of digests",
        "know the cluster from others",
    },
    APPLIER: _WRITES_KINDS
    | _STACK_LEASES
    | {
        "list the events of all namespaces",
        "create an event",
        "list the stack records",
        "create a stack record",
        "list the leases",
        "patch a stack record",
        "read the key of digests",
        "make the key of digests",
        "know the cluster from others",
    },
    AGENT: _WRITES_KINDS | _NODE_LEASES | {"create an event"},
    "nobody": set(),
}


@pytest.fixture(scope="module")
def there(deployed: ControlPlane) -> Iterator[ControlPlane]:
    admin, ours = deployed.kubeconfig, []
    for path, body in THERE:
        answer = call(admin, "POST", path, body)
        assert answer.status in (201, 409)
        ours += [f"{path}/{body['metadata']['name']}"] if answer.status == 201 else []
    yield deployed
    for path in ours:
        assert call(admin, "DELETE", path).status == 200


GRANTED = (200, 201, 409)  # 409: it may be made, and is there already


def done(act: Act, kubeconfig: Path, admin: Path) -> Answer:
    body = call(admin, "GET", act.path).body if act.method == "PUT" else act.body
    dry = "" if act.method == "GET" else "?dryRun=All"
    sends = {"PATCH": MERGE_PATCH}.get(act.method, "application/json")
    return call(kubeconfig, act.method, f"{act.path}{dry}", body, sends=sends)


@pytest.mark.parametrize("identity", CAN)
def test_an_identity_can_do_what_it_must_and_nothing_else(
    there: ControlPlane, identities: dict[str, Path], identity: str
) -> None:
    answers = {title: done(act, identities[identity], there.kubeconfig) for title, act in ACTS.items()}
    assert {title for title, answer in answers.items() if answer.status in GRANTED} == CAN[identity]
    others = {title: answer for title, answer in answers.items() if title not in CAN[identity]}
    assert {title: answer.body.get("reason") for title, answer in others.items()} == dict.fromkeys(others, "Forbidden")


def test_the_acts_are_right_where_everything_is_allowed(there: ControlPlane) -> None:
    """So that a refusal above is one of rights."""
    answers = {title: done(act, there.kubeconfig, there.kubeconfig) for title, act in ACTS.items()}
    assert {title: answer.body for title, answer in answers.items() if answer.status not in GRANTED} == {}


def test_a_planner_reads_with_kubectl_and_writes_nothing(there: ControlPlane, identities: dict[str, Path]) -> None:
    planner = identities[PLANNER]
    assert "probe" in there.kubectl("get", "vm,vmd,vmp", "-A", kubeconfig=planner)
    for words in (("delete", "vm", "probe"), ("label", "vm", "probe", "a=b"), ("create", "configmap", "x")):
        with pytest.raises(AssertionError, match=r"(?i)forbidden"):
            there.kubectl(*words, kubeconfig=planner)


@pytest.mark.parametrize("identity", [APPLIER, AGENT])
def test_who_writes_creates_replaces_and_deletes(
    deployed: ControlPlane, identities: dict[str, Path], identity: str
) -> None:
    """With nothing left out: stored, seen by others, gone."""
    disks = MACHINES.replace("virtualmachines", "virtualmachinedisks")
    body = made("doslab.io/v1", "VirtualMachineDisk", labels=ON_NODE, spec={"lifecycle": {"createDisk": {}}})
    created = call(identities[identity], "POST", disks, body)
    assert created.status == 201
    del created.body["spec"]["lifecycle"]
    assert call(identities[identity], "PUT", f"{disks}/made", created.body).status == 200
    assert call(identities[PLANNER], "GET", f"{disks}/made").body["spec"] == {}
    assert call(identities[identity], "DELETE", f"{disks}/made").status == 200
    assert call(identities[PLANNER], "GET", f"{disks}/made").status == 404


def test_the_right_to_make_the_key_can_be_taken_back(deployed: ControlPlane, identities: dict[str, Path]) -> None:
    make = ACTS["make the key of digests"]
    binding = deployed.kubectl("get", "rolebinding", "-n", HOME, KEY, "-o", "yaml")
    try:
        deployed.kubectl("delete", "rolebinding", "-n", HOME, KEY)
        until(lambda: done(make, identities[APPLIER], deployed.kubeconfig).status == 403)
    finally:
        restored = yaml.safe_load(binding)
        for assigned in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            restored["metadata"].pop(assigned, None)
        deployed.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(restored))
    until(lambda: done(make, identities[APPLIER], deployed.kubeconfig).status in GRANTED)


def test_the_example_lets_an_apply_read_the_secrets_it_names_and_no_other(
    there: ControlPlane, identities: dict[str, Path]
) -> None:
    there.kubectl("create", "secret", "generic", "web-1", "-n", HOME)
    there.kubectl("apply", "--server-side", "--warnings-as-errors", "-k", str(DEPLOY / "secrets"))
    try:
        until(lambda: call(identities[APPLIER], "GET", f"{SECRETS}/web-1").status == 200)
        refused = {"another": "probe", "all": ""}
        assert {call(identities[APPLIER], "GET", f"{SECRETS}/{name}").status for name in refused.values()} == {403}
        assert {call(identities[who], "GET", f"{SECRETS}/web-1").status for who in (PLANNER, AGENT)} == {403}
    finally:
        there.kubectl("delete", "-k", str(DEPLOY / "secrets"))
        there.kubectl("delete", "secret", "web-1", "-n", HOME)


def test_who_may_view_a_namespace_sees_the_kinds_and_writes_none(deployed: ControlPlane) -> None:
    """The server's controllers add it to the roles ``view``, ``edit`` and ``admin`` by its labels."""
    (role,) = json.loads(
        deployed.kubectl("get", "clusterrole", "-l", "app.kubernetes.io/part-of=reconcile", "-o", "json")
    )["items"]
    aggregate = "rbac.authorization.k8s.io/aggregate-to-"
    assert {label.removeprefix(aggregate) for label in role["metadata"]["labels"] if label.startswith(aggregate)} == {
        "view",
        "edit",
        "admin",
    }
    (rule,) = role["rules"]
    assert (set(rule["resources"]), set(rule["verbs"])) == (set(ALL_KINDS), {"get", "list", "watch"})


# Workloads ------------------------------------------------------------------------------------------------

WORKLOADS = {"DaemonSet": DEPLOY, "Deployment": DEPLOY / "daemon"}


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_pod_of_it_is_admitted_where_pods_are_restricted(deployed: ControlPlane, kind: str) -> None:
    template = found(deployed, WORKLOADS[kind], kind)["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "probe"}
    path = f"/api/v1/namespaces/{SYSTEM}/pods?dryRun=All"
    assert call(deployed.kubeconfig, "POST", path, pod).status == 201
    del pod["spec"]["securityContext"]
    refused = call(deployed.kubeconfig, "POST", path, pod)
    assert (refused.status, "PodSecurity" in refused.body["message"]) == (403, True)


def test_an_agent_of_libvirt_is_not_admitted_where_pods_are_restricted(deployed: ControlPlane) -> None:
    """It works as root on paths of its host: the page says that it runs on the host, and why."""
    template = found(deployed, DEPLOY, "DaemonSet")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "probe"}
    pod["spec"]["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}
    pod["spec"]["volumes"] = [{"name": "state", "hostPath": {"path": "/var/run/libvirt"}}]
    refused = call(deployed.kubeconfig, "POST", f"/api/v1/namespaces/{SYSTEM}/pods?dryRun=All", pod)
    assert refused.status == 403
    for violation in ("hostPath", "runAsNonRoot", "runAsUser=0"):
        assert violation in refused.body["message"]


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_workload_runs_our_image_as_an_account_that_is_there(deployed: ControlPlane, kind: str) -> None:
    workload = found(deployed, WORKLOADS[kind], kind)
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == f"reconcile:{__version__}"
    deployed.kubectl("get", "serviceaccount", pod["serviceAccountName"], "-n", workload["metadata"]["namespace"])
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert set(mounted) == {each["name"] for each in pod["volumes"]}
    # What is written down goes to a volume: the rest cannot be written.
    paths = [word.partition("=")[2] for word in container["args"] if word.startswith("--state")]
    assert all(any(path.startswith(f"{mount}/") for mount in mounted.values()) for path in paths)


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_workload_says_what_the_command_understands(control_plane: ControlPlane, kind: str) -> None:
    (container,) = found(control_plane, WORKLOADS[kind], kind)["spec"]["template"]["spec"]["containers"]
    verb, *words = container["args"]
    assert isinstance(cli, click.Group)
    if verb in cli.commands:
        cli.commands[verb].make_context(verb, list(words))


def test_the_daemon_is_not_applied_with_the_rest(control_plane: ControlPlane) -> None:
    assert "Deployment" not in {each["kind"] for each in documents(control_plane, DEPLOY)}


def test_the_agent_only_runs_where_it_is_asked_for(control_plane: ControlPlane) -> None:
    assert found(control_plane, DEPLOY, "DaemonSet")["spec"]["template"]["spec"]["nodeSelector"]


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_workload_is_probed_where_it_listens(control_plane: ControlPlane, kind: str) -> None:
    (container,) = found(control_plane, WORKLOADS[kind], kind)["spec"]["template"]["spec"]["containers"]
    (listen,) = [word for word in container["args"] if word.startswith("--listen=")]
    (port,) = container["ports"]
    assert listen.endswith(f":{port['containerPort']}")
    assert listen.startswith("--listen=0.0.0.0:")
    probes = {probe: container[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")}
    assert {probe: get["path"] for probe, get in probes.items()} == {
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {get["port"] for get in probes.values()} == {port["name"]}


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_pod_of_it_is_reached_at_its_port_only_and_reaches_the_api(deployed: ControlPlane, kind: str) -> None:
    labels = found(deployed, WORKLOADS[kind], kind)["spec"]["template"]["metadata"]["labels"]
    policy = found(deployed, WORKLOADS[kind], "NetworkPolicy")
    stored = json.loads(
        deployed.kubectl("get", "networkpolicy", policy["metadata"]["name"], "-n", SYSTEM, "-o", "json")
    )["spec"]
    assert stored["podSelector"] == {"matchLabels": labels}
    assert set(stored["policyTypes"]) == {"Ingress", "Egress"}
    (ingress,) = stored["ingress"]
    assert ingress["ports"] == [{"protocol": "TCP", "port": "probes"}]
    assert ingress["from"] == [{"namespaceSelector": {"matchLabels": {"gitops.doslab.io/reads-status": "true"}}}]
    names, anywhere = stored["egress"]
    assert {(each["protocol"], each["port"]) for each in names["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert names["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": OTHER}}}]
    assert {(each["protocol"], each["port"]) for each in anywhere["ports"]} == {("TCP", 443), ("TCP", 6443)}
    assert "to" not in anywhere


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_workload_has_as_long_to_end_as_a_step_may_take(control_plane: ControlPlane, kind: str) -> None:
    pod = found(control_plane, WORKLOADS[kind], kind)["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= Options().timeout


def test_of_two_daemons_one_stays_while_the_other_is_replaced(control_plane: ControlPlane) -> None:
    spec = found(control_plane, DEPLOY / "daemon", "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    affinity = spec["template"]["spec"]["affinity"]["podAntiAffinity"]
    # Preferred: on a single node both run all the same.
    ((term,),) = affinity.values()
    assert "preferredDuringSchedulingIgnoredDuringExecution" in affinity
    assert (
        term["podAffinityTerm"]["labelSelector"]["matchLabels"].items()
        <= spec["template"]["metadata"]["labels"].items()
    )
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"


def test_the_manifests_of_the_daemon_are_a_volume_that_moves(control_plane: ControlPlane) -> None:
    """A subPath is laid out once; an optional volume is empty, and empty means that nothing is wanted."""
    pod = found(control_plane, DEPLOY / "daemon", "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
    assert "subPath" not in mount
    assert container["args"][-1] == mount["mountPath"]
    assert volume["configMap"] == {"name": "reconcile-manifests"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_every_file_is_in_a_kustomization(folder: Path) -> None:
    for kustomization in folder.rglob("kustomization.yaml"):
        resources = yaml.safe_load(kustomization.read_text())["resources"]
        files = {path.name for path in kustomization.parent.glob("*.yaml")} - {"kustomization.yaml"}
        assert files == {name for name in resources if name.endswith(".yaml")}


def test_a_volume_of_a_config_map_is_read_once(tmp_path: Path) -> None:
    """As a kubelet lays it out: the files are links into a folder whose name begins with a dot."""
    from reconciler import load

    (tmp_path / "..2026").mkdir()
    (tmp_path / "..data").symlink_to("..2026")
    for file in (ROOT / "examples" / "manifests" / "quickstart").glob("*.yaml"):
        shutil.copy(file, tmp_path / "..2026")
        (tmp_path / file.name).symlink_to(f"..data/{file.name}")
    direct = load([ROOT / "examples" / "manifests" / "quickstart"])
    assert [each.id for each in load([tmp_path]).manifests] == [each.id for each in direct.manifests]


def test_what_the_page_names_is_there(control_plane: ControlPlane) -> None:
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    paths = set(re.findall(r"deploy/[\w/.]*\w", page))
    assert len(paths) >= 5
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    names = {each["metadata"]["name"] for folder in FOLDERS for each in documents(control_plane, folder)}
    assert set(re.findall(r"`(reconcile-[a-z-]+)`", page)) <= {*names, KEY, "reconcile-manifests"}
