"""Manifests of a fleet of any size: one pool for every 50 machines, a disk and a machine each."""

from __future__ import annotations

from collections.abc import Iterator

POOL = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {{name: pool-{pool:05d}}}
spec: {{nodeName: node{node:02d}, type: localfs, url: /var/lib/libvirt/pool-{pool:05d}, autostart: true}}
"""
DISK = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata:
  name: vm-{vm:06d}-root
spec:
  nodeName: node{node:02d}
  pool: pool-{pool:05d}
  capacity: 20Gi
  format: qcow2
"""
MACHINE = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata:
  name: vm-{vm:06d}
  labels:
    tier: web
spec:
  nodeName: node{node:02d}
  powerState: Running
  osVariant: debian12
  cpu: {{count: 2, max: 4, cores: 4, sockets: 1, threads: 1}}
  memory: {{size: 2Gi, max: 2Gi}}
  disks:
  - target: vda
    disk: vm-{vm:06d}-root
    boot: true
  nics:
  - mac: "52:54:00:{mac}"
    type: bridge
    source: virbr0
    qos: {{inbound: 100Mi, outbound: 100Mi}}
  graphics: {{type: vnc}}
"""


def documents() -> Iterator[str]:
    vm = 0
    while True:
        pool = vm // 50
        if vm % 50 == 0:
            yield POOL.format(pool=pool, node=pool % 16)
        mac = f"{vm >> 16 & 255:02x}:{vm >> 8 & 255:02x}:{vm & 255:02x}"
        for template in (DISK, MACHINE):
            yield template.format(vm=vm, pool=pool, node=pool % 16, mac=mac)
        vm += 1


def disks(count: int) -> str:
    """YAML of a pool and so many disks in it."""
    return "---\n".join((POOL.format(pool=0, node=0), *(DISK.format(vm=vm, pool=0, node=0) for vm in range(count))))


def fleet(count: int) -> str:
    """YAML of exactly ``count`` resources."""
    return "---\n".join(text for text, _ in zip(documents(), range(count), strict=False))
