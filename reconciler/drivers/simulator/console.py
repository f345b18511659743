"""The console of a machine: API sections 1.31, 1.32 and 1.54.

``console`` of a machine: the digests of the passwords its running domain (``live``) and its definition
(``config``) ask for; none, no password. The wire shows neither.
"""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.operation import LIBVIRT, refuse
from reconciler.drivers.simulator.context import Entity, SimulatorContext, key_of, operation
from reconciler.drivers.simulator.scope import running, scope
from reconciler.drivers.simulator.secret import digest
from reconciler.model.kinds import MACHINE
from reconciler.model.loopback import CONSOLE_ADDRESS
from reconciler.model.resource import ResourceId


def set_password_digest(machine: Entity, id: ResourceId, which: str, password: str) -> None:
    """Set the password that the console of a definition asks for; an empty one: it asks for none."""
    known = machine["hidden"].setdefault("console", {})
    known.pop(which, None)
    if password:
        known[which] = digest(password, key_of(id))


def config_password(machine: Entity) -> dict[str, str]:
    """The password digest of the definition, by which a copy of it asks for the same password."""
    return {which: trace for which, trace in machine["hidden"].get("console", {}).items() if which == "config"}


def copy_to_live(machine: Entity) -> None:
    """Have the domain that was started ask for the password of its definition."""
    console = config_password(machine)
    machine["hidden"]["console"] = {**console, **({"live": console["config"]} if console else {})}


def drop_live(machine: Entity) -> None:
    """Forget the password of the domain that was stopped."""
    machine["hidden"]["console"] = config_password(machine)


@operation(MACHINE, "SetVncPassword")
def set_password(context: SimulatorContext) -> None:
    _set(context, context.text("password"))


@operation(MACHINE, "UnsetVncPassword")
def unset_password(context: SimulatorContext) -> None:
    _set(context, "")


def _set(context: SimulatorContext, password: str) -> None:
    machine = context.entity
    domains.check_console_password("vnc", password)
    live = running(machine)
    for domain in scope(context, machine):
        if all(each["_type"] != "vnc" for each in domains.devices(domain, "graphics")):
            refuse(LIBVIRT, f"unsupported configuration: domain {context.target.name} has no vnc console")
        if domain is live:
            domains.check_live_password(context.target.name, "live" in machine["hidden"].get("console", {}), password)
        set_password_digest(machine, context.target, "live" if domain is live else "config", password)


@operation(MACHINE, "UpdateGraphic")
def update(context: SimulatorContext) -> None:
    machine, type = context.entity, context.text("type")
    definition = machine["persistent"]
    if type != "spice" and any(each["_type"] == "spicevmc" for each in domains.devices(definition, "redirdev")):
        refuse(LIBVIRT, f"unsupported configuration: USB redirection needs a spice console on {context.target.name}")
    domains.check_console_password(type, context.text("password"))
    listen = next((each["_listen"] for each in domains.devices(definition, "graphics")), CONSOLE_ADDRESS)
    domains.set_console(definition, type, listen)
    if context.flag("no_password") or "password" in context.parameters:
        set_password_digest(machine, context.target, "config", context.text("password"))
