"""What a daemon that runs shows over HTTP, and its dashboard before a person in a real browser."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from support.browser_page import Tab, opened
from support.controller import disk, pool, until
from support.replica import replica, says

MACHINE = """---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {{name: web-1}}
spec:
  nodeName: node22
  powerState: {state}
  osVariant: debian12
  cpu: {{count: 2}}
  memory: {{size: 1Gi}}
  disks: [{{target: vda, disk: root, boot: true}}]
  nics: [{{mac: "52:54:00:00:00:01", type: bridge, source: virbr0}}]
"""
NODES = ("VirtualMachinePool/pool-a", "VirtualMachineDisk/root", "VirtualMachine/web-1")


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    with opened() as tab:
        yield tab


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def manifests(state: str) -> str:
    return pool("pool-a") + disk("root", "pool-a") + MACHINE.format(state=state)


def get(where: str, path: str) -> str:
    with urlopen(f"http://{where}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def test_a_daemon_shows_what_it_keeps_and_what_moves(tmp_path: Path, browser: Tab) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "a.yaml").write_text(manifests("Running"))
    where = f"127.0.0.1:{free_port()}"
    with replica(
        shop, "--cluster", str(tmp_path / "c.db"), "--latency", "0.2", "--allow", "interrupt", listen=where
    ) as (_, log):
        until(says(log, "created: CreateAndStartVMFromISO"))
        browser.size(1280)
        browser.go(f"http://{where}/")
        for node in NODES:
            browser.until(f"document.querySelector('#picture [data-key=\"{node}\"]')")
        browser.until("document.body.innerText.includes('Running')")
        assert "ok" in get(where, "/healthz").lower()
        until(lambda: "ok" in get(where, "/readyz").lower())
        status: dict[str, Any] = json.loads(get(where, "/status"))
        assert status["stack"] == "shop"
        assert status["resources"]["total"] == 3
        (shop / "a.yaml").write_text(manifests("Paused"))
        browser.until("document.body.innerText.includes('Paused')")
        browser.until("document.body.innerText.includes('All 3 resources are synced')")
        assert browser.troubles == []
        browser.picture(tmp_path / "page.png")
        metrics = get(where, "/metrics")
    assert re.search(r"^reconcile_\w+\{.*\} [1-9]", metrics, re.MULTILINE)
