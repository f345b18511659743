"""Networks of OVN and Open vSwitch: a part that a driver of machines is composed with (``driver.Networked``).

Needs the packages ``ovs`` and ``ovsdbapp``, the extra ``[ovn]``. Only ``database`` imports them, and what is imported
to read capabilities does not import it.
"""
