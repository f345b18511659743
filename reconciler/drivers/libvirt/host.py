"""The host: one connection to libvirt, and where to find what is on it.

Nothing is remembered between operations but the connection. What libvirt has no place for (the content of a pool,
what a disk was created from) is in the pools, in the files of wire format 7.3.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import libvirt

from reconciler.drivers.libvirt import file
from reconciler.drivers.libvirt.binding import VirConnection, VirDomain, VirPool, VirSnapshot
from reconciler.drivers.libvirt.mount import mounted
from reconciler.drivers.libvirt.xml_json import Element, parsed
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, MACHINE, POOL, SNAPSHOT
from reconciler.model.problem import Unavailable
from reconciler.model.resource import DEFAULT_NAMESPACE, ResourceId

SHUTDOWN = 60.0  # seconds a guest may take to shut down, or to restart
UNPLUG = 30.0  # seconds a guest may take to let go of a device
BALLOON = 10.0  # seconds a guest may take to begin, or go on, giving memory back
AGAIN = 3.0  # seconds after which a guest is asked again

# Domain types and CPU modes, the best first: the guest sees the host's processor, as virt-install has it.
_ENGINES = (("kvm", "host-model"), ("kvm", ""), ("qemu", ""))
_EMULATION = ("qemu", "")
_CPUS = Path("/proc/cpuinfo")
_VIRTUALISES = {"vmx", "svm"}  # flags of x86 processors

_CONTENT = "content"

# Kind and format of a pool as libvirt has it -> its type. Other pools are not touched.
TYPES = {("dir", ""): "localfs", ("netfs", "nfs"): "nfs"}


class HostState:
    """What is on a host, and where to find it; subclasses say how pools and domains are read."""

    connection: VirConnection
    node: str
    removed: set[ResourceId]  # what operations deleted: that is gone, even while a pool cannot be read

    def exists(self, id: ResourceId) -> bool:
        """Whether a resource is on this host."""
        if id.namespace != DEFAULT_NAMESPACE:
            return False  # a host knows no namespaces
        if id.kind == POOL:
            return self.pool(id.name) is not None
        if id.kind == MACHINE:
            return self.domain(id.name) is not None
        if id.kind == SNAPSHOT:
            return self.snapshot(id.name) is not None
        if id.kind == DISK_SNAPSHOT:
            return self.disk_snapshot(id.name) is not None
        return id.kind in (DISK, DISK_IMAGE) and self.volume(id.kind, id.name) is not None

    def inventory(self) -> list[ResourceId]:
        """Every resource on this host, sorted."""
        found = [ResourceId(POOL, pool.name()) for pool in self.pools()]
        found += [ResourceId(MACHINE, domain.name()) for domain in self.domains()]
        for pool in self.pools():
            kind = DISK if content_of(pool) == "vmd" else DISK_IMAGE
            for name, config in self.volumes(pool):
                found.append(ResourceId(kind, name))
                found += [ResourceId(DISK_SNAPSHOT, each) for each in snapshots_in(config) if "@" not in each]
        found += [
            ResourceId(SNAPSHOT, each.getName()) for domain in self.domains() for each in domain.listAllSnapshots()
        ]
        return sorted(set(found))

    # Pools

    def pools(self) -> list[VirPool]:
        """The persistent pools of a type that the API has, as libvirt objects."""
        return [each for each in self.connection.listAllStoragePools() if _is_ours(each)]

    def pool(self, name: str) -> VirPool:
        """The pool of a name, as libvirt object; None if there is none."""
        return next((each for each in self.pools() if each.name() == name), None)

    def active_pool(self, name: str, *contents: str, type: str = "") -> VirPool:
        """The pool, which must be active and of one of the contents if any are named."""
        pool = self.pool(name)
        if pool is None:
            refuse(STORAGE, f"pool {name} does not exist")
        if not is_active(pool):
            refuse(STORAGE, f"pool {name} is not active")
        if type and type != type_of(pool):
            refuse(STORAGE, f"pool {name} is of type {type_of(pool)}, not {type}")
        if contents and content_of(pool) not in contents:
            refuse(STORAGE, f"pool {name} holds {content_of(pool)}, not {' or '.join(contents)}")
        return pool

    # Disks and images

    def volumes(self, pool: VirPool) -> list[tuple[str, dict[str, Any]]]:
        """The disks or images in a pool, by name."""
        directory = directory_of(pool)
        try:
            names = sorted(each.name for each in directory.iterdir() if not each.name.startswith("."))
        except OSError:
            return []
        configs = ((name, self._config(directory / name)) for name in names)
        return [(name, config) for name, config in configs if config is not None]

    def _config(self, directory: Path) -> dict[str, Any] | None:
        """The configuration of a disk or image; after a kill, the one that ``chain.py`` says is true.

        Where the disk was not switched to its new file any more, that file is waste.
        """
        config = file.read_config(directory)
        if config is None or "next" not in config:
            return config
        next: dict[str, Any] = config.pop("next")
        new, old = next["current"], config["current"]
        if not os.path.exists(new):
            return config
        if self.users(new) or not self.users(old):
            return next
        return {**config, "waste": [*config.get("waste", []), new]}

    def volume(self, kind: str, name: str) -> tuple[Any, dict[str, Any]] | None:
        """The pool of a disk or image, and its configuration."""
        for pool in self.pools():
            if (content_of(pool) == "vmd") == (kind == DISK):
                config = self._config(directory_of(pool) / name)
                if config is not None:
                    return pool, config
        return None

    def disk_snapshot(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """The disk that has a snapshot of this name in a file of its own, and the configuration of the disk."""
        for pool in self.pools():
            if content_of(pool) == "vmd":
                for disk, config in self.volumes(pool):
                    if name in snapshots_in(config):
                        return disk, config
        return None

    def owner(self, path: str) -> tuple[str, str, dict[str, Any]] | None:
        """Kind, name and configuration of the disk or image that has a file; None for one outside of its directory."""
        for pool in self.pools():
            directory = directory_of(pool)
            if not path.startswith(f"{directory}/"):
                continue
            name = path.removeprefix(f"{directory}/").partition("/")[0]
            config = self._config(directory / name)
            if config is not None and all(file.within(directory, name, each) for each in (path, config["current"])):
                return DISK if content_of(pool) == "vmd" else DISK_IMAGE, name, config
        return None

    def files(self) -> Iterator[tuple[str, str, str]]:
        """Kind, name and file in use of every disk and image."""
        for pool in self.pools():
            kind = DISK if content_of(pool) == "vmd" else DISK_IMAGE
            for name, config in self.volumes(pool):
                yield kind, name, config["current"]

    # Domains

    def domains(self) -> list[VirDomain]:
        """All domains, as libvirt objects."""
        found: list[VirDomain] = self.connection.listAllDomains()
        return found

    def domain(self, name: str) -> VirDomain:
        """The domain of a name, as libvirt object; None if there is none."""
        try:
            return self.connection.lookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise

    def snapshot(self, name: str) -> VirSnapshot:
        """The snapshot of a name, of whichever domain, as libvirt object; None if there is none."""
        for domain in self.domains():
            for each in domain.listAllSnapshots():
                if each.getName() == name:
                    return each
        return None

    def users(self, path: str) -> list[tuple[VirDomain, bool]]:
        """The domains that have a file in either definition, each with whether it runs with the file."""
        return self.attached().get(path, [])

    def attached(self) -> dict[str, list[tuple[VirDomain, bool]]]:
        """The users of each file that has any."""
        found: dict[str, list[tuple[VirDomain, bool]]] = {}
        for domain in self.domains():
            try:
                runs, live, config = bool(domain.isActive()), paths_of(live_of(domain)), paths_of(shown_of(domain))
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    continue  # gone since it was listed: it has nothing
                raise
            for path in live | config:
                found.setdefault(path, []).append((domain, runs and path in live))
        return found

    def require_detached(self, path: str, name: str) -> None:
        """Refuse while any machine has a file."""
        for domain, _ in self.users(path):
            refuse(STORAGE, f"{name} is attached to {MACHINE}/{domain.name()}")

    def require_unused(self, path: str, name: str) -> None:
        """Refuse while a running machine has a file."""
        for domain, live in self.users(path):
            if live:
                refuse(STORAGE, f'Failed to get "write" lock: {name} is in use by running {MACHINE}/{domain.name()}')


class Host(HostState):
    """A host that is read again for each question.

    ``shutdown`` and those after it are seconds (see the constants); ``monotonic`` and ``sleep`` are the clock.
    ``allowed`` are directories and devices that operations may use beside those of ``image_access``; ``routed`` says
    that something gives NICs of type l3bridge their ports on switches of OVN.
    """

    def __init__(
        self,
        uri: str,
        node: str,
        *,
        shutdown: float = SHUTDOWN,
        unplug: float = UNPLUG,
        balloon: float = BALLOON,
        again: float = AGAIN,
        allowed: tuple[str, ...] = (),
        routed: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.uri = uri
        self.node = node
        self.allowed, self.routed = allowed, routed
        self.shutdown, self.unplug, self.balloon, self.again = shutdown, unplug, balloon, again
        self._monotonic, self._sleep = monotonic, sleep
        self.claim_lock = threading.RLock()  # held from checking who has a file or an address until it is taken
        self.files_lock = threading.RLock()  # held while the files of a disk change; acquired before ``claim_lock``
        self.removed = set()
        self.engines = engines()  # those that this host has not refused yet
        self.restarts: dict[str, int] = {}  # number of restarts of each guest, by UUID
        self._noticed: set[ResourceId] = set()
        self._noticed_lock = threading.Lock()
        _listen()
        try:
            self.connection = libvirt.open(uri)
        except libvirt.libvirtError as error:
            raise Unavailable(f"libvirt does not answer at {uri}: {error}") from error
        self.connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._restarted, None)
        agents = libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE
        self.connection.domainEventRegisterAny(None, agents, self._agent_changed, None)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _restarted(self, connection: VirConnection, domain: VirDomain, opaque: Any) -> None:
        uuid = domain.UUIDString()
        self.restarts[uuid] = self.restarts.get(uuid, 0) + 1

    def _agent_changed(
        self, connection: VirConnection, domain: VirDomain, state: int, reason: int, opaque: Any
    ) -> None:
        with self._noticed_lock:
            self._noticed.add(ResourceId(MACHINE, domain.name()))

    def noticed(self) -> set[ResourceId]:
        """The machines whose guest agent began or ceased to answer since the last call."""
        with self._noticed_lock:
            noticed, self._noticed = self._noticed, set()
        return noticed

    def wait_until(self, seconds: float, until: Callable[[], bool], ask: Callable[[], object]) -> bool:
        """Call ``ask``, then again every ``again`` seconds, until ``until`` is true; False if that takes too long."""
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


def engines(cpus: Path = _CPUS) -> list[tuple[str, str]]:
    """Domain type and CPU mode of what may run a domain on this host, the best first.

    Where the processor has no virtualisation, KVM is left out even if it is there: it interprets firmware and boot
    loader some two hundred times slower than QEMU translates them, and does not boot the kernel of a distribution.
    """
    try:
        lines = cpus.read_text().splitlines()
    except OSError:
        return list(_ENGINES)
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), None)
    return list(_ENGINES) if flags is None or flags & _VIRTUALISES else [_EMULATION]


def content_of(pool: VirPool) -> str:
    """What a pool is for: ``vmd``, ``vmdi`` or ``iso`` (wire format 7.3)."""
    return marked_content(directory_of(pool)) or "vmd"


def marked_content(directory: Path) -> str:
    """What a directory is marked to hold; empty if it is not marked, or cannot be read."""
    try:
        return (directory / _CONTENT).read_text(errors="replace").strip()
    except OSError:
        return ""


def mark_content(directory: Path, content: str) -> Path:
    """Mark what a directory holds; returns the file that says so."""
    with file.replacing(directory / _CONTENT) as temporary:
        temporary.write_text(content)
    return directory / _CONTENT


def type_of(pool: VirPool) -> str:
    """The type of a pool as the wire has it; empty for one that the API has no type for."""
    definition = parsed(pool.XMLDesc())
    format = definition.find("source/format")
    return TYPES.get((definition.get("type", ""), "" if format is None else format.get("type", "")), "")


def _is_ours(pool: VirPool) -> bool:
    try:
        return bool(pool.isPersistent()) and type_of(pool) != ""
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
            return False  # gone since it was listed
        raise


def directory_of(pool: VirPool) -> Path:
    """The directory of a pool."""
    return Path(parsed(pool.XMLDesc()).findtext("target/path", ""))


def snapshots_in(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The snapshots of a disk in files of their own; those of machines have names like ``web-1@before``."""
    kept: dict[str, dict[str, Any]] = config.get("snapshots", {})
    return kept


def share_of(pool: VirPool) -> str:
    """What a pool mounts on its directory, as HOST:PATH; empty if nothing."""
    source = parsed(pool.XMLDesc()).find("source")
    host, path = (None, None) if source is None else (source.find("host"), source.find("dir"))
    return "" if host is None or path is None else f"{host.get('name')}:{path.get('path')}"


def is_reachable(pool: VirPool) -> bool:
    """Whether the files in a pool can be read, also while it is stopped."""
    share, directory = share_of(pool), directory_of(pool)
    return mounted(directory) == share if share else directory.is_dir() and not is_bare(directory)


def is_bare(directory: Path) -> bool:
    """Whether a directory has nothing in it, not even the mark of a pool: what belongs there may not be mounted."""
    return not any(each.name != "lost+found" for each in directory.iterdir())


def is_active(pool: VirPool) -> bool:
    """Whether a pool can be used. libvirt does not notice when a directory, or what is mounted on it, goes."""
    return bool(pool.isActive()) and is_reachable(pool)


def live_of(domain: VirDomain) -> Element:
    """The definition a domain runs with, or its definition if it does not run."""
    return parsed(domain.XMLDesc())


def shown_of(domain: VirDomain) -> Element:
    """The definition of the next start, without what is secret."""
    return parsed(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def config_of(domain: VirDomain) -> Element:
    """The definition of the next start, with everything that is secret in it."""
    return parsed(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))


def paths_of(definition: Element) -> set[str]:
    """The files and block devices of all disks and drives of a definition."""
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
