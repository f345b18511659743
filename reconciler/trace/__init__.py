"""Whether a flow passes the switches and their rules: pure, from shapes of machines and networks alone.

``flow`` is what is asked, ``topology`` what there is, ``packet`` and ``matching`` say which rule is for which packet,
``decision`` what the rules of one port do, ``path`` the ways from one end to the other; ``tracing`` answers.
"""

from reconciler.trace.answer import Answer, Verdict
from reconciler.trace.flow import Flow
from reconciler.trace.topology import Topology, topology_of
from reconciler.trace.tracing import trace

__all__ = ["Answer", "Flow", "Topology", "Verdict", "topology_of", "trace"]
