"""What a stack owns and no longer describes: recorded when it is applied; only this may go over to another stack.

The manifests of a stack are known to nobody but those who apply it. So its journal says what of its resources no
manifest describes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from reconciler.clusters.base import JournalStore
from reconciler.model.journal import UNDESCRIBED, entries_of_stack
from reconciler.model.resource import ResourceId

MOST = 1_000  # resources that an entry names: a ConfigMap holds 1 MiB; what is not named does not go over
RECENT = 200  # entries among which the last such entry is looked for


def record_undescribed(store: JournalStore, stack: str, ids: Iterable[ResourceId], at: str, *, ran: bool) -> None:
    """Write it, unless nothing ``ran`` and the recent entries say the same. Raises ``ClusterError``."""
    names = [list(id) for id in sorted(ids)[:MOST]]
    if not ran:
        recent = store.records(stack, newest=RECENT)
        said = _last_said(recent)
        if said == names or (said is None and not names and len(recent) < RECENT):
            return
    store.record(stack, {"phase": UNDESCRIBED, "at": at, "resources": names})


def read_undescribed(store: JournalStore, stacks: Collection[str]) -> dict[str, frozenset[ResourceId]]:
    """What each of these stacks owned and did not describe when it was last applied; nothing where it does not say."""
    found = {}
    for stack in stacks:
        found[stack] = frozenset(ResourceId(*names) for names in _last_said(store.records(stack)) or ())
    return found


def _last_said(entries: Iterable[Mapping[str, Any]]) -> list[list[str]] | None:
    """The resources of the last such entry; None without one."""
    said = [entry["resources"] for entry in entries_of_stack(entries) if entry.get("phase") == UNDESCRIBED]
    return said[-1] if said else None
