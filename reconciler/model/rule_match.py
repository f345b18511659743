"""What the match of a rule of access refers to (API section 1.38)."""

from __future__ import annotations

import re

_NAMED = re.compile(r"\$([a-z0-9][a-z0-9.-]*)")


def address_sets(match: str) -> list[str]:
    """The names of the address sets in the match of a rule: ``$dmz`` is the set ``dmz``. Sorted, each once."""
    return sorted(set(_NAMED.findall(match)))
