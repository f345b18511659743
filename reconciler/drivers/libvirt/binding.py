"""Names for the objects of the libvirt binding, which has no type hints: signatures say which object they take."""

from __future__ import annotations

from typing import Any, TypeAlias

VirConnection: TypeAlias = Any  # libvirt.virConnect
VirDomain: TypeAlias = Any  # libvirt.virDomain
VirPool: TypeAlias = Any  # libvirt.virStoragePool
VirSnapshot: TypeAlias = Any  # libvirt.virDomainSnapshot
VirNetwork: TypeAlias = Any  # libvirt.virNetwork
