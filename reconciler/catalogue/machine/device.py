"""Devices of the node that a machine gets, and USB redirection."""

from __future__ import annotations

from reconciler.catalogue.common import CONFIG, CURRENT, LIVE, PERSISTENT, UNKNOWN_KEY, choice, number, path, text
from reconciler.catalogue.machine.state import EXISTS
from reconciler.catalogue.operation import Impact, Operation, Verb
from reconciler.model.kinds import MACHINE

_FILE = path("file", "XML file on the node that describes the device.", "/var/lib/libvirt/devices/gpu.xml")

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "UnplugDevice", "1.5", Verb.UPDATE,
        "Take away a device that an XML file describes.",
        (CURRENT, PERSISTENT, CONFIG, LIVE, _FILE),
        needs=(EXISTS, "the file is on the VM's node"),
        leaves="the device is gone from the VM",
        fields=("devices",),
        running=Impact.INTERRUPT,
    ),
    Operation(
        MACHINE, "PlugDevice", "1.12", Verb.UPDATE,
        "Give a VM a device that an XML file describes, with everything libvirt can say about it.",
        (CURRENT, PERSISTENT, CONFIG, LIVE, _FILE),
        needs=(EXISTS, "the file is on the VM's node"),
        leaves="the VM has the device",
        fields=("devices",),
        running=Impact.LIVE,
    ),
    Operation(
        MACHINE, "PassthroughDevice", "1.52", Verb.UPDATE,
        "Hand a USB or PCI device of the node to a VM, or take it back.",
        (
            choice("action", "Hand over or take back.", ("add", "remove")),
            text("bus_num", "Bus: 01 in the PCI address 01:00.0.", r"[0-9a-fA-F]{1,4}", "01"),
            text("sub_bus_num", "Device of a PCI address: 00 in 01:00.0. Sent for USB too.", r"[0-9a-fA-F]{1,4}", "00"),
            text("dev_num", "Function of a PCI address: 0 in 01:00.0; for USB the device.", r"[0-9a-fA-F]{1,4}", "0"),
            LIVE,
            choice("dev_type", "Kind of device.", ("usb", "pci"), "pci"),
        ),
        needs=(EXISTS, "no other VM has the device"),
        leaves="the VM has the device, or no longer",
        fields=("passthrough",),
        running=Impact.INTERRUPT,
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        MACHINE, "RedirectUsb", "1.53", Verb.UPDATE,
        "Switch USB redirection on or off; takes effect at the next start.",
        (
            choice("action", "On or off.", ("on", "off")),
            number("number", "How many devices at once; 4 unless told.", 1, 8, "4", required=False),
        ),
        needs=(EXISTS, "the console is spice"),
        leaves="the definition has the redirection, or no longer",
        fields=("usbRedirection",),
        univirt=UNKNOWN_KEY,
    ),
)
# fmt: on
