"""Databases that do not answer, hang, come back or are not what they should be."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from contracts.driver_contract_steps import Steps
from reconciler.drivers.network.certificates import NO_FILES, Certificates
from reconciler.drivers.network.driver import Networked
from reconciler.drivers.network.links import Links
from reconciler.model.kinds import NETWORK
from reconciler.model.problem import OperationFailed, Unavailable
from reconciler.model.resource import ResourceId
from support import ovn_hosts
from support.no_machines import NoMachines
from support.ovn_hosts import Daemons, Ovn, until
from support.own_host import with_sbin

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Database

WEB_NET = ResourceId(NETWORK, "web-net")


def opened(
    remote: str, schema: str = "OVN_Northbound", certificates: Certificates = NO_FILES, answer: float = 5
) -> Database:
    from reconciler.drivers.network.database import Database

    return Database(remote, schema, certificates, answer=answer)


@contextmanager
def refused(*words: str, within: float = 8) -> Iterator[None]:
    """The block must say in time that a database cannot be had."""
    start = time.monotonic()
    with pytest.raises((OperationFailed, Unavailable)) as caught:
        yield
    assert time.monotonic() - start < within
    for word in words:
        assert word in str(caught.value)


@contextmanager
def paused(daemons: Daemons, name: str) -> Iterator[None]:
    daemons.pause(name)
    try:
        yield
    finally:
        daemons.pause(name, on=False)


@contextmanager
def killed(daemons: Daemons, name: str) -> Iterator[None]:
    daemons.kill(name)
    try:
        yield
    finally:
        daemons.start(name)


# Opening


@pytest.mark.parametrize(
    "remote", ["unix:/nowhere/nb.sock", "tcp:127.0.0.1:1", "tcp:127.0.0.1:1,unix:/nowhere/nb.sock"]
)
def test_where_nothing_answers_is_said_with_the_reason(remote: str) -> None:
    with refused("OVN's northbound database", remote, "does not answer: ", within=3):
        opened(remote)


def test_what_is_no_address_is_said() -> None:
    with refused("http://10.0.0.1", "unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT"):
        opened("http://10.0.0.1")


def test_a_server_without_this_database_is_named(ovn: Ovn) -> None:
    with refused("OVN_Northbound", ovn.hosts[0].db):
        opened(ovn.hosts[0].db)


def test_a_server_that_hangs_is_not_waited_for(ovn: Ovn) -> None:
    with paused(ovn.centre, "nb"), refused("does not answer", "too long", within=4):
        opened(ovn.nb, answer=1)


def test_the_first_server_that_answers_is_taken(ovn: Ovn) -> None:
    opened(f"unix:/nowhere/nb.sock,{ovn.nb}").close()


# Working


@pytest.fixture
def hasty(ovn: Ovn) -> Iterator[Links]:
    """Links that are not waited for long."""
    links = Links(opened(ovn.nb, answer=1), opened(ovn.hosts[0].db, "Open_vSwitch", answer=1), "n1", NoMachines())
    yield replace(links, patience=0.3)
    links.close()


@pytest.fixture
def does(hasty: Links) -> Steps:
    return Steps(Networked(NoMachines(), hasty))


def test_while_a_database_is_away_nothing_is_taken_for_gone(ovn: Ovn, does: Steps, hasty: Links) -> None:
    does.switch()
    with killed(ovn.centre, "nb"):
        until(lambda: not hasty.nb.connected, "the loss")
        with refused("does not answer"):
            does.observe(NETWORK, "web-net")
        with refused("does not answer"):
            does.driver.scan().observe(WEB_NET)
        with refused("does not answer"):
            does.run(NETWORK, "web-net", "ModifySwitch", mtu="1300")
        assert does.driver.scan().inventory() == does.driver.inventory() == [WEB_NET]
    until(lambda: hasty.nb.connected, "the connection")
    does.run(NETWORK, "web-net", "ModifySwitch", mtu="1300")
    assert does.observe(NETWORK, "web-net")["settings"]["switch"]["mtu"] == 1300


def test_what_changed_while_a_database_was_away_is_noticed(ovn: Ovn, does: Steps, hasty: Links) -> None:
    does.switch()
    dhcp = does.observe(NETWORK, "web-net")["data"]["gatewayInfo"]["id"]
    change = {
        "op": "mutate",
        "table": "DHCP_Options",
        "where": [["_uuid", "==", ["uuid", dhcp]]],
        "mutations": [["options", "delete", ["set", ["mtu"]]], ["options", "insert", ["map", [["mtu", "1234"]]]]],
    }
    with killed(ovn.centre, "nb"):
        until(lambda: not hasty.nb.connected, "the loss")
        does.driver.noticed()
        words = ["ovsdb-tool", "transact", ovn.centre.directory / "nb.db", json.dumps(["OVN_Northbound", change])]
        subprocess.run(words, check=True, capture_output=True)
    until(lambda: WEB_NET in does.driver.noticed(), "the change", seconds=5)
    assert does.observe(NETWORK, "web-net")["settings"]["switch"]["mtu"] == 1234


def test_a_server_that_hangs_in_the_middle_fails_the_operation_which_can_be_repeated(
    ovn: Ovn, does: Steps, hasty: Links
) -> None:
    does.switch()
    with paused(ovn.centre, "nb"), refused("does not answer", within=15):
        does.run(NETWORK, "web-net", "ModifySwitch", mtu="1300")
    until(lambda: hasty.nb.connected, "the connection")
    does.run(NETWORK, "web-net", "ModifySwitch", mtu="1300")
    assert does.observe(NETWORK, "web-net")["settings"]["switch"]["mtu"] == 1300
    assert ovn.count("DHCP_Options") == 1


@pytest.mark.parametrize("daemon", ["ovn-northd", "ovn-controller"])
def test_without_those_that_carry_it_out_the_change_is_made_and_the_delay_said(
    ovn: Ovn, does: Steps, caplog: pytest.LogCaptureFixture, daemon: str
) -> None:
    daemons = ovn.centre if daemon == "ovn-northd" else ovn.hosts[0].daemons
    with killed(daemons, daemon), caplog.at_level(logging.WARNING):
        does.switch()
    assert "node n1 has not carried out" in caplog.text
    assert ovn.count("Logical_Switch") == 1


def test_a_host_that_is_down_is_not_waited_for(ovn: Ovn, does: Steps, caplog: pytest.LogCaptureFixture) -> None:
    with killed(ovn.hosts[1].daemons, "ovn-controller"), caplog.at_level(logging.WARNING):
        does.switch()
    assert caplog.text == ""


# Certificates


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[str, Certificates]]:
    """A northbound database at ssl:, and the files with which it can be reached."""
    authority = trustme.CA()
    server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("agent.example")
    for name, issued in (("server", server), ("client", client)):
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subprocess.run(
        ["ovsdb-tool", "create", tmp_path / "nb.db", f"/usr/share/{ovn_hosts.SCHEMAS['nb']}.ovsschema"], check=True
    )
    files = (f"--private-key={tmp_path}/server.key", f"--certificate={tmp_path}/server.pem")
    words = ("ovsdb-server", str(tmp_path / "nb.db"), f"--remote=pssl:{port}:127.0.0.1", f"--unixctl={tmp_path}/ctl")
    with subprocess.Popen(
        [*words, *files, f"--ca-cert={tmp_path}/ca.pem", "-vconsole:off"], env=with_sbin(), cwd=tmp_path
    ) as daemon:
        until(lambda: _listens(port), "the server")
        yield (
            f"ssl:127.0.0.1:{port}",
            Certificates(*(str(tmp_path / each) for each in ("client.key", "client.pem", "ca.pem"))),
        )
        daemon.send_signal(signal.SIGKILL)


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def test_a_database_is_reached_with_certificates(secured: tuple[str, Certificates]) -> None:
    remote, certificates = secured
    database = opened(remote, certificates=certificates)
    assert database.rows("Logical_Switch") == []
    database.close()


def test_without_all_certificates_it_is_said_which_is_missing(secured: tuple[str, Certificates]) -> None:
    remote, certificates = secured
    with refused("--ovn-key, --ovn-certificate and --ovn-ca"):
        opened(remote)
    with refused("/nowhere.pem", "No such file"):
        opened(remote, certificates=certificates._replace(authority="/nowhere.pem"))


def test_a_server_that_another_authority_signed_is_not_trusted(
    secured: tuple[str, Certificates], tmp_path: Path
) -> None:
    remote, certificates = secured
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with refused("does not answer"):
        opened(remote, certificates=certificates._replace(authority=str(tmp_path / "other.pem")), answer=2)
