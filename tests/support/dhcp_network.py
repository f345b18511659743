"""A network of libvirt with a DHCP server, for as long as the block runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import NamedTemporaryFile

from support.libvirtd import virsh

NAME, BRIDGE = "office", "br-office"
FIRST, LAST = "192.168.99.50", "192.168.99.60"
# Mode open: libvirt adds no rules to a packet filter that may not be there.
_DEFINITION = f"""<network><name>{NAME}</name><forward mode='open'/><bridge name='{BRIDGE}' stp='off' delay='0'/>
<ip address='192.168.99.1' netmask='255.255.255.0'><dhcp><range start='{FIRST}' end='{LAST}'/></dhcp></ip></network>"""


def missing() -> str:
    """What the server lacks here; empty if nothing."""
    there = shutil.which("dnsmasq") or Path("/usr/sbin/dnsmasq").exists()
    return "" if there else "dnsmasq is not installed: make libvirt"


class DhcpNetwork:
    """``lease`` tells what it gave, asked independently of the driver."""

    def __enter__(self) -> DhcpNetwork:
        with NamedTemporaryFile("w", suffix=".xml") as definition:
            definition.write(_DEFINITION)
            definition.flush()
            virsh("net-create", definition.name)
        return self

    def __exit__(self, *exc: object) -> None:
        virsh("net-destroy", NAME)

    def lease(self, mac: str) -> str:
        """The address of a MAC; empty if it has none."""
        lines = virsh("net-dhcp-leases", NAME, "--mac", mac).splitlines()
        return next((word.partition("/")[0] for line in lines for word in line.split() if "192.168.99." in word), "")
