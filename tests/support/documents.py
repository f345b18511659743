"""Manifests of every kind that refer to one another in every way there is, as documents that a test may change."""

from __future__ import annotations

from typing import Any

import yaml

DOCUMENTS = """
- {kind: VirtualMachinePool, name: disks, type: localfs, url: /var/lib/libvirt/disks}
- {kind: VirtualMachinePool, name: images, type: localfs, url: /var/lib/libvirt/images, content: vmdi}
- {kind: VirtualMachineNetwork, name: web-net,
   switch: {subnet: 192.168.5.0/24, gateway: 192.168.5.1, dhcp: 192.168.5.2, bridge: br-ext}}
- {kind: VirtualMachineNetwork, name: ext-net, switch: {subnet: 10.10.0.0/24, gateway: 10.10.0.1, dhcp: 10.10.0.2}}
- {kind: VirtualMachineDisk, name: web-1-root, pool: disks, capacity: 10Gi}
- {kind: VirtualMachineDisk, name: base, pool: disks, capacity: 10Gi}
- {kind: VirtualMachineDisk, name: system, pool: disks, capacity: 10Gi}
- {kind: VirtualMachineDisk, name: copy, pool: disks, from: {disk: base}}
- {kind: VirtualMachineDiskImage, name: template, pool: images, from: {disk: base}}
- {kind: VirtualMachineDisk, name: made, pool: disks, from: {image: template}}
- {kind: VirtualMachineImage, name: golden, disk: system, pool: images}
- {kind: VirtualMachine, name: db-1, osVariant: debian12, cpu: {count: 1}, memory: {size: 1Gi}, from: {image: golden},
   disks: [{target: vda, disk: copy}], nics: [{mac: "52:54:00:00:00:02", type: bridge, source: virbr0}]}
- {kind: VirtualMachine, name: web-1, osVariant: debian12, cpu: {count: 1}, memory: {size: 1Gi},
   disks: [{target: vda, disk: web-1-root}],
   nics: [{mac: "52:54:00:00:00:01", type: l3bridge, source: br-int, network: web-net, ip: 192.168.5.7,
           floatingIP: {address: 10.10.0.9/24, externalNetwork: ext-net}}]}
- {kind: VirtualMachineDiskSnapshot, name: base-1, disk: base}
- {kind: VirtualMachineSnapshot, name: web-1-1, virtualMachine: web-1, disks: [{target: vda}]}
"""


def documents() -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "gitops.doslab.io/v1alpha1",
            "kind": each.pop("kind"),
            "metadata": {"name": each.pop("name")},
            "spec": {"nodeName": "node22", **each},
        }
        for each in yaml.safe_load(DOCUMENTS)
    ]
