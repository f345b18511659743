"""Drivers, which carry operations out: the protocol, the simulator, libvirt."""
