"""Who carries operations out: the protocol, the simulator, libvirt."""
