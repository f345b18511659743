"""What the renaming of a stack did, as text and as JSON. Pure."""

from __future__ import annotations

from typing import Any

from reconciler.apply.stack_rename import StackRename
from reconciler.output.escaping import page
from reconciler.output.text import count


def rename_text(done: StackRename) -> str:
    """One line, and what is left to people."""
    what = f"{count(len(done.resources), 'resource')} and its record"
    return page(
        [f"Renamed the stack {done.old} to {done.new}: {what}.", "Name it so in its Stack document: metadata.name."]
    )


def rename_json(done: StackRename) -> dict[str, Any]:
    """Both names, and the resources whose label was written."""
    return {"from": done.old, "to": done.new, "resources": [str(id) for id in done.resources]}
