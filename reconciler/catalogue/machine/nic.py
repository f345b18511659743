"""NICs of a machine."""

from __future__ import annotations

from reconciler.catalogue.common import (
    CONFIG,
    CURRENT,
    INBOUND,
    IP,
    LIVE,
    OUTBOUND,
    PERSISTENT,
    choice,
    document_form,
    mac,
    text,
)
from reconciler.catalogue.machine.state import EXISTS
from reconciler.catalogue.operation import Impact, Limit, LimitSource, Operation, Verb
from reconciler.model.kinds import MACHINE

BRIDGE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
MODEL = r"(?:virtio|e1000|rtl8139)"
OTHER_MODEL = r"(?<=,)model=(?!virtio)[a-z0-9]+"  # uni-virt gives every guest virtio (wire format 6.2)

_BRIDGED = ("bridge", "l2bridge", "l3bridge")
_NIC_TYPES = (*_BRIDGED, "network")
_TYPE = Limit(LimitSource.DOCUMENT, enum=_BRIDGED)  # libvirt's own networks are no type of the document

ON_A_BRIDGE = document_form(r"(?!type=network,).*", "a NIC of type bridge, l2bridge or l3bridge")

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "UnplugNIC", "1.6", Verb.UPDATE,
        "Take away a NIC.",
        (
            CURRENT,
            PERSISTENT,
            CONFIG,
            LIVE,
            choice("type", "How the NIC is connected.", _NIC_TYPES, "l3bridge", limits=(_TYPE,)),
            mac("mac", "The NIC."),
        ),
        needs=(EXISTS, "the VM has the NIC"),
        leaves="the NIC is gone from the VM",
        fields=("nics",),
        running=Impact.INTERRUPT,
    ),
    Operation(
        MACHINE, "PlugNIC", "1.19", Verb.UPDATE,
        "Give a VM one more NIC.",
        (
            CURRENT,
            PERSISTENT,
            CONFIG,
            LIVE,
            INBOUND,
            text(
                "source",
                "The bridge, or the network of libvirt; for l3bridge also the address and the switch; last the card, "
                "as at creation: the document of the API leaves it out here, and another agent may give the card that "
                "it always gives.",
                rf"source={BRIDGE_NAME}(?:,ip={IP})?(?:,switch={BRIDGE_NAME})?(?:,model={MODEL})?",
                "source=br-int,ip=192.168.5.2,switch=web-net",
                form="write source=BRIDGE, of type network source=NETWORK, for l3bridge then ,ip=ADDRESS and "
                ",switch=NETWORK, and last ,model=CARD",
            ),
            choice(
                "type",
                "virbr0, an OVS bridge, an OVS bridge with OVN, or a network of libvirt.",
                _NIC_TYPES,
                "l3bridge",
                limits=(_TYPE,),
            ),
            mac("mac", "Its address; type bridge may not honour it."),
            OUTBOUND,
        ),
        needs=(EXISTS, "the network exists"),
        leaves="the VM has the NIC",
        fields=("nics",),
        running=Impact.LIVE,
        univirt_ignores=(("source", OTHER_MODEL),),
    ),
    Operation(
        MACHINE, "TuneNICQoS", "1.28", Verb.UPDATE,
        "Limit how fast a VM uses one of its NICs.",
        (CURRENT, CONFIG, LIVE, INBOUND, mac("_interface", "The NIC, by its MAC address."), OUTBOUND),
        needs=(EXISTS, "the VM has the NIC"),
        leaves="the NIC has the limits",
        fields=("nics.qos",),
        running=Impact.INTERRUPT,
        univirt_names=(("_interface", "interface"),),
    ),
)
# fmt: on
