"""Resources as in wire format 5, and what is damaged."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from reconciler.clusters.base import Listing
from reconciler.model.kinds import DISK, KINDS, MACHINE
from reconciler.model.resource import Resource
from reconciler.observe.observed import Observation, observation

GIB = 1024**3


def resource(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> Resource:
    labels = {"host": "node22"}
    return {
        "apiVersion": "doslab.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", "labels": labels, "resourceVersion": "7", **metadata},
        "spec": {"nodeName": "node22", **spec},
    }


DOMAIN: dict[str, Any] = {
    "_id": 3,
    "_type": "kvm",
    "name": {"text": "vm01"},
    "memory": {"_unit": "KiB", "text": 4194304},
    "currentMemory": {"_unit": "KiB", "text": 2097152},
    "vcpu": {"_placement": "static", "_current": 2, "text": 4},
    "cpu": {"topology": {"_sockets": 1, "_cores": 4, "_threads": 1}},
    "devices": {
        "disk": [
            {
                "_type": "file",
                "_device": "disk",
                "driver": {"_name": "qemu", "_type": "qcow2", "_cache": "none"},
                "source": {"_file": "/var/lib/libvirt/pool1/disk01/disk01", "_index": 1},
                "target": {"_dev": "vda", "_bus": "virtio"},
                "boot": {"_order": 1},
                "iotune": {"read_iops_sec": {"text": 400}},
            },
            {"_type": "file", "_device": "cdrom", "target": {"_dev": "sda", "_bus": "sata"}, "readonly": {}},
        ],
        "_interface": [
            {
                "_type": "bridge",
                "mac": {"_address": "52:54:00:AA:BB:CC"},
                "source": {"_bridge": "br-int"},
                "virtualport": {"_type": "openvswitch"},
                "bandwidth": {"inbound": {"_average": 102400}},
            }
        ],
        "graphics": [{"_type": "vnc", "_port": 5900, "_listen": "0.0.0.0"}],
    },
}


def machine(domain: dict[str, Any], power: str = "Running", **metadata: Any) -> Resource:
    return resource(MACHINE, "vm01", {"powerstate": power, "domain": domain}, **metadata)


def volume(**more: Any) -> Resource:
    given = {"current": "/var/lib/libvirt/pool1/disk01/disk01", "pool": "pool1", "capacity": "10 GB", "vm": "", **more}
    return resource(DISK, "disk01", {"volume": given})


def seen(*resources: Resource) -> Observation:
    listings = {kind: Listing([each for each in resources if each["kind"] == kind], "9") for kind in KINDS}
    return observation(listings)


scalars = st.none() | st.booleans() | st.integers(-5, 10**12) | st.text(max_size=6)
junk = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner))
