"""Never less protected in between: edges that no phase can say, and the moments in which the API leaves a NIC open.

``Phase`` and the rows of ``rules.port`` order the steps of one machine. Here is what concerns several resources (rules
name address sets, whose members change), and the notes on what remains: a rule can be written only for a NIC that is
plugged in, so that a NIC is without its rules for a moment. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.model.wire import UNIVIRT
from reconciler.planner.findings import UnorderedStep
from reconciler.planner.inputs import PlanInput
from reconciler.planner.phase import Phase
from reconciler.planner.plan import Action, Details, Exposure, Note, NoteKind, Plan

# What a NIC lacks until a step of the phase has run.
_LACKING = {Phase.ACL: Exposure.FILTERS, Phase.PORT_VLAN: Exposure.VLAN, Phase.QOS_RULE: Exposure.LIMITS}


def members_edges(inputs: PlanInput, steps: Sequence[UnorderedStep]) -> Iterator[tuple[str, str]]:
    """Edges (a step, the one before it) between the members of address sets and the rules of those who name them.

    Rules that come are there before a set loses members, unless they name it; and rules that go stay until the sets
    of the others have their members.
    """
    changed = {each.step.resource: each for each in steps if _changes_members(each)}
    by_machine: dict[ResourceId, list[UnorderedStep]] = defaultdict(list)
    for each in steps:
        if changed and each.phase in (Phase.ACL, Phase.ACL_REMOVAL):
            by_machine[each.step.resource].append(each)
    for machine, rules in by_machine.items():
        coming = [each for each in rules if each.phase is Phase.ACL]
        named = {id for each in coming for id in each.uses}
        for id in _named(inputs, machine, before=True) & changed.keys() - named:
            if _loses_members(changed[id]):
                yield from ((changed[id].step.id, each.step.id) for each in coming)
        for id in _named(inputs, machine, before=False) & changed.keys():
            for each in rules:
                if each.phase is Phase.ACL_REMOVAL:
                    yield each.step.id, changed[id].step.id


def _named(inputs: PlanInput, machine: ResourceId, *, before: bool) -> set[ResourceId]:
    """The address sets that the rules of a machine name, as observed or as declared."""
    known = inputs.observed.get(machine) if before else inputs.desired.resources.get(machine)
    return set(inputs.resources.address_sets_of(known.shape, machine.namespace)) if known is not None else set()


def _changes_members(each: UnorderedStep) -> bool:
    return any(change.path == ("addresses",) for change in each.step.changes)


def _loses_members(each: UnorderedStep) -> bool:
    return any(set(change.before or ()) - set(change.after or ()) for change in each.step.changes)


def exposures(inputs: PlanInput, steps: Sequence[UnorderedStep], held: frozenset[str]) -> Iterator[Note]:
    """A note for each moment in which something is less protected than before and after.

    ``steps`` are those of the plan, ``held`` the ids of those that do not run. What begins with one of these is noted
    as it is once they may: who allows it reads that before.
    """
    runnable = [each for each in steps if each.step.id not in held]
    for begun in _moments(inputs, runnable):
        yield begun.note
    if held:
        for begun in _moments(inputs, steps):
            if begun.by in held:
                yield begun.note._replace(details={**begun.note.details, "held": "true"})


class _Moment(NamedTuple):
    """A note on a moment, and the id of the step that it begins with."""

    by: str
    note: Note


def _moments(inputs: PlanInput, steps: Sequence[UnorderedStep]) -> Iterator[_Moment]:
    """The moments of a plan of these steps."""
    chains: dict[ResourceId, list[UnorderedStep]] = defaultdict(list)
    for each in steps:
        if each.at[:1] == ("nics",) or each.step.action is Action.CREATE:
            chains[each.step.resource].append(each)
    for id, chain in chains.items():
        chain.sort(key=lambda each: each.rank)
        yield from _left_open(inputs, id, chain)
        yield from _open_nics(chain)
        yield from _open_limits(chain, steps)
        yield from _given_up(chain)
        if inputs.desired.stack.agent == UNIVIRT:
            yield from _rules_made_anew(chain)


def _open_nics(chain: Sequence[UnorderedStep]) -> Iterator[_Moment]:
    """Each NIC of a running guest from when it is there until what protects it is."""
    for mac in dict.fromkeys(each.at[1] for each in chain if each.phase in _LACKING):
        opened = _opens(chain, mac)
        if opened is None:
            continue
        for phase, lacks in _LACKING.items():
            closing = [
                number
                for number, each in enumerate(chain)
                if number > opened and each.phase is phase and each.at[1] == mac and _restricts(each)
            ]
            if closing:
                yield _moment(chain[opened], f"nics[{mac}]", lacks, chain[opened + 1 : closing[-1] + 1])


def _opens(chain: Sequence[UnorderedStep], mac: str) -> int | None:
    """The position of the step after which the running guest has a NIC that it did not have before."""
    for number, each in enumerate(chain):
        if each.phase is Phase.NIC_PLUG and each.at[1] == mac:
            return number if each.step.parameters.get("live") else None
    return 0 if chain[0].step.action is Action.CREATE else None


def _left_open(inputs: PlanInput, id: ResourceId, chain: Sequence[UnorderedStep]) -> Iterator[_Moment]:
    """Each NIC that has rules that drop, and is to have none from some step on."""
    observed, declared = inputs.observed.get(id), inputs.desired.resources.get(id)
    if observed is None or declared is None or not observed.exists:
        return
    for mac in _filtered(observed.shape) & declared.shape.get("nics", {}).keys() - _filtered(declared.shape):
        steps = [each for each in chain if each.at[:2] == ("nics", mac)]
        last = [each for each in steps if _drops_no_more(each)] or [e for e in steps if e.phase is Phase.NIC_PLUG]
        if last:
            yield _moment(last[-1], f"nics[{mac}]", Exposure.NO_FILTERS, ())


def _filtered(machine: Shape) -> set[str]:
    """The NICs of a machine from which a rule keeps traffic away."""
    nics = machine.get("nics", {}).items()
    return {mac for mac, nic in nics if any(rule.get("action") == "drop" for rule in nic.get("acls", {}).values())}


def _drops_no_more(each: UnorderedStep) -> bool:
    """Whether a step takes a rule that drops away, or makes it one that allows."""
    if each.phase not in (Phase.ACL, Phase.ACL_REMOVAL):
        return False
    old = (change.before for change in each.step.changes)
    return any((rule.get("action") if isinstance(rule, Mapping) else rule) == "drop" for rule in old)


def _restricts(each: UnorderedStep) -> bool:
    """Whether a step keeps traffic away: a rule that allows does not."""
    return each.step.parameters.get("operator") != "allow"


def _open_limits(chain: Sequence[UnorderedStep], steps: Iterable[UnorderedStep]) -> Iterator[_Moment]:
    """Each limit of a switch from when one NIC gives it up until another one has it."""
    for each in chain:
        if each.yields is None or each.place != (each.yields,):
            continue
        taken = [other for other in steps if set(other.takes) & set(each.frees)][:1]
        what = f"the limit '{' '.join(each.at[3:])}' of {each.step.parameters['swName']}"
        yield _moment(each, what, Exposure.HANDOVER, taken)


def _given_up(chain: Sequence[UnorderedStep]) -> Iterator[_Moment]:
    """Each NIC that is to be unplugged from when its limit is deleted, unless another one is there by then."""
    for number, each in enumerate(chain):
        if each.phase is not Phase.QOS_RULE_REMOVAL or each.place:
            continue
        end = next((last for last in range(number, len(chain)) if _unplugs(chain[last], each.at[1])), None)
        if end is not None and not any(_limits_as(before, each) for before in chain[:number]):
            yield _moment(each, f"nics[{each.at[1]}]", Exposure.GIVEN_UP, chain[number + 1 : end + 1])


def _unplugs(each: UnorderedStep, mac: str) -> bool:
    return each.phase is Phase.NIC_REMOVAL and each.at[1] == mac and bool(each.step.parameters.get("live"))


def _limits_as(each: UnorderedStep, other: UnorderedStep) -> bool:
    """Whether a step sets a limit where another one deletes one: of the same switch, in the same direction."""
    names = ("swName", "type")
    return each.phase is Phase.QOS_RULE and all(each.step.parameters[x] == other.step.parameters[x] for x in names)


def _rules_made_anew(chain: Sequence[UnorderedStep]) -> Iterator[_Moment]:
    """Each rule that an agent changes by deleting and adding it."""
    for each in chain:
        if each.step.operation in ("ModifyACL", "ModifyQoS"):
            yield _moment(each, f"{each.at[2]}[{each.at[3]}] of nics[{each.at[1]}]", Exposure.WITHIN, [each])


def with_lengths(plan: Plan, durations: Mapping[str, float]) -> Plan:
    """The plan, with the time that such steps usually take in the notes on exposures.

    ``durations`` are seconds by operation; a note with an operation that is not among them stays as it is.
    """
    return replace(plan, notes=tuple(_timed(note, durations) for note in plan.notes))


def _timed(note: Note, durations: Mapping[str, float]) -> Note:
    if note.kind is not NoteKind.EXPOSED or not note.details["steps"]:
        return note
    if not durations.keys() >= set(note.details["steps"]):
        return note
    seconds = sum(durations[operation] for operation in note.details["steps"])
    return note._replace(details={**note.details, "seconds": str(round(seconds))})


def _moment(opened: UnorderedStep, what: str, lacks: Exposure, until: Sequence[UnorderedStep]) -> _Moment:
    """``until`` are the steps after ``opened``, to the one that ends it; none if none does."""
    steps, since = [each.step.operation for each in until], opened.step
    details: Details = {"what": what, "lacks": str(lacks), "since": since.operation, "steps": steps}
    return _Moment(since.id, Note(since.resource, NoteKind.EXPOSED, details))
