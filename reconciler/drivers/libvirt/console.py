"""The console of a machine: API sections 1.31, 1.32 and 1.54."""

from __future__ import annotations

import libvirt

from reconciler.drivers import domain as domains
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.definition import CONFIG, LIVE, domain_of, redefine, scope
from reconciler.drivers.libvirt.host import config_of
from reconciler.drivers.libvirt.xml_json import from_wire, parsed, text_of
from reconciler.drivers.operation import LIBVIRT, refuse
from reconciler.model.kinds import MACHINE
from reconciler.model.loopback import CONSOLE_ADDRESS


@operation(MACHINE, "SetVncPassword")
def set_password(context: LibvirtContext) -> None:
    _set(context, context.text("password"))


@operation(MACHINE, "UnsetVncPassword")
def unset_password(context: LibvirtContext) -> None:
    _set(context, "")


def _set(context: LibvirtContext, password: str) -> None:
    domain = domain_of(context)
    flags = scope(context, domain)
    changed = []
    for flag, secret in ((LIVE, libvirt.VIR_DOMAIN_XML_SECURE), (CONFIG, libvirt.VIR_DOMAIN_XML_INACTIVE)):
        if not flags & flag:
            continue
        definition = parsed(domain.XMLDesc(secret | libvirt.VIR_DOMAIN_XML_SECURE))
        graphics = next((each for each in definition.iterfind("devices/graphics") if each.get("type") == "vnc"), None)
        if graphics is None:
            refuse(LIBVIRT, f"unsupported configuration: domain {context.target.name} has no vnc console")
        asks = bool(graphics.get("passwd"))
        if flag == LIVE:
            domains.check_live_password(context.target.name, asks, password)
        graphics.attrib.pop("passwd", None)
        if password:
            graphics.set("passwd", password)
        changed.append((flag, text_of(graphics), asks != bool(password) or bool(password)))
    for flag, xml, differs in changed:
        if differs:
            domain.updateDeviceFlags(xml, flag)


@operation(MACHINE, "UpdateGraphic")
def update(context: LibvirtContext) -> None:
    type, definition = context.text("type"), config_of(domain_of(context))
    devices = definition.find("devices")
    assert devices is not None  # libvirt always writes it
    if type != "spice" and any(each.get("type") == "spicevmc" for each in devices.iterfind("redirdev")):
        refuse(LIBVIRT, f"unsupported configuration: USB redirection needs a spice console on {context.target.name}")
    old = devices.findall("graphics")
    listen = next((each.get("listen", "") for each in old), "") or CONSOLE_ADDRESS
    made = from_wire("graphics", {"_type": type, "_port": -1, "_autoport": "yes", "_listen": listen})
    password = context.text("password")
    if not context.flag("no_password") and "password" not in context.parameters:
        password = next((each.get("passwd", "") for each in old), "")
    if password:
        made.set("passwd", password)
    for each in old:
        devices.remove(each)
    devices.append(made)
    redefine(context, definition)
