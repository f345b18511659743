"""What the admission policies of the deployment files let an agent and the applier write, on a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.model.kinds import DISK, DISK_SNAPSHOT, KINDS, MACHINE
from reconciler.observe.capabilities import lease_name
from support.api_call import Answer, call
from support.control_plane import ControlPlane
from support.deployment import AGENT, APPLIER, HOME, KEY, NODE, SYSTEM, deployed, identities, until

__all__ = ["deployed", "identities"]  # fixtures

OTHER_NODE = "node23"
NODE_NAME = "authentication.kubernetes.io/node-name"
MOVED = (MACHINE, DISK, DISK_SNAPSHOT)  # by a migration
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases"
CONFIG = f"/api/v1/namespaces/{HOME}/configmaps"
SECRETS = f"/api/v1/namespaces/{HOME}/secrets"
EVENTS = f"/apis/events.k8s.io/v1/namespaces/{HOME}/events"


def folder_of(kind: str) -> str:
    return f"/apis/doslab.io/v1/namespaces/{HOME}/{KINDS[kind].plural}"


def resource(kind: str, name: str, host: str | None, **metadata: Any) -> dict[str, Any]:
    labels = {} if host is None else {"labels": {"host": host}}
    spec = {} if host is None else {"nodeName": host}
    return {"apiVersion": "doslab.io/v1", "kind": kind, "metadata": {"name": name, **labels, **metadata}, "spec": spec}


@pytest.fixture(scope="module")
def there(deployed: ControlPlane) -> Iterator[ControlPlane]:
    """A resource of each kind on each of two nodes, and one on none."""
    hosts = {"ours": NODE, "theirs": OTHER_NODE, "nobodys": None}
    bodies = [resource(kind, name, host) for kind in KINDS for name, host in hosts.items()]
    for body in bodies:
        body["metadata"]["annotations"] = {"gitops.doslab.io/last-applied": "{}"}
        assert call(deployed.kubeconfig, "POST", folder_of(body["kind"]), body).status == 201
    yield deployed
    for body in bodies:
        path = f"{folder_of(body['kind'])}/{body['metadata']['name']}"
        assert call(deployed.kubeconfig, "DELETE", path).status == 200


class Write(NamedTuple):
    """A write that is not kept. ``change`` alters what is there; without it that is sent as it is."""

    method: str
    name: str = "ours"
    change: dict[str, Any] | None = None


def written(kubeconfig: Path, admin: Path, kind: str, write: Write) -> Answer:
    folder, dry = folder_of(kind), "?dryRun=All"
    if write.method == "POST":
        return call(kubeconfig, "POST", f"{folder}{dry}", merged(resource(kind, write.name, NODE), write.change))
    if write.method == "DELETE":
        return call(kubeconfig, "DELETE", f"{folder}/{write.name}{dry}")
    current = call(admin, "GET", f"{folder}/{write.name}").body
    return call(kubeconfig, "PUT", f"{folder}/{write.name}{dry}", merged(current, write.change))


def merged(body: dict[str, Any], change: dict[str, Any] | None) -> dict[str, Any]:
    """As a merge patch does it: None takes a key away."""
    result = dict(body)
    for key, value in (change or {}).items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


def labelled(**labels: str | None) -> dict[str, Any]:
    return {"metadata": {"labels": {key.replace("_", "/"): value for key, value in labels.items()}}}


ALLOWED = {
    "show what was found": Write("POST", "found"),
    "show what was found, named as manifests write it": Write("POST", "found", {"spec": {"nodeName": "Node22"}}),
    "write what is observed": Write("PUT", change={"spec": {"powerstate": "Running", "status": {}}}),
    "claim": Write("PUT", change={"spec": {"claimed": "startVM"}}),
    "take away what is gone": Write("DELETE"),
}
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "x", "uid": "x"}
REFUSED = {
    "create on another node": Write("POST", "found", labelled(host=OTHER_NODE)),
    "create on no node": Write("POST", "found", labelled(host=None)),
    "create what says another node": Write("POST", "found", {"spec": {"nodeName": OTHER_NODE}}),
    "create for a stack": Write("POST", "found", labelled(**{"gitops.doslab.io_stack": "web"})),
    "create annotated": Write("POST", "found", {"metadata": {"annotations": {"a": "b"}}}),
    "create with a finalizer": Write("POST", "found", {"metadata": {"finalizers": ["doslab.io/x"]}}),
    "write on another node": Write("PUT", "theirs", {"spec": {"powerstate": "Shutdown"}}),
    "send to another node": Write("PUT", "theirs", {"spec": {"lifecycle": {"deleteVM": {}}}}),
    "take from another node": Write("PUT", "theirs", labelled(host=NODE)),
    "take what is on no node": Write("PUT", "nobodys", labelled(host=NODE)),
    "write what is on no node": Write("PUT", "nobodys", {"spec": {"powerstate": "Shutdown"}}),
    "give to another node": Write("PUT", change=labelled(host=OTHER_NODE)),
    "give to no node": Write("PUT", change=labelled(host=None)),
    "give to a stack": Write("PUT", change=labelled(**{"gitops.doslab.io_stack": "web"})),
    "protect": Write("PUT", change=labelled(**{"gitops.doslab.io_protect": "true"})),
    "forget what was applied": Write("PUT", change={"metadata": {"annotations": None}}),
    "hold back its deletion": Write("PUT", change={"metadata": {"finalizers": ["doslab.io/x"]}}),
    "own": Write("PUT", change={"metadata": {"ownerReferences": [OWNER]}}),
    "delete on another node": Write("DELETE", "theirs"),
    "delete what is on no node": Write("DELETE", "nobodys"),
}


def test_each_write_is_right_where_everything_is_allowed(there: ControlPlane) -> None:
    """So that a refusal below is one of the policy."""
    admin = there.kubeconfig
    for kind in KINDS:
        answers = {title: written(admin, admin, kind, write) for title, write in (ALLOWED | REFUSED).items()}
        assert {title: each.body for title, each in answers.items() if each.status not in (200, 201)} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_writes_what_is_of_its_own_node_and_nothing_else(
    there: ControlPlane, identities: dict[str, Path], kind: str
) -> None:
    agent, admin = identities[AGENT], there.kubeconfig
    allowed = {title: written(agent, admin, kind, write) for title, write in ALLOWED.items()}
    assert {title: each.body for title, each in allowed.items() if each.status not in (200, 201)} == {}
    refused = {title: written(agent, admin, kind, write) for title, write in REFUSED.items()}
    assert {title: each.body.get("reason") for title, each in refused.items()} == dict.fromkeys(REFUSED, "Forbidden")
    assert all("ValidatingAdmissionPolicy" in each.body["message"] for each in refused.values())


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_says_that_something_moved_where_a_migration_moves_it(
    there: ControlPlane, identities: dict[str, Path], kind: str
) -> None:
    moved = Write("PUT", change={"spec": {"nodeName": OTHER_NODE}})
    answer = written(identities[AGENT], there.kubeconfig, kind, moved)
    assert answer.status == (200 if kind in MOVED else 403), answer.body


def test_a_refusal_names_the_node_of_the_token_and_that_of_the_resource(
    there: ControlPlane, identities: dict[str, Path]
) -> None:
    answer = written(identities[AGENT], there.kubeconfig, MACHINE, REFUSED["delete on another node"])
    assert answer.body["message"].endswith(
        "an agent changes resources of its own node only: the token is that of node node22, "
        'the resource is served by node "node23"'
    )


def test_the_policy_is_of_agents_and_of_nobody_else(there: ControlPlane, identities: dict[str, Path]) -> None:
    for title in ("give to another node", "take from another node", "give to a stack", "delete on another node"):
        assert written(identities[APPLIER], there.kubeconfig, MACHINE, REFUSED[title]).status == 200


# The node of an agent -------------------------------------------------------------------------------------


def test_the_token_of_a_pod_names_the_node_of_the_pod(there: ControlPlane, tmp_path: Path) -> None:
    """As the pods of the DaemonSet have it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent-on-22", "namespace": SYSTEM},
        "spec": {
            "nodeName": NODE,
            "serviceAccountName": AGENT,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "agent",
                    "image": "reconcile",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
    there.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}, pod)
    try:
        agent = there.service_account(SYSTEM, AGENT, tmp_path / "agent", ("Pod", "agent-on-22"))
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        said = call(agent, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        assert said.body["status"]["userInfo"]["extra"][NODE_NAME] == [NODE]
        until(lambda: written(agent, there.kubeconfig, MACHINE, ALLOWED["claim"]).status == 200)
        assert written(agent, there.kubeconfig, MACHINE, REFUSED["write on another node"]).status == 403
    finally:
        there.kubectl("delete", "pod", "agent-on-22", "-n", SYSTEM, "--force", "--grace-period=0")


def test_a_token_that_names_no_node_writes_nothing(
    there: ControlPlane, identities: dict[str, Path], tmp_path: Path
) -> None:
    agent = there.service_account(SYSTEM, AGENT, tmp_path / "agent")
    for kind in KINDS:
        for write in ALLOWED.values():
            answer = written(agent, there.kubeconfig, kind, write)
            assert (answer.status, "the token of this agent names no node" in answer.body["message"]) == (403, True)
    assert call(agent, "POST", f"{LEASES}?dryRun=All", lease(f"reconcile-agent-{NODE}")).status == 403
    assert call(agent, "POST", f"{EVENTS}?dryRun=All", event()).status == 403
    assert call(agent, "GET", f"{folder_of(MACHINE)}/theirs").status == 200


# Leases, Events, and what an apply keeps ------------------------------------------------------------------


def lease(name: str) -> dict[str, Any]:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": {}}


def event(**given: Any) -> dict[str, Any]:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "made"},
        "regarding": {"kind": MACHINE, "name": "ours", "namespace": HOME},
        "action": "startVM",
        "reason": "startVM",
        "type": "Normal",
        "reportingController": "reconcile-agent",
        "reportingInstance": "reconcile-agent-ours",
        "eventTime": "2026-01-02T10:00:03.120456Z",
        **given,
    }


def secret(name: str, type: str | None = None, **metadata: Any) -> dict[str, Any]:
    kind = {} if type is None else {"type": type}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}, **kind}


def record(name: str, **labels: str) -> dict[str, Any]:
    labels = {key.replace("_", "/"): value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


JOURNAL = {"gitops.doslab.io_journal": "web"}
TOKEN = "kubernetes.io/service-account-token"
ACCOUNT = {"kubernetes.io/service-account.name": "default"}
CREATED: dict[str, dict[str, list[tuple[str, dict[str, Any]]]]] = {
    AGENT: {
        "allowed": [(LEASES, lease(f"reconcile-agent-{NODE}")), (EVENTS, event())],
        "refused": [
            (LEASES, lease(f"reconcile-agent-{OTHER_NODE}")),
            (LEASES, lease("reconcile-stack-web")),
            (LEASES, lease("kube-controller-manager")),
            (EVENTS, event(reportingController="reconcile-watch")),
            (EVENTS, event(regarding={"kind": "Pod", "name": "x", "namespace": HOME})),
        ],
    },
    APPLIER: {
        "allowed": [
            (LEASES, lease("reconcile-stack-web")),
            (LEASES, lease("reconcile-watch-web")),
            (CONFIG, record("reconcile-journal.web.n000001", **JOURNAL)),
            (SECRETS, secret(KEY)),
            (SECRETS, secret(KEY, "Opaque")),
        ],
        "refused": [
            (LEASES, lease(f"reconcile-agent-{NODE}")),
            (LEASES, lease("kube-controller-manager")),
            (CONFIG, record("reconcile-journal.web.n000001")),
            (CONFIG, record("kube-root-ca.crt", **JOURNAL)),
            (SECRETS, secret(KEY, TOKEN, annotations=ACCOUNT)),
            (SECRETS, secret("token", TOKEN, annotations=ACCOUNT)),
            (SECRETS, secret("web-1")),
            (SECRETS, secret("", generateName="reconcile-digest-key")),
        ],
    },
}


@pytest.mark.parametrize("identity", CREATED)
def test_what_is_kept_on_the_cluster_has_its_name_and_type(
    there: ControlPlane, identities: dict[str, Path], identity: str
) -> None:
    def reason(kubeconfig: Path, path: str, body: dict[str, Any]) -> str:
        answer = call(kubeconfig, "POST", f"{path}?dryRun=All", body)
        return "" if answer.status in (201, 409) else str(answer.body["reason"])  # 409: admitted, and there already

    for verdict, expected in (("allowed", ""), ("refused", "Forbidden")):
        for path, body in CREATED[identity][verdict]:
            assert reason(identities[identity], path, body) == expected, body["metadata"]
            if not path.startswith(SECRETS):  # the server itself refuses a token of an account that is not there
                assert reason(there.kubeconfig, path, body) == ""


def test_an_apply_changes_no_config_map_and_no_lease_but_its_own(
    there: ControlPlane, identities: dict[str, Path]
) -> None:
    bodies = {CONFIG: record("settings", **JOURNAL), LEASES: lease("somebodys")}
    for path, body in bodies.items():
        name = body["metadata"]["name"]
        assert call(there.kubeconfig, "POST", path, body).status == 201
        try:
            current = call(there.kubeconfig, "GET", f"{path}/{name}").body
            verbs = [("PATCH", {"metadata": {"labels": {"a": "b"}}}), ("PUT", current)]
            sends = {"PATCH": "application/merge-patch+json", "PUT": "application/json"}
            for verb, sent in verbs:
                answer = call(identities[APPLIER], verb, f"{path}/{name}", sent, sends=sends[verb])
                assert answer.status == 403
        finally:
            call(there.kubeconfig, "DELETE", f"{path}/{name}")


def test_the_program_keeps_what_the_policies_let_it_keep(there: ControlPlane, identities: dict[str, Path]) -> None:
    """Under the names that the program gives: all of it goes through as the applier and as an agent."""
    applier = KubernetesCluster.connect(kubeconfig=str(identities[APPLIER]))
    agent = KubernetesCluster.connect(kubeconfig=str(identities[AGENT]))
    try:
        for stack in ("web", "", "agent-node22"):
            applier.record(stack, {"at": "2026-01-02T10:00:03Z", "event": "test"})
            applier.shorten(stack, newest=1)
            for name in (f"stack {stack}", f"watch {stack}") if stack else ():  # what is of no stack needs none
                with applier.lease(name, "test"):
                    pass
        assert applier.digest_key()
        with agent.lease(lease_name(NODE), "test", annotation="{}"):
            pass
    finally:
        applier.close()
        agent.close()
