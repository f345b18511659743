"""What runs and agents that were killed left on a cluster, which doctor finds and mends.

The next apply of a stack mends the same by itself: here it is seen, and nothing else changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress

from reconciler.apply.annotations import recovered
from reconciler.apply.recovery import read_due_recoveries, recover
from reconciler.clusters.base import Cluster
from reconciler.model.examination import Fault
from reconciler.model.journal import Recovery
from reconciler.model.problem import Busy
from reconciler.model.resource import ResourceId
from reconciler.model.wire import CLAIM
from reconciler.observe.capabilities import announcements
from reconciler.observe.observed import Observed, observe

RUN_ENDS = 20.0  # seconds that a run is waited for: the lock of one that was killed is free by then

_NOTED = "what became of it is noted on the resource, as the next apply would"
_REPORTED = "its agent came back, and reported it"
_RUNS = "A run of the stack has its lock, and notes it when it ends."
_NO_AGENT = (
    "Start its agent, or apply where the cluster is embedded: how far that came is reported, and it never runs again."
)
_NO_RECORD = "If the stack is gone: reconcile release --all --stack {stack}. Otherwise its next apply goes on with it."


def leftovers(cluster: Cluster) -> list[Fault]:
    """What is left, in the order of the resources.

    Writes nothing. Raises ``ClusterError`` where the cluster or its locks cannot be read.
    """
    resources = observe(cluster).resources
    stacks = {each.stack for each in resources.values() if each.stack}
    due = {each.id: each for stack in sorted(stacks) for each in read_due_recoveries(cluster, stack)}
    unknown = {stack for stack in stacks if not cluster.records(stack, newest=1)}
    served = announcements(cluster)
    found = defaultdict[ResourceId, list[Fault]](list)
    for id, each in resources.items():
        found[id] = list(_left_on(each, due, unknown, served))
    return [fault for id in sorted(found) for fault in found[id]]


def _left_on(
    each: Observed, due: Mapping[ResourceId, Recovery], unknown: set[str], served: Mapping[str, object]
) -> Iterator[Fault]:
    recovery = due.get(each.id)
    if recovery is not None and recovered(each.resource, recovery) != each.resource:
        yield Fault(
            str(each.id), f"a run of stack {each.stack} did not note what became of its last operation", _NOTED, _RUNS
        )
    claim = str(each.spec.get(CLAIM, ""))
    if claim and each.node.lower() not in served:
        operation = claim[:1].upper() + claim[1:]  # as it is documented (wire format 2.1)
        yield Fault(str(each.id), f"{operation} was begun by an agent of node {each.node} that is gone", "", _NO_AGENT)
    if each.stack in unknown:
        message = f"it is marked as one of stack {each.stack}, of which nothing is recorded here"
        yield Fault(str(each.id), message, "", _NO_RECORD.format(stack=each.stack))


def mend(cluster: Cluster, holder: str, wait: float = RUN_ENDS) -> list[Fault]:
    """What was left, and is noted now; of what is still left, ``remedy`` is empty.

    ``holder`` is written on the locks of the stacks, each taken meanwhile; ``wait``: seconds for a run that has one to
    end. Raises as ``leftovers``.
    """
    before = leftovers(cluster)
    for stack in sorted({each.stack for each in observe(cluster).resources.values() if each.stack}) if before else ():
        if read_due_recoveries(cluster, stack):
            with suppress(Busy), cluster.lease(f"stack {stack}", holder, wait=wait):  # else it is found again
                recover(cluster, stack)
    after = {each[:2] for each in leftovers(cluster)} if before else set()
    return [each._replace(remedy="" if each[:2] in after else each.remedy or _REPORTED) for each in before]
