"""The Open vSwitch of the host, in whose database libvirt enters the ports of NICs, as ``ovs-vsctl`` knows it."""

from __future__ import annotations

import subprocess

from reconciler.drivers.operation import TOOL, refuse

_PATIENCE = 10  # seconds that the database may take to answer

# The datapath that forwards packets in user space. It does not complete the checksums that a sender leaves to its card.
_USER_SPACE = "netdev"


def forwards_in_user_space(bridge: str) -> bool:
    """Whether packets of a bridge are forwarded in user space; refuses what is no bridge of Open vSwitch."""
    try:
        parent = _ovs_vsctl("br-to-parent", bridge)  # a bridge that is a VLAN of another one has no datapath of its own
        return _ovs_vsctl("get", "Bridge", parent, "datapath_type").strip('"') == _USER_SPACE
    except FileNotFoundError:
        refuse(TOOL, f"{bridge} is no bridge of Open vSwitch: ovs-vsctl is not installed on this host")
    except subprocess.CalledProcessError as error:
        said = str(error.stderr).strip().removeprefix("ovs-vsctl: ")
        refuse(TOOL, f"{bridge} is no bridge of Open vSwitch on this host: {said}")


def _ovs_vsctl(*words: str) -> str:
    """What ``ovs-vsctl`` prints. Raises ``CalledProcessError`` where it fails, or the database does not answer."""
    command = ["ovs-vsctl", f"--timeout={_PATIENCE}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
