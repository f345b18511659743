"""What the Event of an operation says (wire format 4.1): its id, and whether it ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from reconciler.model.resource import Resource
from reconciler.model.wire import EVENT_DONE, EVENT_EXISTED, EVENT_LOST, EVENT_NORMAL

_NOTE = re.compile(r"status:(\w+), .*eventId:([^,]+)")


class OperationEnd(NamedTuple):
    """The end of an operation as an Event reports it.

    ``lost``: its agent died, so that nobody knows how far it came; ``existed``: the node had what was to be created
    before. The type is then that of a failure.
    """

    event_id: str
    type: str
    note: str
    lost: bool = False
    existed: bool = False


def ends_of(event: Resource) -> Iterator[OperationEnd]:
    """The end of an operation that the Event reports; nothing for any other Event."""
    note = event.get("note") or event.get("message") or ""
    match = _NOTE.search(note)
    if match and match[1].startswith((EVENT_DONE, EVENT_LOST, EVENT_EXISTED)):
        type = event.get("type", EVENT_NORMAL)
        yield OperationEnd(match[2], type, note, match[1] == EVENT_LOST, match[1] == EVENT_EXISTED)
