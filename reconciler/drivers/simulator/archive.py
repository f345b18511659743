"""Where the backups of a machine are kept: one archive a machine in each pool, and on each FTP host.

An archive has ``machines`` (version -> what the machine was like: ``definition``, ``nics``, ``console``, ``system``,
``disks`` by target, and ``all``, whether these are all it had) and ``disks`` (name -> version -> ``file``,
``format``, ``pool``, and ``base``: the version an increment builds on, empty for a full backup). Every part holds
what restores it, but what another part builds on cannot be deleted. Keys of the world:

    backups:NS/POOL/MACHINE            an archive in a pool
    remotes:HOST:PORT/NS/MACHINE       an archive on an FTP host
    server:HOST:PORT                   an FTP host: its user, a digest of the password, its archives
    hosts:NS/MACHINE                   the FTP hosts that have an archive of a machine
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers.operation import STORAGE, TOOL, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.context import Entity, SimulatorContext, deep_copy
from reconciler.drivers.simulator.secret import digest

Part = dict[str, Any]


class Archive:
    """An archive while an operation changes it; ``save`` writes it back."""

    def __init__(self, context: SimulatorContext, key: str, where: str, domain: str) -> None:
        kept = context.get(key) or {"machines": {}, "disks": {}}
        self.context = context
        self.key = key
        self.where = where
        self.domain = domain
        self.machines: dict[str, dict[str, Any]] = kept["machines"]
        self.disks: dict[str, dict[str, Part]] = kept["disks"]
        self._before = len(self)

    def __len__(self) -> int:
        return len(self.machines) + sum(map(len, self.disks.values()))

    def save(self) -> int:
        """Write the archive back; returns by how many backups it grew."""
        for name in [name for name, versions in self.disks.items() if not versions]:
            del self.disks[name]
        kept = {"machines": self.machines, "disks": self.disks} if len(self) else None
        self.context.put(self.key, kept)
        grown, self._before = len(self) - self._before, len(self)
        return grown

    # Reading

    def machine(self, version: str) -> dict[str, Any]:
        """A backup of the machine; refuses where there is none of this version."""
        found = self.machines.get(version)
        if found is None:
            refuse(TOOL, f"VM {self.domain} has no backup {version} {self.where}")
        return found

    def part(self, disk: str, version: str) -> Part:
        """A backup of a disk; refuses where there is none of this version."""
        found = self.disks.get(disk, {}).get(version)
        if found is None:
            refuse(TOOL, f"disk {disk} of VM {self.domain} has no backup {version} {self.where}")
        return found

    def parts(self, version: str) -> list[str]:
        """The disks in a backup of the machine; some may have been deleted from it."""
        names = self.machine(version)["disks"].values()
        return [name for name in names if version in self.disks.get(name, {})]

    # Changing

    def add(self, disk: str, version: str, entity: Entity, *, full: bool) -> None:
        """Back up a disk: ``full``, or else what changed since the last backup, if that is known and here."""
        versions = self.disks.setdefault(disk, {})
        if version in versions:
            refuse(TOOL, f"disk {disk} of VM {self.domain} already has a backup {version} {self.where}")
        checkpoints = entity["hidden"].setdefault("checkpoints", {})
        last = checkpoints.get(self.key, "")
        versions[version] = {
            "file": deep_copy(volume.copy_of(volume.state(entity))),
            "format": entity["spec"]["volume"]["format"],
            "pool": entity["hidden"]["pool"],
            "base": "" if full or last not in versions else last,
        }
        checkpoints[self.key] = version

    def delete(self, versions: list[str], disk: str = "") -> None:
        """Delete backups of the machine, or only those of one disk."""
        names = {version: [disk] if disk else self.parts(version) for version in versions}
        gone = {(name, version) for version, parts in names.items() for name in parts}
        for name, version in sorted(gone):
            self.part(name, version)
            builds = [
                later
                for later, part in self.disks[name].items()
                if part["base"] == version and (name, later) not in gone
            ]
            if builds:
                refuse(TOOL, f"backup {', '.join(builds)} of disk {name} builds on {version} {self.where}")
        for name, version in gone:
            del self.disks[name][version]
        for version in versions:
            if version in self.machines and not self.parts(version):
                del self.machines[version]

    def delete_all(self, disk: str = "") -> None:
        """Delete every backup, or every one of a disk."""
        if disk:
            self.delete(list(self.disks.get(disk, {})), disk)
        else:
            self.machines.clear()
            self.disks.clear()

    def copy_to(self, other: Archive, version: str, disk: str = "") -> None:
        """Copy a backup, or only that of one disk, along with all it builds on that is not there yet."""
        if disk:
            self.part(disk, version)
            if version in other.disks.get(disk, {}):
                refuse(TOOL, f"disk {disk} of VM {self.domain} already has a backup {version} {other.where}")
        else:
            kept = self.machine(version)
            if version in other.machines:
                refuse(TOOL, f"VM {self.domain} already has a backup {version} {other.where}")
            other.machines[version] = deep_copy(kept)
        for name in [disk] if disk else self.parts(version):
            versions, needed = other.disks.setdefault(name, {}), version
            while needed:
                part = self.part(name, needed)
                if versions.setdefault(needed, part) != part:
                    refuse(TOOL, f"disk {name} of VM {self.domain} has another backup {needed} {other.where}")
                versions[needed] = deep_copy(part)
                needed = part["base"]


class PoolArchive(Archive):
    """An archive in a pool that this node reaches. The pool counts its backups, and shows those a scan found."""

    def __init__(self, context: SimulatorContext, domain: str, name: str) -> None:
        self.pool = volume.active_pool(context, name, anywhere=True)
        if self.pool["node"] != context.node and not volume.is_shared(self.pool):
            refuse(STORAGE, f"pool {name} is on {self.pool['node']}, not on {context.node}")
        super().__init__(context, f"backups:{context.target.namespace}/{name}/{domain}", f"in pool {name}", domain)

    def save(self) -> int:
        """Write it back, and what the pool shows of it; returns by how many backups it grew."""
        grown = super().save()
        self.pool["hidden"]["files"] += grown
        self._show([each for each in self.shown() if self._has(each)])
        return grown

    def scan(self, disk: str = "") -> None:
        """Have the pool show the backups in it, or those of one disk."""
        found = [] if disk else [self._entry(version, "", self._full(version)) for version in self.machines]
        for name in [disk] if disk else self.disks:
            versions = self.disks.get(name, {})
            found += [self._entry(version, name, not part["base"]) for version, part in versions.items()]
        others = [each for each in self.shown() if each["domain"] != self.domain or (disk and each["disk"] != disk)]
        self._show(others + found)

    def shown(self) -> list[dict[str, Any]]:
        """The backups that the pool shows, of all machines."""
        shown: list[dict[str, Any]] = self.pool["spec"]["pool"].get("backups", [])
        return shown

    def _show(self, entries: list[dict[str, Any]]) -> None:
        self.pool["spec"]["pool"].pop("backups", None)
        if entries:
            self.pool["spec"]["pool"]["backups"] = entries

    def _entry(self, version: str, disk: str, full: bool) -> dict[str, Any]:
        pool = self.pool["spec"]["pool"]["pool"]
        return {"domain": self.domain, "pool": pool, "disk": disk, "version": version, "full": full}

    def _has(self, entry: dict[str, Any]) -> bool:
        if entry["domain"] != self.domain:
            return True
        versions = self.disks.get(entry["disk"], {}) if entry["disk"] else self.machines
        return entry["version"] in versions

    def _full(self, version: str) -> bool:
        return not any(self.disks[name][version]["base"] for name in self.parts(version))


class HostArchive(Archive):
    """An archive on an FTP host."""

    def __init__(self, context: SimulatorContext, domain: str, address: str) -> None:
        self.address = address
        place = f"{context.target.namespace}/{domain}"
        super().__init__(context, f"remotes:{address}/{place}", f"on FTP host {address}", domain)
        self._hosts = f"hosts:{place}"

    def save(self) -> int:
        """Write it back, and the list of hosts that have something; returns by how many backups it grew."""
        grown = super().save()
        archives = self.context.get(f"server:{self.address}")["archives"]
        hosts = [each for each in self.context.get(self._hosts) or [] if each != self.address]
        archives.pop(self.key, None)
        if len(self):
            archives[self.key] = [self.context.target.namespace, self.domain]
            hosts.append(self.address)
        self.context.put(self._hosts, hosts or None)
        return grown


def log_in(context: SimulatorContext, *, known: bool) -> str:
    """The address of the named FTP host. Refuses a wrong password or, with ``known``, a host without backups."""
    address, user = f"{context.text('remote')}:{context.text('port')}", context.text("username")
    secret = digest(context.text("password"), address, user)
    server = context.get(f"server:{address}")
    if server is None:
        if known:
            refuse(TOOL, f"FTP host {address} has no backups")
        context.put(f"server:{address}", {"user": user, "password": secret, "archives": {}})
    elif (server["user"], server["password"]) != (user, secret):
        refuse(TOOL, f"FTP host {address}: 530 Login incorrect")
    return address


def host_with(context: SimulatorContext, domain: str, version: str, disk: str) -> str:
    """The address of the one FTP host with a backup, for operations that name none; refuses where there are several."""
    found = []
    for address in context.get(f"hosts:{context.target.namespace}/{domain}") or []:
        archive = HostArchive(context, domain, address)
        if version in (archive.disks.get(disk, {}) if disk else archive.machines):
            found.append(address)
    if not found:
        refuse(TOOL, f"{f'disk {disk} of ' if disk else ''}VM {domain} has no backup {version} on any FTP host")
    if len(found) > 1:
        refuse(TOOL, f"backup {version} is on several FTP hosts, and none of {', '.join(found)} was named")
    return str(found[0])


def forget_server(context: SimulatorContext, address: str) -> None:
    """Delete all archives of an FTP host, and who its user is."""
    for key, (namespace, domain) in context.get(f"server:{address}")["archives"].items():
        context.put(key, None)
        hosts = f"hosts:{namespace}/{domain}"
        context.put(hosts, [each for each in context.get(hosts) if each != address] or None)
    context.put(f"server:{address}", None)
