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

from reconciler.version import __version__

if TYPE_CHECKING:
    from reconciler.apply import Options, Outcome, Report, Result, apply
    from reconciler.clusters.local import LocalCluster
    from reconciler.embedded import serving
    from reconciler.load import load
    from reconciler.observe import observe
    from reconciler.plan import Plan, Step
    from reconciler.planner import Policy, make_plan
    from reconciler.problem import InvalidInput, Problem, ReconcilerError
    from reconciler.reconcile import plan, reconcile_once
    from reconciler.validate import validate

_HOME = {
    "InvalidInput": "problem",
    "LocalCluster": "clusters.local",
    "Options": "apply",
    "Outcome": "apply",
    "Plan": "plan",
    "Policy": "planner",
    "Problem": "problem",
    "ReconcilerError": "problem",
    "Report": "apply",
    "Result": "apply",
    "Step": "plan",
    "apply": "apply",
    "load": "load",
    "make_plan": "planner",
    "observe": "observe",
    "plan": "reconcile",
    "reconcile_once": "reconcile",
    "serving": "embedded",
    "validate": "validate",
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
