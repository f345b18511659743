"""How a resource that is not there comes to be: made by its row, then changed like any other."""

from __future__ import annotations

from reconciler.catalogue.operation import Impact
from reconciler.manifests.desired import Declared
from reconciler.model.fields import references_of
from reconciler.model.kinds import MACHINE
from reconciler.observe.observed import Observed
from reconciler.planner import last_applied
from reconciler.planner.change import alter
from reconciler.planner.plan import Action, Expectation
from reconciler.planner.rank import CLONING, CREATION
from reconciler.planner.rules import CREATE, RuleContext
from reconciler.planner.sheet import PlanBuilder


def create(sheet: PlanBuilder, declared: Declared, observed: Observed | None) -> None:
    """The step that makes the resource, and those for what its creation leaves undone.

    ``observed`` is what an attempt that failed has left, if there was one.
    """
    case = RuleContext(declared.id, declared.shape, {}, sheet.surroundings, observed)
    row = next(row for row in CREATE if row.kind == declared.id.kind and row.when(case))
    seen = row.leaves(case)
    uses = [id for _, id in references_of(declared.id.kind, seen, declared.id.namespace)]
    for nic in seen.get("nics", {}).values():
        uses += sheet.surroundings.bridges_of(nic, declared.id.namespace)
    expect = [Expectation(declared.id, (), True)]
    if "powerState" in seen and declared.id.kind == MACHINE:
        expect.append(Expectation(declared.id, ("powerState",), seen["powerState"]))
    because = "not on the cluster"
    if observed is not None and observed.status[1]:
        because = f"its creation failed before: {observed.status[1]}"
    sheet.add(
        row,
        case,
        Action.CREATE,
        because,
        rank=CLONING if row.carrier else CREATION,
        target=row.carrier(case) if row.carrier else declared.id,
        uses=uses,
        impact=Impact.NONE,
        expect=expect,
        remember=last_applied.of_creation(declared.id.kind, seen, declared.shape),
    )
    alter(sheet, declared, observed, seen, creating=True)
