"""An apply by a clock that runs only while nothing happens, with a driver that the test commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from reconciler import LocalCluster, Options, Policy, Report, apply, make_plan, observe, serving
from reconciler.agent.embedded import simulators
from reconciler.apply.recovery import wait_until_idle
from reconciler.clusters.base import Watch, WatchEvent
from reconciler.model.resource import Resource
from reconciler.observe.observed import Observation
from reconciler.planner.plan import Plan
from support.paths import QUICKSTART
from support.scenario import desired_of
from support.unruly_driver import Unruly

Update = Callable[[Resource], Resource]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A served cluster whose driver the test commands, and a clock that runs only while nothing happens."""

    def __init__(self, cluster: LocalCluster, driver: Unruly) -> None:
        self.cluster, self.driver, self.clock = cluster, driver, Clock()
        self.instead: dict[str, Update] = {}  # calls of the cluster that the apply makes otherwise; its agent does not

    def apply(
        self,
        source: Any = QUICKSTART,
        *,
        timeout: float = 600,
        parallel: int = 16,
        interrupts: Callable[[], int] = lambda: 0,
        lost: Callable[[], bool] = lambda: False,
        **policy: Any,
    ) -> Report:
        observed = observe(self.cluster)
        plan = make_plan(desired_of(source), observed, Policy(**policy))
        options = Options(timeout=timeout, grace=5, parallel=parallel)
        return self.run(plan, observed, options=options, interrupts=interrupts, lost=lost)

    def run(self, plan: Plan, observed: Observation | None = None, **how: Any) -> Report:
        """Apply a plan by the clock; ``how`` is as for ``apply``."""
        cluster: Any = Hurried(self.cluster, self.clock, self.instead)
        return apply(plan, cluster, observed or observe(self.cluster), monotonic=self.clock, **how)


class Hurried:
    """The cluster, but a watch that would wait in vain moves the clock instead, and some calls are the test's."""

    def __init__(self, inner: LocalCluster, clock: Clock, instead: Mapping[str, Update]) -> None:
        self._inner, self._clock, self._instead = inner, clock, instead

    def __getattr__(self, name: str) -> Any:
        return self._instead.get(name) or getattr(self._inner, name)

    def watch(self, **given: Any) -> Watch:
        watch, clock = self._inner.watch(**given), self._clock

        class Hurrying:
            def next(self, timeout: float) -> Sequence[WatchEvent]:
                notices = watch.next(0.1)
                if not notices:
                    clock.now += timeout
                return notices

            @property
            def version(self) -> str:
                return watch.version

            def close(self) -> None:
                watch.close()

        return Hurrying()


@contextmanager
def staged() -> Iterator[Stage]:
    cluster = LocalCluster(":memory:")
    try:
        driver = Unruly(simulators(cluster)("node22"))
        with serving(cluster, lambda node: driver):
            yield Stage(cluster, driver)
    finally:
        cluster.close()


def kill_after(stage: Stage, write: str, kind: str, text: str) -> None:
    """Apply, and die as soon as a resource of the kind is written."""
    plain: Callable[[Resource], Resource] = getattr(stage.cluster, write)

    class Killed(BaseException):
        pass

    def die_after(resource: Resource) -> Resource:
        stored = plain(resource)
        if resource["kind"] == kind:
            raise Killed
        return stored

    stage.instead[write] = die_after
    with pytest.raises(Killed):
        stage.apply(text)
    del stage.instead[write]
    wait_until_idle(stage.cluster, "quickstart")
