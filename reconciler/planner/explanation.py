"""The sentences of a plan: changes, reasons and notes are values, and become text here and nowhere else. Pure.

``field_change`` makes a value that people may see of a difference; the other functions only read such values, so
that a plan that was saved and read again says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from reconciler.catalogue.operation import Impact
from reconciler.manifests.desired import Declared
from reconciler.model import quantity
from reconciler.model.fields import is_quantity, is_secret, part_of, parts_at, replacing
from reconciler.model.secret import Secret
from reconciler.planner.diff import Change
from reconciler.planner.plan import (
    LAST_APPLIED,
    STACK,
    Exposure,
    FieldChange,
    Note,
    NoteKind,
    Reason,
    SecretValue,
    Step,
    show_value,
)

_OTHER_VALUE = SecretValue("another value")
_LISTED = 3  # names that a note lists


class ChangeText(NamedTuple):
    """A change of a field as people read it. Without a field, ``after`` is a sentence about the whole resource."""

    field: str
    before: str
    after: str


def leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every plain value in a mapping, with its path. An empty mapping counts as a value."""
    if isinstance(value, dict) and (value or not path):
        for key in value:
            yield from leaves((*path, key), value[key])
    else:
        yield path, value


def as_written(declared: Declared, path: tuple[str, ...]) -> tuple[str | int, ...]:
    """A path of the shape as a path of the manifest, in which parts are list items."""
    written: tuple[str | int, ...] = ()
    here: Any = declared.manifest.spec
    for length, name in enumerate(path, 1):
        parts = parts_at(declared.id.kind, path[: length - 1]) if length > 1 else None
        if parts is None:
            here = here.get(name) if isinstance(here, dict) else None
            written = (*written, name)
        else:
            found = [index for index, item in enumerate(here or ()) if parts.identity(item) == name]
            if not found:
                return written
            here, written = here[found[0]], (*written, found[0])
    return written


# Values ---------------------------------------------------------------------------------------------------


def field_change(kind: str, change: Change, covers: tuple[str, ...] = ()) -> FieldChange:
    """The change in the values of manifests. ``covers`` are the fields that are set of an added part; empty: all."""
    before, after = change.observed, change.desired
    if is_secret(kind, change.path):
        known = after is None or isinstance(after, Secret)  # else a digest, which tells people nothing
        hidden = SecretValue(str(after)) if known else SecretValue("a secret")
        return FieldChange(change.path, None if before is None else _OTHER_VALUE, None if after is None else hidden)
    if covers and before is None and isinstance(after, dict) and part_of(kind, change.path) == change.path:
        after = {name: value for name, value in after.items() if name in covers}
    return FieldChange(change.path, as_manifest(kind, change.path, before), as_manifest(kind, change.path, after))


def field_changes(kind: str, changes: Iterable[Change], covers: tuple[str, ...] = ()) -> tuple[FieldChange, ...]:
    """Each of the changes in the values of manifests."""
    return tuple(field_change(kind, change, covers) for change in changes)


def as_manifest(kind: str, path: tuple[str, ...], value: Any) -> Any:
    """A value of a shape as manifests write it, without any secret; the same object if nothing differs."""
    if isinstance(value, dict):
        shown = {name: as_manifest(kind, (*path, name), each) for name, each in value.items()}
        return value if all(shown[name] is each for name, each in value.items()) else shown
    if isinstance(value, Secret):
        return SecretValue(str(value))
    if value is not None and is_secret(kind, path):
        return _OTHER_VALUE
    if isinstance(value, int) and not isinstance(value, bool) and is_quantity(kind, path):
        return quantity.show(value)
    return value


# Words ----------------------------------------------------------------------------------------------------


def explain(step: Step) -> str:
    """Why the step is planned, whom it interrupts, and what is waited for after it: ``memory.size 2Gi -> 4Gi``."""
    return "; ".join((_because(step), *consequences(step)))


def consequences(step: Step) -> tuple[str, ...]:
    """What a step does besides its changes: to the guests of others, and what it waits for."""
    return tuple(text for text in (_guests_text(step), wait_text(step)) if text)


def _guests_text(step: Step) -> str:
    """The machines that a step interrupts or stops which is for something that they share; empty if there are none."""
    if not step.guests or step.resource in step.guests:
        return ""
    first, *others = map(str, step.guests)
    verb = "stops or restarts" if step.impact is Impact.RESTART else "interrupts"
    return f"{verb} {_names([first, *(name.partition('/')[2] for name in others)])}"


def wait_text(step: Step) -> str:
    """What holds before a step counts as done, besides what the cluster shows; empty if nothing."""
    if not step.readiness:
        return ""
    verb = "answers" if len(step.readiness) == 1 else "answer"
    return f"then waits until {_names([str(each) for each in step.readiness])} {verb}"


def _because(step: Step) -> str:
    match step.reason:
        case Reason.NOT_ON_CLUSTER:
            return "not on the cluster"
        case Reason.VANISHED:
            lost = ", with what was in it" if step.impact is Impact.DATA else ""
            return f"it is gone from {step.node}{lost}, and is created again"
        case Reason.CREATION_FAILED:
            return f"its creation failed before: {step.details['message']}"
        case Reason.FIELDS_CHANGED:
            through = f" (through {step.carrier})" if step.carrier != step.resource else ""
            return _joined(step) + through + (", at its next start" if step.details.get("nextStart") else "")
        case Reason.RESTART:
            return f"restart for {_joined(step)}"
        case Reason.OWNERSHIP:
            return _joined(step)
        case Reason.NO_LONGER_DECLARED:
            return f"no longer described{_empty(step)}"
        case Reason.DELETION_REQUESTED:
            return f"deletion asked for{_empty(step)}"
        case Reason.OPERATION:
            failure = step.details.get("failure")
            return f"Operation {step.request[0]}{f', which failed before: {failure}' if failure else ''}{_sent(step)}"
        case Reason.REQUESTED:
            return f"asked for as {step.request[0]}{_empty(step)}{_sent(step)}"


def _joined(step: Step) -> str:
    return change_texts(step.resource.kind, step.changes)


def _empty(step: Step) -> str:
    """What is left of a resource that is removed though its node has nothing of it."""
    failure = step.details.get("empty")
    if failure is None:
        return ""
    return f"; its node has nothing of it{f': {failure}' if failure else ''}"


def _sent(step: Step) -> str:
    """The parameters of an operation on request, as people read them."""
    shown = " ".join(f"{name}={show_value(value)}" for name, value in step.parameters.items())
    return f" ({shown})" if shown else ""


_NOTES: dict[NoteKind, str] = {
    NoteKind.PENDING_RESTART: "pending restart: {changes}",
    NoteKind.NO_LONGER_DECLARED: "no longer described; delete it with --prune",
    NoteKind.KEPT_WITH_PROBLEMS: "kept: nothing is pruned while there are problems",
    NoteKind.KEPT_IN_USE: "kept: used by {users}",
    NoteKind.KEPT_OTHER_OWNER: "kept: belongs to {owner}",
    NoteKind.KEPT_UNDER_WAY: "kept: {operation} is under way",
    NoteKind.KEPT_PROTECTED: "kept: protected by its label {label}",
    NoteKind.KEPT_RETAINED: "kept: deletionPolicy is Retain",
    NoteKind.IGNORED: "ignored{until}: {contrast}{because}",
    NoteKind.MEMORY_NOT_RETURNED: "memory.size is {size}, but the guest still uses {excess} more: without a "
    "balloon driver it releases no memory",
    NoteKind.PAUSED_BY: "paused by its node: {why}; mend that first: resumed before, it pauses again at once",
    NoteKind.SECRET_UNREADABLE: "the {secret} cannot be read here; the step that sends it will fail",
    NoteKind.TERMINATING: "it was deleted on the cluster, where its finalizers keep it ({finalizers}); plan again when "
    "it is gone",
    NoteKind.UNDER_WAY: "{operation} is under way; plan again when it has ended",
    NoteKind.BLOCKED: "blocked by {by}{through}{left}",
    NoteKind.BLOCKED_UNDER_WAY: "{operations} waits: {other} is under way on {resource}",
    NoteKind.BLOCKED_MISSING: "{operations} waits: {resource} does not exist yet",
    NoteKind.POSSIBLE_RENAME: "equals {former}, which is no longer described; if it was renamed, set "
    "movedFrom: {name} in its metadata to keep it",
    NoteKind.STARTED_ONCE: "powerState is Stopped, but creation starts a VM: it boots once and is then stopped, by its "
    "guest unless stopMode is Force",
    NoteKind.CREATED_AT_MAXIMUM: "created with {most} of memory, its maximum, which the node must have free for a "
    "moment, and shrunk to {size}: uni-virt is sent no other size at creation",
    NoteKind.AFTER_FIRST_START: "plugged after its first start: {parts}; creation starts a VM and takes one NIC",
    NoteKind.OPEN_CONSOLE: "its console listens on {listen} without a password, so that whoever reaches the node "
    "has its screen and keyboard: declare graphics.passwordFrom",
    NoteKind.STAYS: "{field} stays {value} though it is not declared. {remedy}",
    NoteKind.EXPOSED: "{what} {lacks}{length}{allowed}: {because}",
    NoteKind.AT_ONCE: "{operation} interrupts {machines} at once, more than maxInterrupted allows "
    "({most}): they share it",
    NoteKind.FLOW_UNKNOWN: "nobody can tell whether {flow} is {wanted}, as {place} expects: {reason}",
    NoteKind.FLOW_HELD: "{flow} is not yet {wanted}, as {place} expects, as steps that change it are held: {reason}",
    NoteKind.FLOW_NOT_TARGETED: "{flow} is not {wanted}, as {place} expects, and no target changes it: {reason}",
}

# What is missing, and why no order of the steps avoids it.
_EXPOSED: dict[Exposure, tuple[str, str]] = {
    Exposure.FILTERS: (
        "is unfiltered from {since} to {until}",
        "a rule is written for the port of a NIC, which exists when the NIC is plugged in",
    ),
    Exposure.VLAN: (
        "is outside its VLAN from {since} to {until}",
        "a bridge tags the port of a NIC, which exists when the NIC is plugged in",
    ),
    Exposure.LIMITS: ("is unlimited from {since} to {until}", "a limit is set through a machine, which exists then"),
    Exposure.GIVEN_UP: (
        "is unlimited from {since} to {until}",
        "a limit goes with what is noted for its NIC, so before the NIC",
    ),
    Exposure.HANDOVER: (
        "does not exist from {since} to {until}",
        "a switch has a limit once, and it is taken from one machine before it is given to another",
    ),
    Exposure.WITHIN: ("does not exist for a moment within {since}", "uni-virt deletes a rule and adds it to change it"),
    Exposure.NO_FILTERS: (
        "is unfiltered from {since} on",
        "it had a rule that drops, and none is declared for it any more",
    ),
}


def explain_note(note: Note) -> str:
    """The sentence of a note."""
    words = {name: each if isinstance(each, str) else _names(each) for name, each in note.details.items()}
    if note.kind is NoteKind.PENDING_RESTART:
        words["changes"] = change_texts(note.id.kind, note.changes)
    if note.kind is NoteKind.STAYS:
        words["field"] = _named(note.id.kind, note.changes[0].path)
        words["value"] = _shown(note.changes[0].before)
    if note.kind is NoteKind.KEPT_OTHER_OWNER:
        words["owner"] = f"the stack {words['stack']}" if words["stack"] else "no stack"
    if note.kind is NoteKind.BLOCKED:
        words["by"] = "its own problem" if note.details["by"] == [str(note.id)] else words["by"]
        words["through"] = f" through {words['through']}" if words["through"] else ""
        words["left"] = f"; left out: {words['operations']}" if words["operations"] else ""
    if note.kind is NoteKind.IGNORED:
        words["until"] = f" until {words['until']}" if words.get("until") else ""
        words["contrast"] = contrast_text(note.id.kind, note.changes[0])
        words["because"] = f": {words['reason']}" if words.get("reason") else ""
    if note.kind is NoteKind.EXPOSED:
        steps = list(note.details["steps"])
        lacks, words["because"] = _EXPOSED[Exposure(words["lacks"])]
        words["lacks"] = lacks.format(since=words["since"], until=steps[-1] if steps else "")
        words["length"] = f", for {_length(len(steps), words.get('seconds', ''))}" if steps else ""
        words["allowed"] = ", once allowed" if words.get("held") else ""
    return _NOTES[note.kind].format_map(words)


def _length(steps: int, seconds: str) -> str:
    """How long something lasts: the steps, and the seconds where it is known how long such steps take."""
    counted = f"{steps} step{'' if steps == 1 else 's'}"
    if not seconds:
        return counted
    return f"{counted} (usually {f'about {seconds} s' if int(seconds) else 'less than a second'})"


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def describe(kind: str, change: Change) -> str:
    """``memory.size 2Gi -> 4Gi``; of a part that comes, what is set of it: ``disks[vdb] new: disk web-1-data``."""
    return change_text(kind, field_change(kind, change))


def contrast(kind: str, change: Change) -> str:
    """``memory.size is 4Gi, 2Gi is declared``; of a part, whether it is there. Of a secret, no value."""
    return contrast_text(kind, field_change(kind, change))


def change_texts(kind: str, changes: Iterable[FieldChange]) -> str:
    """The changes in one line, without repetitions."""
    return "; ".join(dict.fromkeys(change_text(kind, change) for change in changes))


def change_text(kind: str, change: FieldChange) -> str:
    """One change: ``memory.size 2Gi -> 4Gi``."""
    if change.path == STACK:
        if not change.after:
            return f"released by the stack {change.before}"
        former = f" from the stack {change.before}, which no longer describes it" if change.before else ""
        return f"taken over into the stack {change.after}{former}"
    if change.path == LAST_APPLIED:
        return "what was last applied is not noted on it any more: noted again as declared"
    name, before, after = change_cells(kind, change)
    if change.path != part_of(kind, change.path):
        return f"{name} {before} -> {after}"
    if change.after is None:
        return f"{name} is no longer declared"
    return f"{name} {after}" if change.before is not None or after == "new" else f"{name} new: {after}"


def change_cells(kind: str, change: FieldChange) -> ChangeText:
    """One change as the cells of a table: the field, what it is now and what it becomes."""
    if change.path in (STACK, LAST_APPLIED):
        return ChangeText("", "", change_text(kind, change))
    name = _named(kind, change.path)
    if change.path != part_of(kind, change.path):
        return ChangeText(name, _shown(change.before), _shown(change.after))
    if change.after is None:
        return ChangeText(name, "declared", "no longer declared")
    if change.before is not None:
        changed = ", ".join(_replacements(kind, change))
        return ChangeText(name, "", f"replaced: {changed}" if changed else "replaced")
    return ChangeText(name, "nothing", ", ".join(_settings(kind, change)) or "new")


def _replacements(kind: str, change: FieldChange) -> Iterator[str]:
    """Why a part is replaced: the fields that no operation changes in place."""
    for name in replacing(kind, change.path[0]) or tuple(change.after):
        if name in change.after and (before := change.before.get(name)) != (after := change.after[name]):
            yield f"{name} {_shown(before)} -> {_shown(after)}"


def _settings(kind: str, change: FieldChange) -> Iterator[str]:
    """What is set of a part that comes, but for its identity."""
    row, length = parts_at(kind, change.path[:-1]), len(change.path)
    for path, value in leaves(change.path, change.after):
        if len(path) > length and (row is None or path[length] not in row.keys):
            yield f"{'.'.join(path[length:])} {_shown(value)}"


def contrast_text(kind: str, change: FieldChange) -> str:
    """What is observed beside what is declared: ``memory.size is 4Gi, 2Gi is declared``."""
    name, at = _named(kind, change.path), part_of(kind, change.path)
    if not change.path:
        return "is not there"
    if change.path == at and change.before is None:
        return f"{name} is declared but does not exist"
    if change.path == at and change.after is None:
        return f"{name} is there, and not declared"
    if is_secret(kind, change.path):
        return f"{name} is {_shown(change.before)}"
    return f"{name} is {_shown(change.before)}, {_shown(change.after)} is declared"


def _named(kind: str, path: tuple[str, ...]) -> str:
    """``nics[52:54:00:00:00:01].qos.inbound``."""
    name = ""
    for length, part in enumerate(path, 1):
        if length > 1 and parts_at(kind, path[: length - 1]):
            name += f"[{part}]"
        else:
            name += f".{part}" if name else part
    return name


def _shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    if isinstance(value, dict) and any(isinstance(item, dict) for item in value.values()):
        return ",".join(value)  # parts of a list, by their names
    if isinstance(value, dict):
        return " ".join(str(item) for item in value.values())
    return str(value)
