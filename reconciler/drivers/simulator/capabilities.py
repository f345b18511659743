"""What the simulator carries out: all operations; a few with a caveat."""

from __future__ import annotations

from reconciler.catalogue import OPERATIONS
from reconciler.drivers.capability import YES, Capabilities, caveat
from reconciler.model.kinds import MACHINE, POOL

_FILE = "what the XML file describes is not modelled"

_CAVEATS = {
    (MACHINE, "PlugDevice"): caveat(_FILE),
    (MACHINE, "UnplugDevice"): caveat(_FILE),
    (MACHINE, "BatchDeprecatedACL"): caveat("always refused, as it names no rule; DeprecatedACL deletes one"),
    (POOL, "CreatePool"): caveat("every pool has the same capacity, and none becomes full"),
}

CAPABILITIES = Capabilities(
    "simulator",
    {key: _CAVEATS.get(key, YES) for key in ((each.kind, each.name) for each in OPERATIONS)},
)
