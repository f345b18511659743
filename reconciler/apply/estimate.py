"""The time that steps may still take, estimated from earlier steps of the same operation. Pure.

The steps are lined up as apply would start them: as soon as what they wait for has ended, so many at once, one
of a queue, destructive ones when all else is done.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from reconciler.model.journal import JournalEntry, StepEnded
from reconciler.model.outcome import Result
from reconciler.planner.plan import Step

SEEN = 20  # of an operation, the newest that its typical duration is taken from
MEASURED = frozenset({Result.CREATED, Result.CHANGED, Result.DELETED, Result.RAN})  # not failures


def typical(entries: Iterable[JournalEntry]) -> dict[str, float]:
    """The typical duration of each operation, in seconds: the median of its newest steps that succeeded."""
    seen: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=SEEN))
    for entry in entries:
        if isinstance(entry, StepEnded) and entry.result in MEASURED and entry.seconds is not None:
            seen[entry.step.operation].append(entry.seconds)
    return {operation: sorted(seconds)[len(seconds) // 2] for operation, seconds in seen.items()}


def seconds_left(
    steps: Sequence[Step], durations: Mapping[str, float], parallel: int, since: Mapping[str, float] | None = None
) -> float | None:
    """Seconds until all of ``steps`` have ended; None if the duration of none of their operations is known.

    ``steps`` are those that have not ended, in the plan's order; ``since`` has the seconds for which some of
    them have been under way. An operation not seen before counts like the one in the middle.
    """
    since = since or {}
    if not any(step.operation in durations for step in steps):
        return None
    middle = sorted(durations.values())[len(durations) // 2]
    takes = {
        step.id: 0.0
        if not step.for_agent
        else max(0.0, durations.get(step.operation, middle) - since.get(step.id, 0.0))
        for step in steps
    }
    return sum(_span([step for step in steps if step.last is last], takes, parallel, since) for last in (False, True))


def _span(steps: Sequence[Step], takes: Mapping[str, float], parallel: int, since: Mapping[str, float]) -> float:
    """The seconds that steps take which wait only for each other."""
    place = {step.id: number for number, step in enumerate(steps)}
    waits = [{place[id] for id in (*step.needs, *step.after) if id in place} for step in steps]
    frees = defaultdict(list)
    for number, others in enumerate(waits):
        for other in others:
            frees[other].append(number)
    # Those under way come first: they have their place already.
    ready = [(step.id not in since, number) for number, step in enumerate(steps) if not waits[number]]
    heapify(ready)
    busy: set[str] = set()
    queues: dict[str, deque[int]] = defaultdict(deque)  # who waits for its turn
    flying: list[tuple[float, int]] = []
    clock = 0.0
    while ready or flying:
        while ready and len(flying) < parallel:
            number = heappop(ready)[1]
            step = steps[number]
            if step.queue in busy:
                queues[step.queue].append(number)
                continue
            if step.queue:
                busy.add(step.queue)
            heappush(flying, (clock + takes[step.id], number))
        clock, number = heappop(flying)
        busy.discard(steps[number].queue)
        if queue := queues.get(steps[number].queue):
            heappush(ready, (True, queue.popleft()))
        for other in frees[number]:
            waits[other].discard(number)
            if not waits[other]:
                heappush(ready, (True, other))
    return clock
