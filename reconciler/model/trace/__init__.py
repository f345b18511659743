"""Whether a flow passes the switches and their rules: pure, from shapes of machines and networks alone.

``flow`` is what is asked, ``topology`` what there is, ``packet`` and ``matching`` say which rule is for which packet,
``decision`` what the rules of one port do, ``path`` the ways from one end to the other; ``tracing`` answers.
"""

from reconciler.model.trace.answer import Answer, Verdict
from reconciler.model.trace.flow import Flow
from reconciler.model.trace.topology import Topology, topology_of
from reconciler.model.trace.tracing import trace

__all__ = ["Answer", "Flow", "Topology", "Verdict", "topology_of", "trace"]
