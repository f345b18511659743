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
    BRIDGE_VLAN_REMOVAL = 7, "A bridge has one VLAN: the old one goes before the new one is set."
    NETWORK_SETTINGS = 8, "What machines find on their network is set before they use it."
    POOL_AUTOSTART = 9, "A pool that does not start still says whether it is to start with its node."

    RESUME = 10, "A paused guest neither shuts down nor releases a device."
    POWER_DOWN = 11, "Changes to a stopped guest are the safe ones; up to here it is decided whether it runs."

    ACL_REMOVAL = 12, "What a switch holds for a NIC goes before the NIC, by the values it was set with."
    QOS_RULE_REMOVAL = 13, "As with rules of access: the limit is found by the NIC that is still there."
    FLOATING_IP_REMOVAL = 14, "The address is bound to the NIC's own, and is free for others from here on."
    PORT_VLAN_REMOVAL = 15, "The port is named by the NIC that is still there."
    POOL_STATE = 16, "A pool starts and stops with the settings that it is to have."
    DISK_REMOVAL = 20, "Removing a part makes room for a new one: targets, addresses, the disk itself."
    NIC_REMOVAL = 21, "The NIC is removed when nothing on its switch refers to it any more."
    DEVICE_REMOVAL = 22, "A device of the host is free for another guest when it is unplugged."
    PASSTHROUGH_REMOVAL = 23, "The same for devices that are named by their place on a bus."

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
    QOS_RULE = 51, "A limit of the switch names a NIC, which is plugged in by now."
    FLOATING_IP = 52, "It is bound to the address of a NIC, which is plugged in by now."
    PORT_VLAN = 53, "The port of a bridge exists once its NIC is plugged in."
    CONSOLE = 54, "What depends on the old kind of console is gone by now."
    REDIRECTION_ON = 55, "Redirection needs a spice console, so it comes after the console."

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
    def destroys(self) -> bool:
        """Whether a change in this phase loses data, and so waits for all other steps of the plan."""
        return self >= Phase.SNAPSHOT_LOSS
