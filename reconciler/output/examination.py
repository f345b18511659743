"""The examination of a cluster, for people and for programs. Pure."""

from __future__ import annotations

from typing import Any

from reconciler.model.examination import Examination
from reconciler.output.escaping import page
from reconciler.output.text import count


def examination_text(found: Examination) -> str:
    """A line for each fault and what is done about it, and the total."""
    where = f"{found.path}: " if found.path else ""
    if not found.faults:
        return page([f"{where}nothing is wrong with {count(found.records, 'record')}."])
    lines = []
    for each in found.faults:
        lines.append(f"{each.record}: {each.message}")
        if each.remedy:
            lines.append(f"    {'Done' if found.mended else 'With --fix'}: {each.remedy}.")
        else:
            lines.append(f"    {each.advice}")
    mended = f"Mended; the file as it was: {found.backup}" if found.backup else "Mended" if found.mended else ""
    if not any(each.remedy for each in found.faults):
        mended = ""
    total = f"{count(len(found.faults), 'fault')} in {count(found.records, 'record')}"
    return page([*lines, "", f"{where}{total}. {mended or 'Nothing was changed'}."])


def examination_json(found: Examination) -> dict[str, Any]:
    """The same as values."""
    return {
        "path": found.path or None,
        "records": found.records,
        "sound": found.sound,
        "backup": found.backup or None,
        "faults": [each._asdict() for each in found.faults],
    }
