"""The examination of a cluster file, for people and for programs. Pure."""

from __future__ import annotations

from typing import Any

from reconciler.clusters.local.integrity import Examination
from reconciler.output.escaping import page
from reconciler.output.text import count


def examination_text(found: Examination) -> str:
    """A line for each fault and what is done about it, and the total."""
    if not found.faults:
        return page([f"{found.path}: nothing is wrong with {count(found.records, 'record')}."])
    lines = []
    for each in found.faults:
        lines.append(f"{each.record}: {each.message}")
        if each.remedy:
            lines.append(f"    {'Done' if found.backup else 'With --fix'}: {each.remedy}.")
        else:
            lines.append("    Bring back a copy of the file, or begin a new one and adopt what the nodes have.")
    mended = f"Mended; the file as it was: {found.backup}" if found.backup else "Nothing was changed"
    return page([*lines, "", f"{count(len(found.faults), 'fault')} in {count(found.records, 'record')}. {mended}."])


def examination_json(found: Examination) -> dict[str, Any]:
    """The same as values."""
    return {
        "path": found.path,
        "records": found.records,
        "sound": found.sound,
        "backup": found.backup or None,
        "faults": [{"record": each.record, "message": each.message, "remedy": each.remedy} for each in found.faults],
    }
