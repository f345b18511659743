"""The phases in which the steps of one resource run, in order.

The numbers are part of the ids of steps; between two phases only their order means anything.
"""

from __future__ import annotations

from enum import IntEnum


class Phase(IntEnum):
    """When a step runs among those of its resource, and why then: ``reason`` is the sentence."""

    reason: str

    def __new__(cls, number: int, reason: str) -> Phase:
        member = int.__new__(cls, number)
        member._value_ = number
        member.reason = reason
        return member

    MARK = -1, "The owner of a resource is written on it before anything else is done to it."
    CREATION = 0, "Nothing can be changed of what does not exist."

    DISK_MOVE = 4, "A disk grows and is snapshotted in the pool where it stays."
    DISK_GROWTH = 5, "A disk in use grows through its machine while that runs, so before the machine is stopped."
    DISK_SNAPSHOT = 6, "A snapshot inside a disk is of the size that is declared."
    BRIDGE_VLAN_REMOVAL = 7, "A bridge is out of its VLAN before machines use it without one."
    NETWORK_SETTINGS = 8, "What machines find on their network is set before they use it."
    POOL_AUTOSTART = 9, "A pool that does not start still says whether it is to start with its node."

    RESUME = 10, "A paused guest neither shuts down nor releases a device."
    POWER_DOWN = 11, "Changes to a stopped guest are the safe ones; up to here it is decided whether it runs."

    FLOATING_IP_REMOVAL = 12, "The outside address leads nowhere before anything that protects its NIC is changed."
    QOS_RULE_HANDOVER = 13, "A limit that another NIC takes over goes first: a switch has each limit once."
    QOS_RULE = 14, "A limit of the switch is set before an old one goes, and before its NIC is plugged in."
    QOS_RULE_REMOVAL = 15, "It goes with the values that are noted for a NIC, so before the NIC."
    POOL_STATE = 16, "A pool starts and stops with the settings that it is to have."
    DISK_REMOVAL = 20, "Removing a part makes room for a new one: targets, addresses, the disk itself."
    NIC_REMOVAL = 21, "Its rules stay until the NIC is unplugged: with the port they go, and nothing is open before."
    DEVICE_REMOVAL = 22, "A device of the host is free for another guest when it is unplugged."
    PASSTHROUGH_REMOVAL = 23, "The same for devices that are named by their place on a bus."
    PORT_VLAN_REMOVAL = 24, "A NIC that goes stays in its VLAN until it is unplugged."

    CPU_MAXIMUM = 30, "The number of CPUs may only go up to their maximum."
    CPU_COUNT = 31, "Within the maximum that was set before it."
    MEMORY_MAXIMUM = 32, "Memory may only grow up to its maximum."
    MEMORY_SIZE = 33, "Within the maximum that was set before it."

    DISK_PLUG = 40, "The old disk has left its target by now."
    NIC_PLUG = 41, "The old NIC has given its addresses back by now."
    DISK_LIMITS = 42, "Limits are set on a disk that is plugged in."
    NIC_LIMITS = 43, "Limits are set on a NIC that is plugged in."
    MEDIUM = 44, "Drives are there from the creation of the machine on; the order to others does not matter."
    BOOT_ORDER = 45, "It names disks and drives, which are there by now."
    AUTOSTART = 46, "It concerns the next start of the node, so any time will do."
    DEVICE_PLUG = 47, "Devices that went have made room by now."
    PASSTHROUGH_PLUG = 48, "The same for devices that are named by their place on a bus."
    REDIRECTION_OFF = 49, "Redirection needs a spice console, so it goes before the console becomes another one."
    ACL = 50, "A rule of access names a NIC, which is plugged in by now."
    ACL_REMOVAL = 51, "An old rule goes when the rules that take its place are there."
    PORT_VLAN = 53, "The port of a bridge exists once its NIC is plugged in."
    CONSOLE = 54, "What depends on the old kind of console is gone by now."
    REDIRECTION_ON = 55, "Redirection needs a spice console, so it comes after the console."
    FLOATING_IP = 57, "An outside address leads to a NIC when all that protects the NIC is there."

    CLONE = 60, "A copy is of its source as it is declared, with the changes that were made before."

    RESTART_RESUME = 80, "A paused guest does not shut down: it is resumed first."
    RESTART_STOP = 81, "A restart takes effect for all that was written before it."
    RESTART_START = 82, "The guest starts with what was written."
    RESTART_SUSPEND = 83, "It goes back to what it was before the restart."

    POWER_UP = 90, "A guest starts with all that it is to have."
    GUEST_ACCOUNT = 91, "What is set inside a guest needs the guest to run, and not to be paused."
    SUSPEND = 92, "Only what runs can be suspended."
    MIGRATION = 94, "Everything else is done where the machine was when the plan was made."
    REQUEST = 95, "An operation on request finds the resource as it is declared."

    DELETION = 100, "The users of a resource have released it by now; each further step counts on from here."
    SNAPSHOT_LOSS = 120, "What destroys data runs when everything else has ended well."

    @property
    def protects(self) -> bool:
        """Whether what comes in this phase keeps traffic from a NIC or within limits."""
        return self in (Phase.QOS_RULE, Phase.ACL, Phase.PORT_VLAN)

    @property
    def exposes(self) -> bool:
        """Whether a NIC is open to more traffic after this phase, and so needs that what protects it came before."""
        return self in (Phase.NIC_PLUG, Phase.ACL_REMOVAL, Phase.QOS_RULE_REMOVAL, Phase.FLOATING_IP)

    @property
    def destroys(self) -> bool:
        """Whether a change in this phase loses data, and so waits for all other steps of the plan."""
        return self >= Phase.SNAPSHOT_LOSS
