"""OVN for tests: a centre and hosts, each in a network namespace of its own, joined by a wire; and guests on them.

Namespaces have no names, and go with the processes in them: everything ends when the process that tests does, however
it ends. Several can be side by side. Packets pass in user space, so the kernel needs no module.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from support.own_host import with_sbin

REQUIRED = "RECONCILE_REQUIRE_OVN"
TOOLS = ("ovsdb-server", "ovsdb-tool", "ovs-vswitchd", "ovs-vsctl", "ovn-northd", "ovn-nbctl", "ovn-controller")
TOOLS += ("ip", "ethtool", "ping", "tcpdump", "socat", "busybox", "unshare", "nsenter", "setpriv")
SCHEMAS = {"nb": "ovn/ovn-nb", "sb": "ovn/ovn-sb", "conf": "openvswitch/vswitch"}
PATIENCE = 20.0  # seconds something may take until it is there

_LEASE = """#!/bin/sh
if [ "$1" = bound ]; then
  ip addr add "$ip/$mask" dev "$interface"
  ip link set "$interface" mtu "${{mtu:-1500}}"
  if [ -n "$router" ]; then ip route replace default via "$router"; fi
  env | sort >'{lease}'
fi
"""


class _Closed(Protocol):
    def close(self) -> None: ...


_Part = TypeVar("_Part", bound=_Closed)


def missing() -> str:
    """What the tests of real networks lack here; empty if nothing."""
    for tool in TOOLS:
        if shutil.which(tool, path=with_sbin()["PATH"]) is None:
            return f"{tool} is not installed: make ovn"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode != 0:
        return "a network of one's own needs a container with more rights: --privileged"
    if not Path("/dev/net/tun").exists():
        return "ports of user space need /dev/net/tun"
    try:
        import ovs  # noqa: F401
        import ovsdbapp  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed: make ovn"
    return ""


def until(true: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Ask until it is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Namespace:
    """A network namespace, for as long as a process holds it."""

    def __init__(self) -> None:
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "-n", "sh", "-c", "echo; exec sleep infinity"]
        self.holder = subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=with_sbin())
        assert self.holder.stdout is not None
        self.holder.stdout.readline()  # it is entered
        self.holder.stdout.close()
        self._started: list[subprocess.Popen[bytes]] = []
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> str:
        return str(self.holder.pid)

    def words(self, *words: str) -> list[str]:
        """A command that runs in here, and dies with this process."""
        return ["setpriv", "--pdeathsig", "KILL", "nsenter", "-t", self.pid, "-n", *words]

    def run(self, *words: str, check: bool = True) -> str:
        """What a command says in here."""
        done = self._done(*words)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def succeeds(self, *words: str) -> bool:
        """Whether a command in here succeeds."""
        return self._done(*words).returncode == 0

    def _done(self, *words: str) -> subprocess.CompletedProcess[str]:
        nothing, env = subprocess.DEVNULL, with_sbin()
        return subprocess.run(self.words(*words), stdin=nothing, capture_output=True, text=True, check=False, env=env)

    def start(self, *words: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a command in here, which ends with it at the latest; what it says goes to a file."""
        nothing, env = subprocess.DEVNULL, with_sbin()
        with (log or Path(os.devnull)).open("ab") as out:
            self._started.append(subprocess.Popen(self.words(*words), stdin=nothing, stdout=out, stderr=out, env=env))
        return self._started[-1]

    def close(self) -> None:
        for each in (*self._started, self.holder):
            each.kill()
            each.wait()


class Daemons:
    """Daemons in a namespace with a directory of their own, by name."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace, self.directory = namespace, directory
        directory.mkdir()
        self._words: dict[str, tuple[str, ...]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def add(self, name: str, *words: str) -> None:
        """Start a daemon."""
        self._words[name] = words
        self.start(name)

    def start(self, name: str) -> None:
        """Start a daemon that was killed."""
        places = ["OVS_RUNDIR", "OVN_RUNDIR", "OVS_LOGDIR", "OVN_LOGDIR"]
        words = ("env", *(f"{each}={self.directory}" for each in places), *self._words[name])
        self._running[name] = self.namespace.start(*words, log=self.directory / f"{name}.log")

    def kill(self, name: str) -> None:
        """Kill a daemon."""
        self._running[name].kill()
        self._running.pop(name).wait()

    def pause(self, name: str, *, on: bool = True) -> None:
        """Have a daemon hang, or go on."""
        self._running[name].send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def database(self, name: str, *remotes: str) -> str:
        """Start a server of a database that is made here; returns where it answers."""
        file, socket = self.directory / f"{name}.db", self.directory / f"{name}.sock"
        subprocess.run(
            ["ovsdb-tool", "create", file, f"/usr/share/{SCHEMAS[name]}.ovsschema"], check=True, env=with_sbin()
        )
        words = [f"--remote={each}" for each in (f"punix:{socket}", *remotes)]
        self.add(name, "ovsdb-server", str(file), *words, f"--unixctl={self.directory / name}.ctl", "-vconsole:warn")
        until(socket.exists, f"{socket}")
        return f"unix:{socket}"

    def close(self) -> None:
        for name in list(self._running):
            self.kill(name)


class Host:
    """A node of OVN: Open vSwitch and ovn-controller. ``address`` is where tunnels of the others end."""

    def __init__(self, name: str, directory: Path, address: str, southbound: str, namespace: Namespace) -> None:
        self.name, self.address, self.namespace = name, address, namespace
        self.daemons = Daemons(namespace, directory)
        self.db = self.daemons.database("conf")
        self._southbound = southbound

    def join(self, wire: str) -> None:
        """Join the others over a device, with bridges of its own: ``br-phys`` to them and ``br-ex`` to outside."""
        daemons, run, db = self.daemons, self.namespace.run, self.db
        self.vsctl("--no-wait", "init")
        control = f"--unixctl={daemons.directory}/vswitchd.ctl"
        daemons.add("ovs-vswitchd", "ovs-vswitchd", db, control, "-vconsole:warn")
        for bridge in ("br-phys", "br-ex"):
            self.vsctl("add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev")
        self.vsctl("add-port", "br-phys", wire)
        run("ip", "addr", "add", f"{self.address}/24", "dev", "br-phys")
        for device in ("br-phys", "br-ex", wire):
            run("ip", "link", "set", device, "up")
        run("ethtool", "-K", wire, "tx", "off")
        ids = {
            "system-id": self.name,
            "hostname": self.name,
            "ovn-remote": self._southbound,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": self.address,
            "ovn-bridge-datapath-type": "netdev",
        }
        self.vsctl("set", "Open_vSwitch", ".", *(f'external_ids:{key}="{value}"' for key, value in ids.items()))
        daemons.add("ovn-controller", "ovn-controller", db, "-vconsole:warn")

    def vsctl(self, *words: str) -> str:
        """What ``ovs-vsctl`` says, asked independently of the driver."""
        return self.namespace.run("ovs-vsctl", f"--db={self.db}", "--timeout=20", *words).strip()

    def close(self) -> None:
        self.daemons.close()


class Guest:
    """A namespace in place of a machine, on a port of a host's integration bridge that OVN knows by a name."""

    def __init__(self, host: Host, device: str, mac: str, port: str, lease: Path) -> None:
        self.host, self.device, self.mac = host, device, mac
        self.namespace = Namespace()
        self._lease, self._script = lease, lease.with_suffix(".sh")
        self._script.write_text(_LEASE.format(lease=lease))
        self._script.chmod(0o755)
        interface = [
            "--",
            "set",
            "Interface",
            device,
            "type=internal",
            f'mac="{mac}"',
            f'external_ids:iface-id="{port}"',
        ]
        host.vsctl("--may-exist", "add-port", "br-int", device, *interface, f'external_ids:attached-mac="{mac}"')
        host.namespace.run("ip", "link", "set", device, "netns", self.namespace.pid)
        self.run("ip", "link", "set", device, "address", mac)
        self.run("ip", "link", "set", device, "up")
        self.run("ethtool", "-K", device, "tx", "off")  # checksums: user space does not make them up

    def run(self, *words: str, check: bool = True) -> str:
        return self.namespace.run(*words, check=check)

    def dhcp(self, tries: int = 10) -> dict[str, str]:
        """Ask for a lease, and use it; what it says. Empty if there is no answer."""
        self._lease.unlink(missing_ok=True)
        self.run("ip", "addr", "flush", "dev", self.device)
        words = ("-n", "-q", "-f", "-t", str(tries), "-T", "1", "-s", str(self._script), "-O", "mtu")
        self.run("busybox", "udhcpc", "-i", self.device, *words, check=False)
        lines = self._lease.read_text().splitlines() if self._lease.exists() else []
        return dict(each.partition("=")[::2] for each in lines)

    def serves(self, port: int) -> bool:
        """Answer TCP on a port with a word, from now on; whether it does."""
        self.namespace.start("socat", f"TCP-LISTEN:{port},fork,reuseaddr", "SYSTEM:echo hello")
        until(lambda: f":{port} " in self.run("ss", "-ltn"), f"port {port}")
        return True

    def reads(self, address: str, port: int) -> bool:
        """Whether TCP on a port of another guest answers with that word."""
        return "hello" in self.run("socat", "-T2", "-u", f"TCP:{address}:{port},connect-timeout=2", "-", check=False)

    def pings(self, address: str, tries: int = 10) -> bool:
        """Whether an address answers, within so many seconds."""
        return any(self.namespace.succeeds("ping", "-c", "1", "-W", "1", address) for _ in range(tries))

    def close(self) -> None:
        with suppress(AssertionError):
            self.host.vsctl("--if-exists", "del-port", "br-int", self.device)
        self.namespace.close()


class Outside:
    """A namespace on a wire to a bridge of a host: what is outside of OVN."""

    device = "eth0"

    def __init__(self, host: Host, wire: str, address: str, log: Path, bridge: str) -> None:
        self.host, self._wire, self._bridge = host, wire, bridge
        self.log = log  # for what is started here
        self.namespace = Namespace()
        host.namespace.run(
            "ip", "link", "add", wire, "type", "veth", "peer", "name", self.device, "netns", self.namespace.pid
        )
        host.namespace.run("ip", "link", "set", wire, "up")
        host.namespace.run("ethtool", "-K", wire, "tx", "off")
        host.vsctl("add-port", bridge, wire)
        self.run("ip", "addr", "add", address, "dev", self.device)
        self.run("ip", "link", "set", self.device, "up")
        self.run("ethtool", "-K", self.device, "tx", "off")

    def run(self, *words: str, check: bool = True) -> str:
        return self.namespace.run(*words, check=check)

    def close(self) -> None:
        with suppress(AssertionError):
            self.host.vsctl("--if-exists", "del-port", self._bridge, self._wire)
        self.namespace.close()


class Ovn:
    """A centre and hosts ``n1``, ``n2``, joined by a wire. Also a place where guests are made."""

    def __init__(self, hosts: int = 2) -> None:
        self._stack = ExitStack()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ovn-")))
        self._count = 0
        self._guests: list[Guest | Outside] = []
        try:
            self._begin(hosts)
        except BaseException:
            self._stack.close()
            raise

    def _begin(self, hosts: int) -> None:
        spaces = [self._closed(Namespace()) for _ in range(max(hosts, 1))]
        self.centre = self._closed(Daemons(spaces[0], self.directory / "c"))
        self.nb = self.centre.database("nb", "ptcp:6641:127.0.0.1")
        self.sb = self.centre.database("sb")
        control = f"--unixctl={self.centre.directory}/northd.ctl"
        remotes = (f"--ovnnb-db={self.nb}", f"--ovnsb-db={self.sb}")
        self.centre.add("ovn-northd", "ovn-northd", *remotes, control, "-vconsole:warn")
        self.nbctl("init")
        self.hosts = [
            self._closed(Host(f"n{number}", self.directory / f"n{number}", f"172.31.0.{number}", self.sb, space))
            for number, space in enumerate(spaces, 1)
        ]
        if hosts > 1:
            spaces[0].run("ip", "link", "add", "up1", "type", "veth", "peer", "name", "up2", "netns", spaces[1].pid)
        else:
            spaces[0].run("ip", "link", "add", "up1", "type", "veth", "peer", "name", "peer1")
        for number, host in enumerate(self.hosts, 1):
            host.join(f"up{number}")
        until(
            lambda: all(each.name in self.sbctl("--bare", "--columns=name", "list", "Chassis") for each in self.hosts),
            "chassis",
        )

    def _closed(self, part: _Part) -> _Part:
        self._stack.callback(part.close)
        return part

    def nbctl(self, *words: str) -> str:
        """What ``ovn-nbctl`` says, asked independently of the driver."""
        return _ctl("ovn-nbctl", self.nb, *words)

    def sbctl(self, *words: str) -> str:
        return _ctl("ovn-sbctl", self.sb, *words)

    def count(self, table: str) -> int:
        """How many rows a table of the northbound database has."""
        return len(self.nbctl("--bare", "--columns=_uuid", "list", table).split())

    def guest(self, host: int, port: str, mac: str) -> Guest:
        """A guest on a port of OVN, on host 1 or 2; the port need not exist yet."""
        self._count += 1
        made = Guest(self.hosts[host - 1], f"vm{self._count}", mac, port, self.directory / f"lease{self._count}")
        self._guests.append(made)
        return made

    def outside(self, host: int, address: str, bridge: str = "br-ex") -> Outside:
        """What is outside of host 1 or 2, at an address with its length."""
        self._count += 1
        made = Outside(
            self.hosts[host - 1], f"out{self._count}", address, self.directory / f"out{self._count}.log", bridge
        )
        self._guests.append(made)
        return made

    def clear(self) -> None:
        """Have no guest be left, nothing in the northbound database, and no bridge mapped to it."""
        while self._guests:
            self._guests.pop().close()
        self._empty()
        for host in self.hosts:
            host.vsctl("remove", "Open_vSwitch", ".", "external_ids", "ovn-bridge-mappings")

    def _empty(self) -> None:
        """Have nothing be left in the northbound database."""
        for table in ("Logical_Switch", "Logical_Router", "Address_Set", "DHCP_Options", "DNS", "Port_Group", "Meter"):
            for uuid in self.nbctl("--bare", "--columns=_uuid", "list", table).split():
                self.nbctl("--if-exists", "destroy", table, uuid)

    def close(self) -> None:
        while self._guests:
            self._guests.pop().close()
        self._stack.close()


def _ctl(tool: str, db: str, *words: str) -> str:
    done = subprocess.run([tool, f"--db={db}", "--timeout=20", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{tool} {words}: {done.stderr}"
    return done.stdout.strip()
