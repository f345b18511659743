"""The console of a machine: API sections 1.31, 1.32 and 1.54.

``console`` of a machine: the digests of the passwords its running domain (``live``) and its definition
(``config``) ask for; none, no password. The wire shows neither.
"""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.request import LIBVIRT, refuse
from reconciler.drivers.simulator.act import Act, Entity, key_of
from reconciler.drivers.simulator.effect import effect
from reconciler.drivers.simulator.scope import running, scope
from reconciler.drivers.simulator.secret import digest
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId


def protect(machine: Entity, id: ResourceId, which: str, password: str) -> None:
    """Have a console ask for a password, or with an empty one for none."""
    known = machine["hidden"].setdefault("console", {})
    known.pop(which, None)
    if password:
        known[which] = digest(password, key_of(id))


def kept(machine: Entity) -> dict[str, str]:
    """What a copy of the definition has to take along to ask for the same password."""
    return {which: trace for which, trace in machine["hidden"].get("console", {}).items() if which == "config"}


def started(machine: Entity) -> None:
    """The running domain asks for what its definition says."""
    console = kept(machine)
    machine["hidden"]["console"] = {**console, **({"live": console["config"]} if console else {})}


def stopped(machine: Entity) -> None:
    machine["hidden"]["console"] = kept(machine)


@effect(MACHINE, "SetVncPassword")
def set_password(act: Act) -> None:
    _set(act, act.text("password"))


@effect(MACHINE, "UnsetVncPassword")
def unset_password(act: Act) -> None:
    _set(act, "")


def _set(act: Act, password: str) -> None:
    machine = act.entity
    domains.fits_console("vnc", password)
    live = running(machine)
    for domain in scope(act, machine):
        if all(each["_type"] != "vnc" for each in domains.devices(domain, "graphics")):
            refuse(LIBVIRT, f"unsupported configuration: domain {act.target.name} has no vnc console")
        if domain is live:
            domains.goes_on_asking(act.target.name, "live" in machine["hidden"].get("console", {}), password)
        protect(machine, act.target, "live" if domain is live else "config", password)


@effect(MACHINE, "UpdateGraphic")
def update(act: Act) -> None:
    machine, type = act.entity, act.text("type")
    definition = machine["persistent"]
    if type != "spice" and any(each["_type"] == "spicevmc" for each in domains.devices(definition, "redirdev")):
        refuse(LIBVIRT, f"unsupported configuration: USB redirection needs a spice console on {act.target.name}")
    domains.fits_console(type, act.text("password"))
    listen = next((each["_listen"] for each in domains.devices(definition, "graphics")), "0.0.0.0")
    domains.set_console(definition, type, listen)
    if act.flag("no_password") or "password" in act.parameters:
        protect(machine, act.target, "config", act.text("password"))
