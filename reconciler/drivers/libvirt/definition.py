"""Which definitions of a domain an operation changes, and how the one of the next start is changed.

The flags are live, config, current and persistent. A paused domain counts as running. Without a flag, or with
``current``, the running domain is changed if there is one, else the definition of the next start.
"""

from __future__ import annotations

from typing import Any

import libvirt

from reconciler.drivers.libvirt.binding import VirDomain
from reconciler.drivers.libvirt.context import LibvirtContext
from reconciler.drivers.libvirt.host import config_of, live_of
from reconciler.drivers.libvirt.xml_json import Element, text_of
from reconciler.drivers.operation import LIBVIRT, refuse

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


def domain_of(context: LibvirtContext) -> Any:
    """The domain of the target, as libvirt object."""
    return context.host.domain(context.target.name)


def require_running(context: LibvirtContext, domain: VirDomain) -> None:
    """Refuse a domain that is shut off."""
    if not domain.isActive():
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is not running")


def require_stopped(context: LibvirtContext, domain: VirDomain, what: str) -> None:
    """Refuse a domain that runs; ``what`` cannot be done then."""
    if domain.isActive():
        refuse(LIBVIRT, f"Requested operation is not valid: cannot {what}: domain {context.target.name} is active")


def scope(context: LibvirtContext, domain: VirDomain) -> int:
    """The definitions to change, as libvirt's flags."""
    runs = bool(domain.isActive())
    live, config = context.flag("live") or context.flag("hotpluggable"), context.flag("config")
    if context.flag("persistent"):
        live, config = live or runs, True
    elif not (live or config):
        live, config = runs, not runs
    if live:
        require_running(context, domain)
    return (LIVE if live else 0) | (CONFIG if config else 0)


def definitions(domain: VirDomain, flags: int) -> list[tuple[int, Element]]:
    """Each definition to change with its flag, the running one first."""
    found = [(LIVE, live_of(domain))] if flags & LIVE else []
    return [*found, (CONFIG, config_of(domain))] if flags & CONFIG else found


def definition_only(context: LibvirtContext, domain: VirDomain, what: str) -> Element:
    """The definition of the next start, for what cannot be changed on a running domain; refuses the flag live."""
    if context.flag("live"):
        require_running(context, domain)
        refuse(LIBVIRT, f"Requested operation is not valid: cannot change {what} of an active domain")
    return config_of(domain)


def redefine(context: LibvirtContext, definition: Element) -> None:
    """Store a definition that was read with ``config_of``: UUID, addresses and NVRAM are in it, and stay."""
    context.host.connection.defineXML(text_of(definition))
