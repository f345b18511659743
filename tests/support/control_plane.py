"""A real Kubernetes API for tests: etcd and kube-apiserver on loopback, found or built by ``make envtest``.

Nothing stands in for anything here: what a test sees is what a cluster would answer.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import trustme
import yaml

from support.paths import ROOT

TOOLS = ROOT / "tools" / "controlplane"
PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
REQUIRED = "RECONCILE_REQUIRE_KUBERNETES"
PATIENCE = 90.0  # seconds for the API to become ready: 4 on an idle machine
LOOPBACK = "127.0.0.1"


def assets() -> Path | None:
    """The folder with the three programs: $KUBEBUILDER_ASSETS, else where ``make envtest`` puts them."""
    folders = [Path(given)] if (given := os.environ.get("KUBEBUILDER_ASSETS")) else _cached()
    return next((folder for folder in folders if all((folder / name).is_file() for name in PROGRAMS)), None)


def _cached() -> list[Path]:
    def version(module: str, name: str) -> str:
        found = re.search(rf"{re.escape(name)} (v\S+)", (TOOLS / module / "go.mod").read_text())
        assert found, f"tools/controlplane/{module}/go.mod does not require {name}"
        return found[1]

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kubernetes, etcd = version("kubernetes", "k8s.io/kubernetes"), version("etcd", "go.etcd.io/etcd/server/v3")
    return [cache / "reconcile" / "controlplane" / f"kubernetes-{kubernetes}-etcd-{etcd}"]


def require() -> Path:
    """The folder; where there is none the test is skipped, or fails if Kubernetes is required."""
    folder = assets()
    if folder is None:
        reason = "no Kubernetes API to test against: run 'make envtest', or set KUBEBUILDER_ASSETS"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason} ({REQUIRED} is set)")
        pytest.skip(reason)
    return folder


class ControlPlane:
    """One API server with its store. ``port`` stays the same when it is stopped and started again."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.port, self._etcd_port, self._peer_port = _free_ports(3)
        self.url = f"https://{LOOPBACK}:{self.port}"
        self.kubeconfig = home / "admin.kubeconfig"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._authority = trustme.CA()
        self._write_credentials()

    def _write_credentials(self) -> None:
        self._authority.cert_pem.write_to_path(self.home / "ca.crt")
        server = self._authority.issue_cert(LOOPBACK, "localhost", "kubernetes.default.svc")
        server.private_key_pem.write_to_path(self.home / "server.key")
        (self.home / "server.crt").write_bytes(b"".join(pem.bytes() for pem in server.cert_chain_pems))
        self.identity("admin", "system:masters", self.kubeconfig)

    def identity(self, user: str, group: str, path: Path) -> Path:
        """A kubeconfig that acts as a user of a group."""
        client = self._authority.issue_cert(f"{user}.test", common_name=user, organization_name=group)
        key, certificate = self.home / f"{user}.key", self.home / f"{user}.crt"
        client.private_key_pem.write_to_path(key)
        certificate.write_bytes(client.cert_chain_pems[0].bytes())
        self._kubeconfig({"client-certificate": str(certificate), "client-key": str(key)}, path)
        return path

    def service_account(self, namespace: str, name: str, path: Path, bound: tuple[str, str] | None = None) -> Path:
        """A kubeconfig that acts as a service account; ``bound`` is kind and name of what its token is made for."""
        words = ("--bound-object-kind", bound[0], "--bound-object-name", bound[1]) if bound else ()
        self._kubeconfig({"token": self.kubectl("create", "token", name, "-n", namespace, *words).strip()}, path)
        return path

    def _kubeconfig(self, user: dict[str, str], path: Path) -> None:
        cluster = {"server": self.url, "certificate-authority": str(self.home / "ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)

    def start(self) -> None:
        self.start_etcd()
        self.start_api()

    def start_etcd(self) -> None:
        client, peer = f"http://{LOOPBACK}:{self._etcd_port}", f"http://{LOOPBACK}:{self._peer_port}"
        self._start(
            "etcd",
            f"--data-dir={self.home / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )

    def start_api(self, *flags: str) -> None:
        """Start the API server and wait until it is ready."""
        self._start(
            "kube-apiserver",
            f"--etcd-servers=http://{LOOPBACK}:{self._etcd_port}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.home / 'server.crt'}",
            f"--tls-private-key-file={self.home / 'server.key'}",
            f"--client-ca-file={self.home / 'ca.crt'}",
            f"--service-account-key-file={self.home / 'server.key'}",
            f"--service-account-signing-key-file={self.home / 'server.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
            f"--cert-dir={self.home}",
            *flags,
        )
        self._wait_until_ready()

    def stop_api(self, how: signal.Signals = signal.SIGKILL) -> None:
        self._stop("kube-apiserver", how)

    def stop(self) -> None:
        for name in list(self._processes):
            self._stop(name, signal.SIGKILL)

    def kubectl(self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """What kubectl prints; its complaint fails the test."""
        done = subprocess.run(
            [self.folder / "kubectl", "--kubeconfig", kubeconfig or self.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *documents: dict[str, Any]) -> None:
        self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, documents)))

    def _start(self, program: str, *flags: str) -> None:
        with (self.home / f"{program}.log").open("ab") as log:
            command = [str(self.folder / program), *flags]
            self._processes[program] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.home)

    def _stop(self, program: str, how: signal.Signals) -> None:
        process = self._processes.pop(program)
        process.send_signal(how)
        process.wait(PATIENCE)

    def _wait_until_ready(self) -> None:
        context = ssl.create_default_context(cafile=str(self.home / "ca.crt"))
        context.load_cert_chain(self.home / "admin.crt", self.home / "admin.key")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for program, process in self._processes.items():
                assert process.poll() is None, f"{program} ended: {self._last_words(program)}"
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", context=context, timeout=5):
                return
            time.sleep(0.05)
        pytest.fail(f"kube-apiserver is not ready after {PATIENCE:g} s: {self._last_words('kube-apiserver')}")

    def _last_words(self, program: str) -> str:
        return (self.home / f"{program}.log").read_text(errors="replace")[-2000:]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """A control plane of one's own; skips or fails where there are no programs."""
    folder = require()
    home = Path(mkdtemp(prefix="controlplane-"))
    plane = ControlPlane(folder, home)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()
        shutil.rmtree(home, ignore_errors=True)
