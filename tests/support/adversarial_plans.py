"""Plans that somebody made to harm their readers, and plans of any size: what tests of reviews are given."""

from __future__ import annotations

from reconciler.catalogue.operation import Impact
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.planner.explanation import explain
from reconciler.planner.plan import GUEST_IMPACTS, Action, FieldChange, Note, NoteKind, Plan, Reason, Step

RESIZED = FieldChange(("memory", "size"), "2Gi", "4Gi")

TEXTS = (
    "<script>document.title = 'taken'</script>",
    "</code></td></table><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "a | b \\| c \\",
    "`rm -rf` ``` ~~~ **bold** _thin_ [link](https://example.test/x) ![p](https://example.test/p.png)",
    "@everyone @org/team #1 GH-1 www.example.test me@example.test",
    "one\ntwo\r\n\n| --- |\n\n# three\n</details>",
    "-->\x00\x1b[31m\u202egnp.\u2066\u200b\ud800",
    "&lt;b&gt; &amp; &#124;",
    "名前" * 40,
    "x" * 5000,
    '; memory.size 2Gi -> 4Gi; " ]:::delete %% end',
)


def step(number: int, *changes: FieldChange, **given: object) -> Step:
    """One step, number and changes given; the rest as keywords of ``Step`` say."""
    id = ResourceId("VirtualMachine", f"web-{number}")
    plain: dict[str, object] = {
        "id": f"s{number}",
        "action": Action.CHANGE,
        "operation": "ResizeRAM",
        "resource": id,
        "carrier": id,
        "node": "node22",
        "parameters": {"size": "1"},
        "reason": Reason.FIELDS_CHANGED if changes else Reason.NOT_ON_CLUSTER,
        "changes": changes,
        "impact": Impact.NONE,
        "guests": (id,) if given.get("impact") in GUEST_IMPACTS else (),
    }
    return Step(**{**plain, **given})  # type: ignore[arg-type]


def fleet(count: int, **given: object) -> Plan:
    """So many steps that are alike."""
    return Plan("shop", tuple(step(number, RESIZED, **given) for number in range(count)))


def hostile() -> Plan:
    """Every text in every place that a text can be in, in steps of every impact."""
    steps: list[Step] = []
    for number, text in enumerate(TEXTS):
        id = ResourceId("VirtualMachineDisk", text, "default")
        impact = list(Impact)[number % len(Impact)]
        held = str(impact) if number % 2 and impact in (Impact.RESTART, Impact.DATA) else ""
        after = tuple(each.id for each in steps[-2:])
        if number % 3:
            given = {"id": f"{text}#{number}", "action": list(Action)[number % 5], "operation": text, "resource": id}
            failed = {"reason": Reason.CREATION_FAILED, "details": {"message": text}, "parameters": {text: text}}
            steps.append(step(number, **given, carrier=id, node=text, **failed, impact=impact))
        else:
            changed = FieldChange(("cpu", "model"), text, text)
            steps.append(step(number, changed, impact=impact, held_by=held, needs=after, node=text))
    problems = tuple(Problem(Origin(text, 1, 2), text, text, text) for text in TEXTS)
    notes = tuple(Note(each.resource, NoteKind.KEPT_UNDER_WAY, {"operation": explain(each)}) for each in steps)
    return Plan(TEXTS[0], tuple(steps), problems, notes, 3)
