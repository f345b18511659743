"""Equal parts of JSON objects as one object in memory: what a fleet shows is the same for most of its machines."""

from __future__ import annotations

import json
from typing import Any

MOST = 4096
"""Parts that are remembered, beyond which it begins anew: those that many have come again soon, the others never."""


class Sharing:
    """Decodes JSON texts, whose equal mappings become one object. So what comes of it is to be read only."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.decode = json.JSONDecoder(object_hook=self._shared).decode
        """The value of a text. Raises ``ValueError`` where it is not JSON."""

    def _shared(self, made: dict[str, Any]) -> dict[str, Any]:
        known = self._known
        if len(known) > MOST:
            known.clear()
        # By value where that is a text or a number, else by identity, which what is remembered keeps alive.
        key = tuple(
            [
                (name, value)
                if value.__class__ is str
                else (name, value, int)
                if value.__class__ is int
                else (name, id(value))
                for name, value in made.items()
            ]
        )
        return known.setdefault(key, made)
