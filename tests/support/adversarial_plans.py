"""Plans that somebody made to harm their readers, and plans of any size: what tests of reviews are given."""

from __future__ import annotations

from reconciler.catalogue.operation import Impact
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Action, Note, Plan, Step

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


def step(number: int, because: str = "not on the cluster", **given: object) -> Step:
    """One step, number and reason given; the rest as keywords of ``Step`` say."""
    id = ResourceId("VirtualMachine", f"web-{number}")
    plain: dict[str, object] = {
        "id": f"s{number}",
        "action": Action.CHANGE,
        "operation": "ResizeRAM",
        "resource": id,
        "carrier": id,
        "node": "node22",
        "parameters": {"size": "1"},
        "because": because,
        "impact": Impact.NONE,
    }
    return Step(**{**plain, **given})  # type: ignore[arg-type]


def fleet(count: int, **given: object) -> Plan:
    """So many steps that are alike."""
    return Plan("shop", tuple(step(number, "memory.size 2Gi -> 4Gi", **given) for number in range(count)))


def hostile() -> Plan:
    """Every text in every place that a text can be in, in steps of every impact."""
    steps: list[Step] = []
    for number, text in enumerate(TEXTS):
        id = ResourceId("VirtualMachineDisk", text, "default")
        impact = list(Impact)[number % len(Impact)]
        held = str(impact) if number % 2 and impact in (Impact.RESTART, Impact.DATA) else ""
        after = tuple(each.id for each in steps[-2:])
        steps.append(
            Step(f"{text}#{number}", list(Action)[number % 5], text, id, id, text, {text: text}, text, impact)
            if number % 3
            else step(number, f"cpu.model {text} -> {text}", impact=impact, held_by=held, needs=after, node=text)
        )
    problems = tuple(Problem(Origin(text, 1, 2), text, text, text) for text in TEXTS)
    return Plan(TEXTS[0], tuple(steps), problems, tuple(Note(step.resource, step.because) for step in steps), 3)
