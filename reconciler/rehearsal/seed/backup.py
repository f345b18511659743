"""Backups: those that pools show, and those that operations to come rely on though nothing shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from reconciler.drivers import domain as domains
from reconciler.drivers.simulator import console
from reconciler.drivers.simulator.context import Entity, deep_copy, name_at, stable_uuid
from reconciler.drivers.simulator.secret import digest
from reconciler.drivers.simulator.volume import blank_file, copy_of, state
from reconciler.model.kinds import DISK, MACHINE, POOL
from reconciler.model.quantity import GIB
from reconciler.model.resource import ResourceId
from reconciler.rehearsal.seed.result import SeedResult
from reconciler.rehearsal.seed.storage import archived

_MAKES_HERE = {"BackupVM", "BackupDisk", "PullRemoteBackup"}
_NEEDS_HERE = {
    "RestoreVM",
    "RestoreVMBackup",
    "RestoreDisk",
    "DeleteVMBackup",
    "DeleteVMDiskBackup",
    "PushRemoteBackup",
    "CleanVMBackup",
}
_MAKES_THERE = {"BackupVM", "BackupDisk", "PushRemoteBackup"}
_NEEDS_THERE = {"PullRemoteBackup", "DeleteRemoteBackup", "CleanVMRemoteBackup"}
_KNOWS_HOST = {*_NEEDS_THERE, "DeleteRemoteBackupServer"}
_ANY_HOST = "(assumed):21"


class Call(NamedTuple):
    """An operation to come; of its parameters those that are known by now."""

    target: ResourceId
    operation: str
    parameters: Mapping[str, str | bool]

    def text(self, name: str) -> str:
        value = self.parameters.get(name, "")
        return value if isinstance(value, str) else ""


def expected(bed: SeedResult, calls: Iterable[Call]) -> None:
    """Have the backups exist that these calls rely on and none of them makes."""
    calls = list(calls)
    made_here = {(_place(each), version) for each in calls if each.operation in _MAKES_HERE for version in _of(each)}
    made_there = {
        (_host(each), _domain(bed, each), version)
        for each in calls
        if each.operation in _MAKES_THERE and "remote" in each.parameters
        for version in _of(each)
    }
    for each in calls:
        domain = _domain(bed, each)
        for version in _of(each) if each.operation in _NEEDS_HERE and each.text("pool") else ():
            if (_place(each), version) not in made_here:
                pool = ResourceId(POOL, each.text("pool"), each.target.namespace)
                _have(bed, pool, domain, version, each.text("vol"))
                bed.assume(each.target, f"{pool} has the backup {version} of {domain}")
        if each.operation in _KNOWS_HOST:
            _server(bed, each)
        for version in _of(each) if each.operation in _NEEDS_THERE else ():
            if (_host(each), domain, version) not in made_there and not _is_made(each, made_there, domain, version):
                _have_there(bed, each, domain, version)
                bed.assume(each.target, f"an FTP host has the backup {version} of {domain}")


def _is_made(call: Call, made: Iterable[tuple[str, str, str]], domain: str, version: str) -> bool:
    """Whether a call that names no host finds a backup that is made on one."""
    return "remote" not in call.parameters and any(each[1:] == (domain, version) for each in made)


def _of(call: Call) -> list[str]:
    return [each for each in call.text("version").split(",") if each]


def _place(call: Call) -> tuple[str, str]:
    return call.target.namespace, call.text("pool")


def _host(call: Call) -> str:
    return f"{call.text('remote')}:{call.text('port')}" if "remote" in call.parameters else _ANY_HOST


def _domain(bed: SeedResult, call: Call) -> str:
    """The machine that a backup is filed under."""
    if call.target.kind == DISK and not call.text("domain"):
        disk = bed.find(DISK, call.target.name, call.target.namespace)
        return next((name_at(user) for user in disk["hidden"]["users"]), call.target.name) if disk else ""
    return call.target.name if call.target.kind == MACHINE else call.text("domain")


def _server(bed: SeedResult, call: Call) -> None:
    host, user = _host(call), call.text("username")
    kept = {"user": user, "password": digest(call.text("password"), host, user), "archives": {}}
    bed.world.setdefault(f"server:{host}", kept)


def _have_there(bed: SeedResult, call: Call, domain: str, version: str) -> None:
    host, place = _host(call), f"{call.target.namespace}/{domain}"
    _server(bed, call)
    key = f"remotes:{host}/{place}"
    archive = bed.world.setdefault(key, {"machines": {}, "disks": {}})
    bed.world[f"server:{host}"]["archives"][key] = [call.target.namespace, domain]
    if host not in bed.world.setdefault(f"hosts:{place}", []):
        bed.world[f"hosts:{place}"].append(host)
    if disk := call.text("vol"):
        archive["disks"].setdefault(disk, {})[version] = {}
    else:
        archive["machines"][version] = {}
    fill(bed, archive, call.target.namespace, domain)


def _have(bed: SeedResult, pool: ResourceId, domain: str, version: str, disk: str) -> None:
    archived(bed, pool, domain, version, disk)
    fill(bed, bed.world[f"backups:{pool.namespace}/{pool.name}/{domain}"], pool.namespace, domain, pool.name)


def fill(bed: SeedResult, archive: dict[str, Any], namespace: str, domain: str, pool: str = "") -> None:
    """Put into the backups of an archive what their machine and disks are now, where nothing is in them yet."""
    machine = bed.find(MACHINE, domain, namespace)
    record = _record(bed, machine, domain)
    for version, kept in archive["machines"].items():
        if not kept:
            kept |= deep_copy(record)
            for name in record["disks"].values():
                if version not in archive["disks"].setdefault(name, {}):
                    archive["disks"][name][version] = {}
                    bed.fill(pool, namespace)
    for name, versions in archive["disks"].items():
        for each in versions.values():
            if not each:
                each |= _part(bed, namespace, name, pool)


def _record(bed: SeedResult, machine: Entity | None, domain: str) -> dict[str, Any]:
    if machine is None:
        definition, name = domains.new(domain, stable_uuid(MACHINE, domain)), f"{domain}-vda"
        definition["devices"]["disk"] = [domains.disk(f"/{name}", "vda", format="qcow2", given={})]
        hidden: dict[str, Any] = {"nics": {}, "console": {}}
        disks = {"vda": name}
    else:
        definition = machine["persistent"]
        hidden = {"nics": machine["hidden"]["nics"], "console": console.config_password(machine)}
        disks = {}
        for each in domains.devices(definition, "disk"):
            key = str(bed.world.get(f"file:{domains.path_of(each)}", ""))
            if each["_device"] == "disk" and key.startswith(f"{DISK}/"):
                disks[each["target"]["_dev"]] = name_at(key)
    system = domains.system_disk(definition)
    target = system["target"]["_dev"] if system else "vda"
    return {"definition": definition, **hidden, "system": target, "disks": disks, "all": True}


def _part(bed: SeedResult, namespace: str, name: str, pool: str) -> dict[str, Any]:
    disk = bed.find(DISK, name, namespace)
    if disk is None:
        return {"file": blank_file(10 * GIB, namespace, name), "format": "qcow2", "pool": pool, "base": ""}
    file, format = deep_copy(copy_of(state(disk))), disk["spec"]["volume"]["format"]
    return {"file": file, "format": format, "pool": disk["hidden"]["pool"], "base": ""}


def fill_shown(bed: SeedResult) -> None:
    """The same for every archive that pools show."""
    for key in [key for key in bed.world if key.startswith("backups:")]:
        namespace, pool, domain = key.removeprefix("backups:").split("/")
        fill(bed, bed.world[key], namespace, domain, pool)
