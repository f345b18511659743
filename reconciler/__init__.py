"""GitOps for virtual machines: what the command line does, as a few functions.

    from reconciler import LocalCluster, apply, load, plan, serving, validate

    desired = validate(load(["manifests"]))          # raises InvalidInput with every problem
    with LocalCluster("cluster.db") as cluster, serving(cluster):
        made = plan(desired, cluster)                # reads, writes nothing
        report = apply(made, cluster)                # each step verified on the observed resource

``reconcile_once`` does the same in one call and waits for what an interrupted run left under way.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from reconciler.agent.embedded import serving
    from reconciler.apply import Options, Outcome, Report, Result, apply
    from reconciler.clusters.local import LocalCluster
    from reconciler.manifests.loader import load
    from reconciler.manifests.validator import validate
    from reconciler.model.problem import InvalidInput, Problem, ReconcilerError
    from reconciler.observe.observed import observe
    from reconciler.planner import Policy, make_plan
    from reconciler.planner.plan import Plan, Step
    from reconciler.reconcile import plan, reconcile_once

_HOME = {
    "InvalidInput": "model.problem",
    "LocalCluster": "clusters.local",
    "Options": "apply",
    "Outcome": "apply",
    "Plan": "planner.plan",
    "Policy": "planner",
    "Problem": "model.problem",
    "ReconcilerError": "model.problem",
    "Report": "apply",
    "Result": "apply",
    "Step": "planner.plan",
    "apply": "apply",
    "load": "manifests.loader",
    "make_plan": "planner",
    "observe": "observe.observed",
    "plan": "reconcile",
    "reconcile_once": "reconcile",
    "serving": "agent.embedded",
    "validate": "manifests.validator",
}

__all__ = [
    "InvalidInput",
    "LocalCluster",
    "Options",
    "Outcome",
    "Plan",
    "Policy",
    "Problem",
    "ReconcilerError",
    "Report",
    "Result",
    "Step",
    "__version__",
    "apply",
    "load",
    "make_plan",
    "observe",
    "plan",
    "reconcile_once",
    "serving",
    "validate",
]


class _Package(ModuleType):
    """Names are loaded when first asked for. A stage and its module share a name (``load``): the name is
    the function, so the module that importing would put in its place is not let in."""

    def __getattr__(self, name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{self.__name__}.{_HOME[name]}"), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
