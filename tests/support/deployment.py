"""The deployment files on a real API server, and kubeconfigs of their identities."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reconciler.model.kinds import KINDS
from support import control_plane as controlplane
from support.api_call import call
from support.control_plane import ControlPlane
from support.paths import ROOT
from support.yaml_text import documents_in, text_of

DEPLOY = ROOT / "deploy"


SYSTEM, HOME, OTHER = "reconcile-system", "default", "kube-system"  # HOME: of the stack record and the leases


PLANNER, APPLIER, AGENT = "reconcile-planner", "reconcile-applier", "reconcile-agent"


FOLDERS = (DEPLOY, DEPLOY / "daemon", DEPLOY / "secrets")


NODE = "node22"  # that of the agent


KEY = "reconcile-digest-key"
KEPT = ("CustomResourceDefinition", "Namespace")  # others use the former; the latter would never go here


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + controlplane.PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def deployed(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """Everything under ``deploy`` but the example of Secrets, applied; what the server warns of is an error."""
    for folder in (DEPLOY, DEPLOY / "daemon"):
        control_plane.kubectl("apply", "--server-side", "--warnings-as-errors", "-k", str(folder))
    yield control_plane
    for folder in (DEPLOY, DEPLOY / "daemon"):
        gone = [each for each in documents(control_plane, folder) if each["kind"] not in KEPT]
        control_plane.kubectl("delete", "-f", "-", stdin=text_of(gone))


@pytest.fixture(scope="module")
def identities(deployed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A kubeconfig of each service account, the agent's for ``NODE``, and of one that nobody gave a right."""
    folder = tmp_path_factory.mktemp("identities")
    deployed.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    found = {name: deployed.service_account(SYSTEM, name, folder / name) for name in (PLANNER, APPLIER)}
    found[AGENT] = deployed.service_account(SYSTEM, AGENT, folder / AGENT, ("Node", NODE))
    nobody = deployed.identity("nobody", "system:serviceaccounts", folder / "nobody")
    for name in RIGHTS:  # the server hears of new rights a moment later
        until(lambda: granted(found[name], HOME, nobody) >= expected(name, HOME))  # noqa: B023
    return {**found, "nobody": nobody}


def documents(plane: ControlPlane, folder: Path) -> list[dict[str, Any]]:
    return documents_in(plane.kubectl("kustomize", str(folder)))


def found(plane: ControlPlane, folder: Path, kind: str) -> dict[str, Any]:
    """The document of a kind in a folder; there must be one."""
    (one,) = [each for each in documents(plane, folder) if each["kind"] == kind]
    return dict(one)


class Right(NamedTuple):
    namespace: str | None  # None: all
    group: str
    resources: tuple[str, ...]
    verbs: str
    name: str = ""

    def grants(self) -> set[tuple[str, str, str]]:
        return {
            (verb, f"{resource}.{self.group}", self.name) for verb in self.verbs.split() for resource in self.resources
        }


ALL_KINDS = tuple(kind.plural for kind in KINDS.values())


WRITE = "get list watch create update delete"


RIGHTS: dict[str, tuple[Right, ...]] = {
    PLANNER: (
        Right(None, "doslab.io", ALL_KINDS, "get list watch"),
        Right(None, "events.k8s.io", ("events",), "list"),
        Right(None, "", ("namespaces",), "get", "kube-system"),
        Right(HOME, "", ("configmaps",), "get list"),
        Right(HOME, "coordination.k8s.io", ("leases",), "list"),
        Right(HOME, "", ("secrets",), "get", KEY),
    ),
    APPLIER: (
        Right(None, "doslab.io", ALL_KINDS, WRITE),
        Right(None, "events.k8s.io", ("events",), "list watch create"),
        Right(None, "", ("namespaces",), "get", "kube-system"),
        Right(HOME, "", ("configmaps",), "get list create patch"),
        Right(HOME, "coordination.k8s.io", ("leases",), "get list create update"),
        Right(HOME, "", ("secrets",), "get", KEY),
        Right(HOME, "", ("secrets",), "create"),
    ),
    AGENT: (
        Right(None, "doslab.io", ALL_KINDS, WRITE),
        Right(None, "events.k8s.io", ("events",), "create"),
        Right(HOME, "coordination.k8s.io", ("leases",), "get create update"),
    ),
}


def expected(identity: str, namespace: str) -> set[tuple[str, str, str]]:
    rights = [right for right in RIGHTS[identity] if right.namespace in (None, namespace)]
    return {grant for right in rights for grant in right.grants()}


def granted(kubeconfig: Path, namespace: str, nobody: Path) -> set[tuple[str, str, str]]:
    """What the server says an identity may do in a namespace, beyond what anybody may."""

    def all_of(kubeconfig: Path) -> set[tuple[str, str, str]]:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        answer = call(kubeconfig, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)
        assert not answer.body["status"]["incomplete"]
        return {
            (verb, f"{resource}.{group}", name)
            for rule in answer.body["status"]["resourceRules"]
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for name in rule.get("resourceNames") or ("",)
        }

    return all_of(kubeconfig) - all_of(nobody)
