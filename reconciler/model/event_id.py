"""What the Event of an operation says (wire format 4.1): its id, and whether it ended."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.model.resource import Resource
from reconciler.model.wire import EVENT_DONE, EVENT_NORMAL

_NOTE = re.compile(r"status:(\w+), .*eventId:([^,]+)")


def done_of(event: Resource) -> Iterator[tuple[str, str, str]]:
    """Event id, type and note, if the Event reports the end of an operation; nothing for any other Event."""
    note = event.get("note") or event.get("message") or ""
    match = _NOTE.search(note)
    if match and match[1].startswith(EVENT_DONE):
        yield match[2], event.get("type", EVENT_NORMAL), note
