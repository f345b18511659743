"""Equal parts of JSON objects as one object in memory: what a fleet shows is the same for most of its machines."""

from __future__ import annotations

import json
from typing import Any

MOST = 4096
"""Parts that are remembered, beyond which it begins anew: those that many have come again soon, the others never."""


class Sharing:
    """Makes equal mappings one object: of JSON texts, or of what is given. So what comes of it is to be read only."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._texts: dict[str, str] = {}
        self.decode = json.JSONDecoder(object_hook=self._shared).decode
        """The value of a text. Raises ``ValueError`` where it is not JSON."""

    def within(self, value: dict[str, Any]) -> dict[str, Any]:
        """A mapping in which each mapping is one with its equals."""
        for name, below in value.items():
            if below.__class__ is dict:
                value[name] = self._shared(self.within(below))
        return value

    def _shared(self, made: dict[str, Any]) -> dict[str, Any]:
        known, texts = self._known, self._texts
        if len(known) > MOST:
            known.clear()
            texts.clear()
        for name, value in made.items():
            if value.__class__ is str:
                made[name] = texts.setdefault(value, value)
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
