"""A stack in which every field that a manifest may declare is declared somewhere, and the same without one field."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from reconciler.manifests.desired import Desired
from reconciler.model.problem import InvalidInput
from support.scenario import desired_of
from support.yaml_text import documents_in

STACK = """
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec: {defaults: {nodeName: node22}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {type: localfs, content: vmd, url: /var/lib/libvirt/disks, uuid: 07098ca5f9ff48d0a7d9bd2a4b4a7a0e,
  autostart: true, state: Active, deletionPolicy: Retain}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: shared}
spec: {type: nfs, content: vmdi, url: "10.0.0.9:/export", options: "rw"}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: front}
spec:
  switch: {subnet: 10.1.1.0/24, gateway: 10.1.1.1, dhcp: 10.1.1.2, dnsServers: [10.1.1.1], mtu: 1400,
    bridge: br-out, vlanId: 7, excludeIPs: [10.1.1.100..10.1.1.200], ipv6: false}
  deletionPolicy: Retain
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: outside}
spec: {switch: {subnet: 10.9.1.0/24, gateway: 10.9.1.1, dhcp: 10.9.1.2}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: lan-1}
spec: {bridge: {name: br-lan, nic: eth1, vlan: 10}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: golden}
spec: {pool: disks, capacity: 10Gi, format: qcow2, snapshots: [before], deletionPolicy: Delete}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDiskImage
metadata: {name: debian12}
spec: {pool: shared, from: {disk: golden}, deletionPolicy: Delete}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: root-1}
spec: {pool: disks, from: {image: debian12}, fullCopy: true, capacity: 20Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: root-2}
spec: {pool: disks, from: {disk: golden}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: data-1}
spec: {pool: disks, capacity: 10Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: data-2}
spec: {pool: disks, capacity: 10Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: seed-1}
spec: {pool: disks, cloudInit: {userData: "#cloud-config"}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineImage
metadata: {name: template}
spec: {disk: golden, pool: shared, deletionPolicy: Delete}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDiskSnapshot
metadata: {name: data-1-before}
spec: {disk: data-1, format: qcow2, deletionPolicy: Delete}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  powerState: Running
  stopMode: Force
  uuid: 6d1c1a52-4c6a-4a0e-9d0b-0a4f4f4f4f01
  virtType: xen
  livecd: true
  cputune: {shares: 2048, period: 100000, quota: 50000}
  redirdev: {type: tcp, server: "192.168.1.1:4000"}
  osVariant: debian12
  cpu: {count: 1, cores: 2, sockets: 2, threads: 2, pinning: 0-3}
  memory: {size: 2Gi, max: 4Gi}
  disks:
  - {target: vda, disk: root-1, boot: true, qos: {totalBytes: 1Mi, totalIops: 40}}
  - target: vdb
    disk: data-1
    bus: virtio
    cache: none
    qos: {readBytes: 1Mi, writeBytes: 1Mi, readIops: 40, writeIops: 50}
  - {target: vdc, disk: data-2, mode: readonly}
  - {target: vdd, block: /dev/disk/by-id/wwn-0x5000c500a1b2c3d4, mode: readonly}
  cdroms: [{target: sda, path: /var/lib/libvirt/iso/debian12.iso}]
  nics:
  - mac: "52:54:00:00:00:01"
    type: l3bridge
    source: br-int
    network: front
    ip: 10.1.1.9
    model: e1000
    qos: {inbound: 1Mi, outbound: 2Mi}
    acls: [{direction: from, match: "tcp.dst == 80", priority: 50, action: allow}]
    qosRules: [{direction: to, match: "ip4.dst == 10.1.1.9", priority: 50, rateKbps: 10, burstKbps: 20}]
    floatingIP: {address: 10.9.1.9/24, externalNetwork: outside}
  - {mac: "52:54:00:00:00:02", type: l2bridge, source: br-lan, vlan: 11}
  graphics: {type: spice, listen: 127.0.0.1, passwordFrom: {env: CONSOLE_PASSWORD}}
  devices: [{file: /var/lib/libvirt/devices/watchdog.xml}]
  passthrough: [{type: pci, bus: "03", subBus: "00", device: "1"}]
  usbRedirection: 2
  guest: {user: root, osType: linux, passwordFrom: {env: GUEST_PASSWORD}, sshKeys: [ssh-ed25519 AAAA]}
  bootOrder: [vda, vdb]
  autostart: true
  ha: false
  updatePolicy: {restart: Manual}
  readiness: {tcp: {port: 22, address: 10.1.1.9}, timeout: 60}
  deletionPolicy: Retain
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-2}
spec:
  powerState: Stopped
  osVariant: debian12
  from: {image: template}
  cpu: {count: 1, max: 4}
  memory: {size: 1Gi}
  disks: [{target: vda, disk: root-2, boot: true}]
  cdroms: [{target: sda, path: /var/lib/libvirt/iso/debian12.iso}]
  nics:
  - {mac: "52:54:00:00:00:03", type: l3bridge, source: br-int, network: front, ip: 10.1.1.10}
  - {mac: "52:54:00:00:00:04", type: l3bridge, source: br-int, network: outside}
  graphics: {type: spice}
  readiness: {http: {port: 80, path: /healthz, address: 10.1.1.10, scheme: http}, timeout: 60}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineSnapshot
metadata: {name: web-2-before}
spec:
  virtualMachine: web-2
  external: true
  disks: [{target: vda, mode: external, file: /var/lib/libvirt/disks/root-2/snapshots/before.qcow2}]
  deletionPolicy: Delete
"""

SECRETS = {"CONSOLE_PASSWORD": "staple-8", "GUEST_PASSWORD": "horse-12", "USER_DATA": "#cloud-config"}


def documents() -> list[dict[str, Any]]:
    """The documents of the stack; secrets are in the variables of ``SECRETS``."""
    return documents_in(STACK)


def without(kind: str, path: tuple[str, ...]) -> Desired | None:
    """The stack without a field, wherever a valid stack is left; None if it is nowhere declared so.

    ``path`` is that of a row: ``*`` stands for every element of a list.
    """
    left, found = documents(), False
    for index, document in enumerate(left):
        if document["kind"] != kind:
            continue
        kept = 0  # places where the stack would not be valid without it
        while len(list(holders(left[index]["spec"], path))) > kept:
            shorter = copy.deepcopy(left[index])
            del list(holders(shorter["spec"], path))[kept][path[-1]]
            if is_valid(tried := [*left[:index], shorter, *left[index + 1 :]]):
                left, found = tried, True
            else:
                kept += 1
    return desired_of(left) if found else None


def holders(value: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The mappings that have the field at a path."""
    head, *rest = path
    if head == "*":
        for each in value if isinstance(value, list) else ():
            yield from holders(each, tuple(rest))
    elif isinstance(value, dict) and head in value:
        if rest:
            yield from holders(value[head], tuple(rest))
        else:
            yield value


def is_valid(stack: list[dict[str, Any]]) -> bool:
    try:
        desired_of(stack)
    except InvalidInput:
        return False
    return True
