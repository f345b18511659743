"""The host: one connection to libvirt, and where to find what is on it.

Nothing is kept between operations but the connection. What libvirt has no place for (the content of a pool, what
a disk was made of) is in the pools, in the files of wire format 7.3.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import libvirt

from reconciler.drivers.asked import STORAGE, refuse
from reconciler.drivers.libvirt import file
from reconciler.drivers.libvirt.wire import Element, parsed
from reconciler.kinds import DISK, DISK_IMAGE, MACHINE, POOL, SNAPSHOT
from reconciler.problem import Unavailable
from reconciler.resource import DEFAULT_NAMESPACE, ResourceId

SHUTDOWN = 60.0  # seconds a guest may take to shut down, or to restart
UNPLUG = 30.0  # seconds a guest may take to let go of a device
BALLOON = 10.0  # seconds a guest may take to give memory back
AGAIN = 3.0  # seconds after which a guest is asked once more

# Domain types and CPU modes, the best first: the guest sees the host's processor, as virt-install has it.
_ENGINES = (("kvm", "host-model"), ("kvm", ""), ("qemu", ""))
_CPUINFO = Path("/proc/cpuinfo")

_CONTENT = "content"


class Host:
    """``again`` and the others are seconds; ``monotonic`` and ``sleep`` are the clock they are measured by."""

    def __init__(
        self,
        uri: str,
        node: str,
        *,
        shutdown: float = SHUTDOWN,
        unplug: float = UNPLUG,
        balloon: float = BALLOON,
        again: float = AGAIN,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.uri = uri
        self.node = node
        self.shutdown, self.unplug, self.balloon, self.again = shutdown, unplug, balloon, again
        self._monotonic, self._sleep = monotonic, sleep
        self.claiming = threading.RLock()  # held from looking who has a file or an address until it is taken
        self.engines = engines(_CPUINFO.read_text())  # what has not been refused on this host yet
        self.restarts: dict[str, int] = {}  # how often a guest was seen to restart, by UUID
        _listen()
        try:
            self.connection = libvirt.open(uri)
        except libvirt.libvirtError as error:
            raise Unavailable(f"libvirt does not answer at {uri}: {error}") from error
        self.connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._restarted, None)

    def close(self) -> None:
        self.connection.close()

    def _restarted(self, connection: Any, domain: Any, opaque: Any) -> None:
        uuid = domain.UUIDString()
        self.restarts[uuid] = self.restarts.get(uuid, 0) + 1

    def waited(self, seconds: float, until: Callable[[], bool], ask: Callable[[], object]) -> bool:
        """Ask, and again now and then, until something is so; whether it came in time."""
        start = asked = self._monotonic()
        ask()
        while not until():
            now = self._monotonic()
            if now - start >= seconds:
                return False
            if now - asked >= self.again:
                ask()
                asked = now
            self._sleep(0.1)
        return True

    # What exists

    def exists(self, id: ResourceId) -> bool:
        if id.namespace != DEFAULT_NAMESPACE:
            return False  # a host knows no namespaces
        if id.kind == POOL:
            return self.pool(id.name) is not None
        if id.kind == MACHINE:
            return self.domain(id.name) is not None
        if id.kind == SNAPSHOT:
            return self.snapshot(id.name) is not None
        return id.kind in (DISK, DISK_IMAGE) and self.volume(id.kind, id.name) is not None

    def inventory(self) -> list[ResourceId]:
        found = [ResourceId(POOL, pool.name()) for pool in self.pools()]
        found += [ResourceId(MACHINE, domain.name()) for domain in self.domains()]
        for pool in self.pools():
            kind = DISK if content_of(pool) == "vmd" else DISK_IMAGE
            found += [ResourceId(kind, name) for name, _ in volumes(pool)]
        found += [
            ResourceId(SNAPSHOT, each.getName()) for domain in self.domains() for each in domain.listAllSnapshots()
        ]
        return sorted(set(found))

    # Pools

    def pools(self) -> list[Any]:
        """Those that are directories; others are none of ours."""
        return [each for each in self.connection.listAllStoragePools() if parsed(each.XMLDesc()).get("type") == "dir"]

    def pool(self, name: str) -> Any:
        return next((each for each in self.pools() if each.name() == name), None)

    def active_pool(self, name: str, *contents: str, type: str = "") -> Any:
        """The pool, which must be active and of one of the contents if any are named."""
        pool = self.pool(name)
        if pool is None:
            refuse(STORAGE, f"pool {name} does not exist")
        if not pool.isActive():
            refuse(STORAGE, f"pool {name} is not active")
        if type and type != "localfs":
            refuse(STORAGE, f"pool {name} is of type localfs, not {type}")
        if contents and content_of(pool) not in contents:
            refuse(STORAGE, f"pool {name} holds {content_of(pool)}, not {' or '.join(contents)}")
        return pool

    # Disks and images

    def volume(self, kind: str, name: str) -> tuple[Any, dict[str, Any]] | None:
        """The pool of a disk or image, and what is kept of it."""
        for pool in self.pools():
            if (content_of(pool) == "vmd") == (kind == DISK):
                config = file.read_config(directory_of(pool) / name)
                if config is not None:
                    return pool, config
        return None

    def owner(self, path: str) -> tuple[str, str, dict[str, Any]] | None:
        """Kind, name and what is kept of the disk or image that a file is of."""
        for pool in self.pools():
            directory = directory_of(pool)
            if not path.startswith(f"{directory}/"):
                continue
            name = path.removeprefix(f"{directory}/").partition("/")[0]
            config = file.read_config(directory / name)
            if config is not None:
                return DISK if content_of(pool) == "vmd" else DISK_IMAGE, name, config
        return None

    def files(self) -> Iterator[tuple[str, str, str]]:
        """Kind, name and file in use of every disk and image."""
        for pool in self.pools():
            kind = DISK if content_of(pool) == "vmd" else DISK_IMAGE
            for name, config in volumes(pool):
                yield kind, name, config["current"]

    # Domains

    def domains(self) -> list[Any]:
        found: list[Any] = self.connection.listAllDomains()
        return found

    def domain(self, name: str) -> Any:
        try:
            return self.connection.lookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise

    def snapshot(self, name: str) -> Any:
        for domain in self.domains():
            for each in domain.listAllSnapshots():
                if each.getName() == name:
                    return each
        return None

    def users(self, path: str) -> list[tuple[Any, bool]]:
        """The domains that have a file, in either definition, and whether the domain runs with it."""
        found = []
        for domain in self.domains():
            live, config = paths_of(live_of(domain)), paths_of(config_of(domain))
            if path in live or path in config:
                found.append((domain, path in live and bool(domain.isActive())))
        return found

    def not_attached(self, path: str, name: str) -> None:
        """Refuse while any machine has a file."""
        for domain, _ in self.users(path):
            refuse(STORAGE, f"{name} is attached to {MACHINE}/{domain.name()}")

    def not_running(self, path: str, name: str) -> None:
        """Refuse while a running machine has a file."""
        for domain, live in self.users(path):
            if live:
                refuse(STORAGE, f'Failed to get "write" lock: {name} is in use by running {MACHINE}/{domain.name()}')


def engines(cpuinfo: str) -> list[tuple[str, str]]:
    """The engines to try. There is a KVM that needs no virtualisation by the processor, for guests made for it.

    It steps through the code of any other guest: a BIOS takes ten times what QEMU takes to emulate it, and the kernel
    of a distribution does not come up at all.
    """
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    software = flags is not None and {"svm", "vmx"}.isdisjoint(flags[1].split())
    return [engine for engine in _ENGINES if engine[0] != "kvm" or not software]


def content_of(pool: Any) -> str:
    """What a pool is for: ``vmd``, ``vmdi`` or ``iso`` (wire format 7.3)."""
    try:
        return (directory_of(pool) / _CONTENT).read_text().strip() or "vmd"
    except OSError:
        return "vmd"


def mark_content(directory: Path, content: str) -> None:
    with file.replacing(directory / _CONTENT) as draft:
        draft.write_text(content)


def directory_of(pool: Any) -> Path:
    return Path(parsed(pool.XMLDesc()).findtext("target/path", ""))


def volumes(pool: Any) -> list[tuple[str, dict[str, Any]]]:
    """The disks or images in a pool, by name."""
    directory = directory_of(pool)
    try:
        names = sorted(each.name for each in directory.iterdir() if not each.name.startswith("."))
    except OSError:
        return []
    configs = ((name, file.read_config(directory / name)) for name in names)
    return [(name, config) for name, config in configs if config is not None]


def live_of(domain: Any) -> Element:
    """The definition a domain runs with, or its definition if it does not run."""
    return parsed(domain.XMLDesc())


def config_of(domain: Any) -> Element:
    """The definition of the next start, with everything that is secret in it."""
    return parsed(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))


def paths_of(definition: Element) -> set[str]:
    return {path for disk in definition.iterfind("devices/disk") if (path := path_of(disk))}


def path_of(disk: Element) -> str:
    """The file or block device behind a disk; empty for an empty drive."""
    source = disk.find("source")
    return "" if source is None else source.get("file") or source.get("dev") or ""


def target_of(disk: Element) -> str:
    """The name a disk has in its domain: ``vda``."""
    target = disk.find("target")
    return "" if target is None else target.get("dev", "")


@cache
def _listen() -> None:
    """Have libvirt's events delivered. Its loop must be there before a connection is opened."""
    libvirt.registerErrorHandler(lambda context, error: None, None)  # errors are raised; stderr is the user's
    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=run, name="libvirt-events", daemon=True).start()
