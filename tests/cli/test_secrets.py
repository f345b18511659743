"""Promise 8: a secret is never printed, stored or logged. Planted ones are looked for in every output."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler import LocalCluster, plan
from reconciler.agent.embedded import serving, simulators
from reconciler.daemon.sources.desired_reader import DesiredReader
from reconciler.model.kinds import KINDS, MACHINE
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.secret import Secret, SecretMissing, Vault
from reconciler.model.secret_access import SecretAccess
from reconciler.observe.observed import observe
from reconciler.planner.plan import NoteKind
from support.command_line import run
from support.scenario import converge, desired_of

PLANTED = ("vnc-3x7q", "planted-root-2", "planted-seed-3", "planted-ftp-4", "planted-usr-5")

MANIFESTS = """
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec: {defaults: {nodeName: node22}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {type: localfs, url: /var/lib/libvirt/disks}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: web-1-root}
spec: {pool: disks, capacity: 10Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: web-1-seed}
spec: {pool: disks, cloudInit: {userDataFrom: {file: seed.txt}}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 1Gi}
  disks: [{target: vda, disk: web-1-root, boot: true}, {target: vdb, disk: web-1-seed}]
  nics: [{mac: "52:54:00:00:00:01", type: bridge, source: virbr0}]
  graphics: {type: vnc, passwordFrom: {env: VNC}}
  guest: {user: root, passwordFrom: {env: ROOT}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: Operation
metadata: {name: send}
spec:
  target: {kind: VirtualMachine, name: web-1}
  operation: PushRemoteBackup
  parameters: {pool: disks, version: v001, remote: 172.16.1.214, port: 21}
  credentialsFrom: {username: {env: FTP_USER}, password: {env: FTP}}
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    vnc, root, seed, ftp, user = PLANTED
    for name, value in {"VNC": vnc, "ROOT": root, "FTP": ftp, "FTP_USER": user}.items():
        monkeypatch.setenv(name, value)
    for name, allowed in {"ENV": "VNC ROOT FTP", "DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"RECONCILE_ALLOW_SECRET_{name}", allowed)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "shop.yaml").write_text(MANIFESTS)
    (tmp_path / "seed.txt").write_text(f"#cloud-config\npassword: {seed}\n")
    return tmp_path


def traces(folder: Path, *, but: tuple[str, ...] = ("seed.txt",)) -> list[str]:
    """Where a planted secret can be found in what a run left behind, plain or in base64."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in but):
        content = file.read_bytes()
        for value in PLANTED:
            for form in (value.encode(), base64.b64encode(value.encode()).rstrip(b"=")):
                if form in content:
                    found.append(f"{value} in {file.name}")
    return found


def test_no_output_holds_a_secret(planted: Path) -> None:
    outputs = []
    for words in (
        ["validate", "m"],
        ["--plan", "m"],
        ["--plan", "m", "-o", "json"],
        ["--plan", "m", "--out", "plan.json"],
        ["apply", "plan.json", "--yes", "-o", "json"],  # the push fails: there is no backup to send
        ["m", "--yes"],
        ["get", "-o", "json"],
        ["describe", "vm/web-1", "m"],
        ["describe", "vm/web-1", "-o", "json"],
        ["describe", "disk/web-1-seed"],
        ["run", "vm/web-1", "SetVncPassword", "--password-from", "env:VNC", "live=true", "--yes"],
        ["run", "vm/web-1", "SetVncPassword", "--password-from", "env:FTP_USER", "live=perhaps", "--yes"],
        ["delete", "m", "--yes"],
    ):
        result = run(planted, *words)
        outputs.append(result.out + result.err)
    assert "secret from env ROOT" in outputs[1]
    assert [value for value in PLANTED for output in outputs if value in output] == []
    assert traces(planted) == []


def test_a_password_that_does_not_fit_is_refused_without_being_shown(
    planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VNC", "Planted With Spaces")
    result = run(planted, "m", "--yes")
    assert "graphics does not have the right form: (hidden)" in result.err
    assert "Planted With" not in result.out + result.err


def test_what_the_agent_wrote_down_holds_no_secret(planted: Path) -> None:
    run(planted, "m", "--yes")
    with LocalCluster(planted / ".reconcile" / "cluster.db") as cluster:
        written = json.dumps(
            [cluster.list(kind).items for kind in (*KINDS, "Event")]
            + [cluster.records("shop"), {key: cluster.world()[key] for key in cluster.world()}]
        )
    assert [value for value in PLANTED if value in written] == []


def test_a_rotation_is_seen_and_sent_once(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = MANIFESTS.partition("---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Operation")[0]
    (planted / "m" / "shop.yaml").write_text(text)
    assert run(planted, "m", "--yes").code == 0
    assert run(planted, "--plan", "m").out.startswith("No changes.")
    monkeypatch.setenv("VNC", "other-1")
    shown = run(planted, "--plan", "m").out
    assert "SetVncPassword" in shown
    assert "graphics.passwordFrom another value -> secret from env VNC" in shown
    assert run(planted, "m", "--yes").code == 0
    assert run(planted, "--plan", "m").out.startswith("No changes.")


def test_a_plan_can_be_made_where_secrets_are_not(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VNC")
    shown = run(planted, "--plan", "m")
    assert shown.code == 0
    assert "the secret from env VNC cannot be read here; the step that sends it will fail" in shown.out
    applied = run(planted, "m", "--yes")
    assert "the environment variable VNC is not set" in applied.err


def test_the_digest_is_of_what_was_sent_though_the_secret_is_rotated_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the guest would keep the older one, and no plan would see it."""
    text = MANIFESTS.partition("---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Operation")[0]
    text = text.replace("{env: VNC}", "{file: vnc}").replace("guest: {user: root, passwordFrom: {env: ROOT}}", "")
    text = text.replace(", cloudInit: {userDataFrom: {file: seed.txt}}", ", capacity: 1Gi")
    rotated = itertools.count(1)
    monkeypatch.setattr("reconciler.model.secret._file", lambda path: (f"secret-{next(rotated)}", ""))
    sent: list[str] = []

    class Listening(LocalCluster):
        def create(self, resource: Resource) -> Resource:
            listen(resource)
            return super().create(resource)

        def update(self, resource: Resource) -> Resource:
            listen(resource)
            return super().update(resource)

    def listen(resource: Resource) -> None:
        sent.extend(re.findall("secret-[0-9]+", json.dumps((resource.get("spec") or {}).get("lifecycle") or {})))

    with Listening(":memory:") as cluster, serving(cluster, simulators(cluster)):
        converge(cluster, desired_of(text))
        noted = observe(cluster).resources[ResourceId(MACHINE, "web-1")].applied["graphics"]["passwordFrom"]
        assert sent
        assert noted == Vault(cluster, {"SENT": sent[-1]}).digest(Secret("env", "SENT"))


def test_digests_tell_clusters_apart() -> None:
    secret = Secret("env", "VNC")
    digests = []
    for _ in range(2):
        with LocalCluster(":memory:") as cluster:
            vault = Vault(cluster, {"VNC": "same"})
            digests.append(vault.digest(secret))
            assert vault.digest(secret) == digests[-1]
            assert Vault(cluster, {"VNC": "other"}).digest(secret) != digests[-1]
    assert digests[0] != digests[1], "guesses cannot be tried without the cluster's key"


class Store:
    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        data = {"good": base64.b64encode(b"horse\n").decode(), "bad": "!!", "empty": ""}
        return data if (namespace, name) == ("shop", "web-1") else None

    def digest_key(self) -> bytes:
        return b"key"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (Secret("env", "NOWHERE"), "the environment variable NOWHERE is not set"),
        (Secret("env", "EMPTY"), "secret from env EMPTY is empty"),
        (Secret("file", "/nowhere/at/all"), "the file /nowhere/at/all cannot be read: no such file or directory"),
        (Secret("secretKeyRef", "web-2", "good", "shop"), "there is no Secret shop/web-2 on the cluster"),
        (Secret("secretKeyRef", "web-1", "other", "shop"), "the Secret shop/web-1 has no key other"),
        (Secret("secretKeyRef", "web-1", "bad", "shop"), "key bad of the Secret shop/web-1 is not base64 of UTF-8"),
    ],
)
def test_what_is_missing_is_named(secret: Secret, said: str) -> None:
    with pytest.raises(SecretMissing) as caught:
        Vault(Store(), {"EMPTY": "\n"}).read(secret)
    assert str(caught.value) == said


def test_a_secret_of_kubernetes_is_read_where_the_manifest_lives() -> None:
    text = MANIFESTS.replace("{env: VNC}", "{secretKeyRef: {name: web-1, key: good}}")
    text = text.replace("metadata: {name: web-1}", "metadata: {name: web-1, namespace: shop}")
    desired = desired_of(text.partition("---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Operation")[0])
    (machine,) = [each for id, each in desired.resources.items() if id.kind == "VirtualMachine"]
    secret = machine.shape["graphics"]["passwordFrom"]
    assert secret == Secret("secretKeyRef", "web-1", "good", "shop")
    assert Vault(Store()).read(secret) == "horse"
    with LocalCluster(":memory:") as cluster:
        assert any(note.kind is NoteKind.SECRET_UNREADABLE for note in plan(desired, cluster).notes)


# Which secrets may be read ---------------------------------------------------------------------------------------


def refused(folder: Path, *words: str) -> str:
    result = run(folder, *words)
    assert result.code == 1
    assert "Set" not in result.out
    return result.err


def test_only_what_the_command_line_allows_is_read(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENV", "DIR"):
        monkeypatch.delenv(f"RECONCILE_ALLOW_SECRET_{name}")
    for words in (["plan", "m"], ["m", "--yes"], ["plan", "m", "--rehearse"]):
        err = refused(planted, *words)
        assert re.search(
            r"m/shop.yaml:3\d:\d+: error: spec.graphics.passwordFrom.env: the environment variable VNC", err
        )
        assert "or allow it with --secret-env VNC." in err
        assert "spec.cloudInit.userDataFrom.file: the file seed.txt may not be read for a secret" in err
        assert f"allow its directory with --secret-dir {planted}." in err
        assert "spec.credentialsFrom.password.env" in err
    allowed = ["--secret-env", "VNC", "--secret-env", "ROOT", "--secret-env", "FTP", "--secret-dir", str(planted)]
    assert run(planted, "plan", "m", *allowed).code == 0
    assert run(planted, "delete", "--plan", "m").code == 0  # it sends none
    assert "may not be read" not in run(planted, "m", "--yes", *allowed).err


def test_a_saved_plan_sends_only_what_its_apply_allows(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(planted, "plan", "m", "--out", "plan.json").code == 0
    for name in ("ENV", "DIR"):
        monkeypatch.delenv(f"RECONCILE_ALLOW_SECRET_{name}")
    sent = run(planted, "apply", "--yes", "plan.json")
    assert sent.code == 1
    assert "the file seed.txt may not be read for a secret" in sent.out + sent.err
    assert f"--secret-dir {planted}" in sent.out + sent.err
    allowed = ["--secret-env", "VNC", "--secret-env", "ROOT", "--secret-env", "FTP", "--secret-dir", str(planted)]
    # What the first was planned on has changed.
    assert run(planted, "plan", "m", "--out", "plan.json", *allowed).code == 0
    again = run(planted, "apply", "--yes", "plan.json", *allowed)
    assert "may not be read" not in again.out + again.err
    assert "web-1-seed" in run(planted, "get", "disk").out


def test_the_daemon_blocks_what_names_other_secrets(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes on with the rest, also after a full sync."""
    monkeypatch.chdir(planted)
    reader = DesiredReader([str(planted / "m")], lambda: 0.0, secrets=SecretAccess(("ROOT", "FTP"), (str(planted),)))
    for _ in range(2):
        read = reader.read(from_scratch=True)
        assert [problem.path for problem in read.problems] == ["spec.graphics.passwordFrom.env"]
        assert {id.name for id in read.desired.invalid} == {"web-1"}
        assert not read.complete
        assert not read.cache_mismatch


def test_a_stack_cannot_allow_and_everything_cannot_be_allowed(planted: Path) -> None:
    text = MANIFESTS.replace("defaults: {", "secrets: {env: [VNC]}, defaults: {", 1)
    (planted / "m" / "shop.yaml").write_text(text)
    assert "secrets" in refused(planted, "plan", "m")
    for words in (["--secret-env", ""], ["--secret-dir", "/"], ["--secret-dir", "/etc/.."]):
        assert "not everything there is" in run(planted, "plan", *words, "m").err


def test_variables_that_say_what_they_are_for_need_no_option() -> None:
    access = SecretAccess()
    assert access.refusal("env", "RECONCILE_SECRET_VNC") is None
    assert access.refusal("env", "AWS_SECRET_ACCESS_KEY") is not None
    assert access.refusal("secretKeyRef", "anything") is None
    assert access.refusal("file", "/etc/shadow") is not None


@pytest.mark.parametrize("name", ["../key", "sub/../../key", "link", "way/key", "/etc/hostname"])
def test_a_directory_of_secrets_is_not_left(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (tmp_path / "key").write_text("host")
    (folder / "good").write_text("fine")
    (folder / "link").symlink_to("../key")
    (folder / "way").symlink_to("..")
    (tmp_path / "other").symlink_to("secrets")
    for given in (folder, tmp_path / "other"):
        vault = Vault(Store(), {}, SecretAccess(directories=(str(given),)))
        assert vault.read(Secret("file", str(folder / "good"))) == "fine"
        with pytest.raises(SecretMissing, match="may not be read for a secret"):
            vault.read(Secret("file", str(folder / name)))


def test_a_link_out_of_the_directory_of_secrets_is_an_error_of_the_plan(planted: Path) -> None:
    """At its place, before the first step: an apply would make the rest and then fail."""
    outside = planted.parent / "outside.txt"
    outside.write_text("host")
    (planted / "seed.txt").unlink(missing_ok=True)
    (planted / "seed.txt").symlink_to(outside)
    for words in (["plan", "m"], ["m", "--yes"]):
        err = refused(planted, *words)
        assert re.search(r"m/shop.yaml:\d+:\d+: error: spec.cloudInit.userDataFrom.file: .* leads out of the dir", err)
        assert "Put the file itself there." in err
