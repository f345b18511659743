"""Manifests on an embedded cluster in memory: what tests of plan and apply begin with."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconciler import (
    LocalCluster,
    Options,
    Plan,
    Policy,
    Report,
    apply,
    load,
    observe,
    plan,
    serving,
    validate,
)
from reconciler.agent.embedded import simulators
from reconciler.manifests.desired import Desired
from support.services import ANSWERING
from support.yaml_text import text_of

OPTIONS = Options(timeout=20, grace=1)


def desired_of(source: str | Path | list[dict[str, Any]]) -> Desired:
    """Valid manifests from a path, a YAML text, or documents."""
    if isinstance(source, Path):
        return validate(load([source]))
    text = source if isinstance(source, str) else text_of(source)
    return validate(load(["-"], stdin=io.BytesIO(text.encode())))


@contextmanager
def served(path: str | Path = ":memory:", addresses: dict[str, str] | None = None) -> Iterator[LocalCluster]:
    cluster = LocalCluster(path)
    try:
        with serving(cluster, simulators(cluster, addresses=addresses)):
            yield cluster
    finally:
        cluster.close()


def plan_of(cluster: LocalCluster, desired: Desired, **policy: Any) -> Plan:
    return plan(desired, cluster, Policy(**policy))


def converge(cluster: LocalCluster, desired: Desired, **policy: Any) -> Report:
    """Plan and apply once; fails where a step does."""
    made = plan_of(cluster, desired, **policy)
    assert not made.problems, made.problems
    report = apply(made, cluster, options=OPTIONS, prober=ANSWERING)
    assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
    return report


def world_of(cluster: LocalCluster) -> dict[str, Any]:
    """What the simulated hosts hold in the end, without what counts how often a guest was started."""
    return {str(id): observed.shape | {"stack": observed.stack} for id, observed in observe(cluster).resources.items()}
