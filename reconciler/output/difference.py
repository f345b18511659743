"""Two values without identity, compared for people: texts line by line, XML by its elements, lists as sets. Pure.

Parts that have an identity (disks by target, NICs by MAC) are compared by the planner. What is left, such as the
user data of cloud-init, the XML of a device or a list of addresses, means nothing as ``old -> new`` on one line.
``deepdiff`` finds what differs; it is imported on use, as it takes longer than a whole ``reconcile --version``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import unified_diff
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from reconciler.model.resource import ResourceId
from reconciler.output.escaping import visible
from reconciler.planner.explanation import change_cells
from reconciler.planner.plan import Plan

if TYPE_CHECKING:
    from deepdiff import DeepDiff

CONTEXT = 2  # unchanged lines shown before and after a change of a text
_XML = re.compile(r"\s*<[A-Za-z?]")
_ADDED = ("dictionary_item_added", "iterable_item_added", "set_item_added", "attribute_added")
_REMOVED = ("dictionary_item_removed", "iterable_item_removed", "set_item_removed", "attribute_removed")


def has_lines(value: Any) -> bool:
    """Whether a value is better compared by its parts than shown whole: a list, a mapping, a text of several lines."""
    return isinstance(value, dict | list | tuple) or (isinstance(value, str) and ("\n" in value or _is_xml(value)))


def describe_difference(before: Any, after: Any) -> list[str]:
    """One line for each part that differs, as in a diff: ``- old``, ``+ new``; no line for equal values.

    A part inside a mapping or list is named: ``- rules[0].action: drop``. The order of a list means nothing.
    Values are plain JSON values; characters that cannot be seen are written out.
    """
    present = type(before if after is None else after)
    if present in (str, list, dict):  # nothing is compared as an empty value of the other's type
        before, after = (present() if each is None else each for each in (before, after))
    if isinstance(before, str) and isinstance(after, str):
        return _text_lines(before, after)
    from deepdiff import DeepDiff

    found = DeepDiff(
        before,
        after,
        ignore_order=True,
        report_repetition=False,
        cutoff_distance_for_pairs=0.6,
        cutoff_intersection_for_pairs=0.9,
        view="tree",
    )
    return [line for _, lines in sorted(_entries(found)) for line in lines]


def differences_by_field(plan: Plan) -> dict[tuple[ResourceId, str], list[str]]:
    """What differs of the lists and texts of lines that a plan changes, by resource and field, for its reviewers.

    A field that comes or goes as a whole is not among them: its value says it all.
    """
    found: dict[tuple[ResourceId, str], list[str]] = {}
    for step in plan.steps:
        for change in step.changes:
            values = (change.before, change.after)
            if all(isinstance(value, str | list) and has_lines(value) for value in values):
                name = change_cells(step.resource.kind, change).field
                found[step.resource, name] = describe_difference(*values)
    return found


def _entries(found: DeepDiff) -> Iterable[tuple[str, list[str]]]:
    """Every part that differs by its name, with its lines."""
    for kind, levels in found.items():
        for level in levels:
            name = _name(level.path(output_format="list"))
            if kind in _ADDED:
                yield name, _value_lines("+", _parent(name), level.t2)
            elif kind in _REMOVED:
                yield name, _value_lines("-", _parent(name), level.t1)
            elif isinstance(level.t1, str) and isinstance(level.t2, str) and has_lines(level.t1 + level.t2):
                yield name, [f"{name}:", *(f"  {line}" for line in _text_lines(level.t1, level.t2))]
            else:
                place = name if isinstance(level.t1, dict | list) else _parent(name)
                yield name, [*_value_lines("-", place, level.t1), *_value_lines("+", place, level.t2)]


def _value_lines(sign: str, name: str, value: Any) -> list[str]:
    shown = _shown(value)
    return [f"{sign} {name}: {shown}" if name else f"{sign} {shown}"]


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{visible(key)}: {_shown(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return visible(value)


def _name(path: Sequence[str | int]) -> str:
    """``rules[0].action`` of ``["rules", 0, "action"]``."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += f".{visible(part)}" if name else visible(part)
    return name


def _parent(name: str) -> str:
    """The list of an element that came or went: its place in the list tells people nothing."""
    return re.sub(r"\[\d+\]$", "", name)


def _text_lines(before: str, after: str) -> list[str]:
    """A diff of two texts without its file names; of two XML documents, of their elements."""
    old, new = (_indented(before), _indented(after)) if _is_xml(before) and _is_xml(after) else (before, after)
    diff = list(unified_diff(old.splitlines(), new.splitlines(), n=CONTEXT, lineterm=""))
    if not diff and before != after:
        return ["~ only white space differs"]
    lines = diff[2:]  # after the names of the two files
    return [line if line.startswith("@@ ") else f"{line[0]} {visible(line[1:])}".rstrip() for line in lines]


def _is_xml(text: str) -> bool:
    return bool(_XML.match(text))


def _indented(text: str) -> str:
    """XML with one element a line and sorted attributes; a text that is not well-formed XML as it is."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return text  # entities may expand without end
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return text
    for element in root.iter():
        element.attrib = dict(sorted(element.attrib.items()))
        element.text = (element.text or "").strip() or None
        element.tail = None
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")
