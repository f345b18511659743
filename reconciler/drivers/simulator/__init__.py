"""The simulator: an executable model of the hypervisor.

It serves one node of a world that several simulators may share. Every operation either does all that the API
documents about it or is refused, with nothing changed, for the reason the tools would give. It reads no clock and
nothing in it is random: the same operations give the same world. ``context.py`` says what the world holds; the
modules named after kinds have their operations; ``driver.py`` is the ``Driver``.
"""
