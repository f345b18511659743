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
from reconciler.rehearsal.seed.storage import add_backup

_CREATES_IN_POOL = {"BackupVM", "BackupDisk", "PullRemoteBackup"}
_NEEDS_IN_POOL = {
    "RestoreVM",
    "RestoreVMBackup",
    "RestoreDisk",
    "DeleteVMBackup",
    "DeleteVMDiskBackup",
    "PushRemoteBackup",
    "CleanVMBackup",
}
_CREATES_ON_HOST = {"BackupVM", "BackupDisk", "PushRemoteBackup"}
_NEEDS_ON_HOST = {"PullRemoteBackup", "DeleteRemoteBackup", "CleanVMRemoteBackup"}
_KNOWS_HOST = {*_NEEDS_ON_HOST, "DeleteRemoteBackupServer"}
_ANY_HOST = "(assumed):21"


class OperationCall(NamedTuple):
    """An operation that will run, with those of its parameters that are known already."""

    target: ResourceId
    operation: str
    parameters: Mapping[str, str | bool]

    def text(self, name: str) -> str:
        """A parameter as text; empty if it is not given."""
        value = self.parameters.get(name, "")
        return value if isinstance(value, str) else ""


def add_expected_backups(result: SeedResult, calls: Iterable[OperationCall]) -> None:
    """Add the backups that these calls need and none of them creates."""
    calls = list(calls)
    created_in_pool = {
        (_pool_key(each), version)
        for each in calls
        if each.operation in _CREATES_IN_POOL
        for version in _versions(each)
    }
    created_on_host = {
        (_host(each), _domain(result, each), version)
        for each in calls
        if each.operation in _CREATES_ON_HOST and "remote" in each.parameters
        for version in _versions(each)
    }
    for each in calls:
        domain = _domain(result, each)
        for version in _versions(each) if each.operation in _NEEDS_IN_POOL and each.text("pool") else ():
            if (_pool_key(each), version) not in created_in_pool:
                pool = ResourceId(POOL, each.text("pool"), each.target.namespace)
                _add_in_pool(result, pool, domain, version, each.text("vol"))
                result.assume(each.target, f"{pool} has the backup {version} of {domain}")
        if each.operation in _KNOWS_HOST:
            _server(result, each)
        for version in _versions(each) if each.operation in _NEEDS_ON_HOST else ():
            if (_host(each), domain, version) not in created_on_host and not _is_created(
                each, created_on_host, domain, version
            ):
                _add_on_host(result, each, domain, version)
                result.assume(each.target, f"an FTP host has the backup {version} of {domain}")


def _is_created(call: OperationCall, made: Iterable[tuple[str, str, str]], domain: str, version: str) -> bool:
    """Whether a backup that a call needs, without naming a host, is created by another call."""
    return "remote" not in call.parameters and any(each[1:] == (domain, version) for each in made)


def _versions(call: OperationCall) -> list[str]:
    return [each for each in call.text("version").split(",") if each]


def _pool_key(call: OperationCall) -> tuple[str, str]:
    return call.target.namespace, call.text("pool")


def _host(call: OperationCall) -> str:
    return f"{call.text('remote')}:{call.text('port')}" if "remote" in call.parameters else _ANY_HOST


def _domain(result: SeedResult, call: OperationCall) -> str:
    """The machine in whose archive a backup is."""
    if call.target.kind == DISK and not call.text("domain"):
        disk = result.find(DISK, call.target.name, call.target.namespace)
        return next((name_at(user) for user in disk["hidden"]["users"]), call.target.name) if disk else ""
    return call.target.name if call.target.kind == MACHINE else call.text("domain")


def _server(result: SeedResult, call: OperationCall) -> None:
    host, user = _host(call), call.text("username")
    kept = {"user": user, "password": digest(call.text("password"), host, user), "archives": {}}
    result.world.setdefault(f"server:{host}", kept)


def _add_on_host(result: SeedResult, call: OperationCall, domain: str, version: str) -> None:
    host, place = _host(call), f"{call.target.namespace}/{domain}"
    _server(result, call)
    key = f"remotes:{host}/{place}"
    archive = result.world.setdefault(key, {"machines": {}, "disks": {}})
    result.world[f"server:{host}"]["archives"][key] = [call.target.namespace, domain]
    if host not in result.world.setdefault(f"hosts:{place}", []):
        result.world[f"hosts:{place}"].append(host)
    if disk := call.text("vol"):
        archive["disks"].setdefault(disk, {})[version] = {}
    else:
        archive["machines"][version] = {}
    fill(result, archive, call.target.namespace, domain)


def _add_in_pool(result: SeedResult, pool: ResourceId, domain: str, version: str, disk: str) -> None:
    add_backup(result, pool, domain, version, disk)
    fill(result, result.world[f"backups:{pool.namespace}/{pool.name}/{domain}"], pool.namespace, domain, pool.name)


def fill(result: SeedResult, archive: dict[str, Any], namespace: str, domain: str, pool: str = "") -> None:
    """Fill the empty backups of an archive with what their machine and disks are now."""
    machine = result.find(MACHINE, domain, namespace)
    record = _record(result, machine, domain)
    for version, kept in archive["machines"].items():
        if not kept:
            kept |= deep_copy(record)
            for name in record["disks"].values():
                if version not in archive["disks"].setdefault(name, {}):
                    archive["disks"][name][version] = {}
                    result.fill(pool, namespace)
    for name, versions in archive["disks"].items():
        for each in versions.values():
            if not each:
                each |= _part(result, namespace, name, pool)


def _record(result: SeedResult, machine: Entity | None, domain: str) -> dict[str, Any]:
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
            key = str(result.world.get(f"file:{domains.path_of(each)}", ""))
            if each["_device"] == "disk" and key.startswith(f"{DISK}/"):
                disks[each["target"]["_dev"]] = name_at(key)
    system = domains.system_disk(definition)
    target = system["target"]["_dev"] if system else "vda"
    return {"definition": definition, **hidden, "system": target, "disks": disks, "all": True}


def _part(result: SeedResult, namespace: str, name: str, pool: str) -> dict[str, Any]:
    disk = result.find(DISK, name, namespace)
    if disk is None:
        return {"file": blank_file(10 * GIB, namespace, name), "format": "qcow2", "pool": pool, "base": ""}
    file, format = deep_copy(copy_of(state(disk))), disk["spec"]["volume"]["format"]
    return {"file": file, "format": format, "pool": disk["hidden"]["pool"], "base": ""}


def fill_shown_backups(result: SeedResult) -> None:
    """``fill`` for every archive that pools show."""
    for key in [key for key in result.world if key.startswith("backups:")]:
        namespace, pool, domain = key.removeprefix("backups:").split("/")
        fill(result, result.world[key], namespace, domain, pool)
