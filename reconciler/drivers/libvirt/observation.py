"""The observed spec of a resource on the host, as the wire has it (wire format 5.1 to 5.6)."""

from __future__ import annotations

import time
from typing import Any

import libvirt

from reconciler.drivers import domain as domains
from reconciler.drivers.base import Spec
from reconciler.drivers.libvirt.host import (
    HostState,
    content_of,
    directory_of,
    is_active,
    is_reachable,
    live_of,
    path_of,
    share_of,
    shown_of,
    snapshots_in,
    type_of,
)
from reconciler.drivers.libvirt.image_access import format_of
from reconciler.drivers.libvirt.pause import paused_by
from reconciler.drivers.libvirt.qemu_img import info
from reconciler.drivers.libvirt.xml_json import Element, parsed, to_wire
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model import quantity
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, MACHINE, POOL, SNAPSHOT
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import DEFAULT_NAMESPACE, ResourceId
from reconciler.model.wire import ADDRESSES, NEXT_START, PAUSED_BY

_POWER = {
    libvirt.VIR_DOMAIN_NOSTATE: "Running",
    libvirt.VIR_DOMAIN_RUNNING: "Running",
    libvirt.VIR_DOMAIN_BLOCKED: "Running",
    libvirt.VIR_DOMAIN_PAUSED: "Paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "Shutdown",
    libvirt.VIR_DOMAIN_SHUTOFF: "Shutdown",
    libvirt.VIR_DOMAIN_CRASHED: "Crashed",
}
# What was deleted between being found and being read does not exist.
_GONE = {
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_STORAGE_POOL,
    libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
}


def observe(host: HostState, id: ResourceId) -> Spec | None:
    """The observed spec of a resource, without status; None if it does not exist.

    Raises ``OperationFailed`` where that cannot be told.
    """
    show = _SHOWN.get(id.kind)
    if show is None or id.namespace != DEFAULT_NAMESPACE:
        return None
    try:
        shown = show(host, id.name)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _GONE:
            return None
        raise OperationFailed("LibvirtError", f"{id} cannot be read: {error}") from error
    return None if shown is None else {"nodeName": host.node, **shown}


def _pool(host: HostState, name: str) -> Spec | None:
    pool = host.pool(name)
    if pool is None:
        return None
    active, share = is_active(pool), share_of(pool)
    server, _, path = share.partition(":")
    shown = {
        "pool": name,
        "type": type_of(pool),
        "url": share or str(directory_of(pool)),
        "content": content_of(pool),
        "state": "active" if active else "inactive",
        "autostart": bool(pool.autostart()),
        "capacity": quantity.rounded(pool.info()[1]) if active else "",
        "sourceHost": server,
        "sourcePath": path,
    }
    if not is_reachable(pool):
        del shown["content"]  # the mark cannot be seen
    return {"pool": shown}


def _machine(host: HostState, name: str) -> Spec | None:
    domain = host.domain(name)
    if domain is None:
        return None
    state, definition = domain.state()[0], live_of(domain)
    power, live = _POWER.get(state, "Unknown"), _wire(definition)
    shown: dict[str, Any] = {"powerstate": power, "domain": live}
    if "_id" not in live:
        return shown
    if why := paused_by(domain):
        shown[PAUSED_BY] = why
    if addresses := host.addresses.of(definition, host.leases(), runs=state == libvirt.VIR_DOMAIN_RUNNING):
        shown[ADDRESSES] = addresses
    return {**shown, NEXT_START: domains.next_start(live, _wire(shown_of(domain)))}


def _wire(definition: Element) -> dict[str, Any]:
    for disk in definition.iterfind("devices/disk"):
        if not path_of(disk):  # an empty drive, of which libvirt may show an index of nothing
            for source in disk.findall("source"):
                disk.remove(source)
    return to_wire(definition)


def _disk(host: HostState, name: str) -> Spec | None:
    found = host.volume(DISK, name)
    if found is None:
        _require_reachable_pools(host, DISK, name)
        return None
    pool, config = found
    known = info(config["current"], format_of(config))
    shown: dict[str, Any] = {key: value for key, value in config.get("volume", {}).items() if key != "seed"}
    shown |= {"current": config["current"], "capacity": quantity.rounded(int(known["virtual-size"]))}
    shown["vm"] = next((domain.name() for domain, _ in host.users(config["current"])), "")
    below = known.get("full-backing-filename", "")
    if below.startswith(f"{directory_of(pool) / name}/"):
        shown["full_backing_filename"] = below
    if snapshots := known.get("snapshots"):
        shown["snapshots"] = [
            {
                "Name": each["name"],
                "Date": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each["date-sec"])),
                "State": "running" if each["vm-state-size"] else "shutoff",
                "Current": each["name"] == config.get("snapshot"),
            }
            for each in snapshots
        ]
    return {"volume": shown}


def _disk_image(host: HostState, name: str) -> Spec | None:
    found = host.volume(DISK_IMAGE, name)
    if found is None:
        _require_reachable_pools(host, DISK_IMAGE, name)
        return None
    return {"volume": {"current": found[1]["current"], **found[1].get("volume", {})}}


def _disk_snapshot(host: HostState, name: str) -> Spec | None:
    found = host.disk_snapshot(name)
    if found is None:
        _require_reachable_pools(host, DISK_SNAPSHOT, name)
        return None
    disk, config = found
    kept = snapshots_in(config)[name]
    return {
        "volume": {
            "disk": disk,
            "pool": kept["pool"],
            "snapshot": name,
            "format": "qcow2",
            "domain": kept["domain"],
            "vm": kept["domain"],
            "current": kept["file"],
            "full_backing_filename": kept["base"],
        }
    }


def _require_reachable_pools(host: HostState, kind: str, name: str) -> None:
    """Refuse to say that a resource is gone which may be in a pool that cannot be read."""
    hidden = [pool.name() for pool in host.pools() if not is_reachable(pool)]
    if hidden and ResourceId(kind, name) not in host.removed:
        why = "its directory is not there, or is empty as if nothing were mounted on it"
        refuse(STORAGE, f"{kind}/{name} cannot be looked for in pool {', '.join(hidden)}: {why}")


def _snapshot(host: HostState, name: str) -> Spec | None:
    snapshot = host.snapshot(name)
    if snapshot is None:
        return None
    return {"domainsnapshot": to_wire(parsed(snapshot.getXMLDesc()))}


_SHOWN = {
    POOL: _pool,
    MACHINE: _machine,
    DISK: _disk,
    DISK_IMAGE: _disk_image,
    DISK_SNAPSHOT: _disk_snapshot,
    SNAPSHOT: _snapshot,
}
