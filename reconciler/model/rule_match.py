"""What the match of a rule of access refers to (API section 1.38)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.model.match.tokens import SET_NAME

# Others than names of resources are sets that OVN makes itself: $web_ip4 is the addresses of the port group web.
_OURS = re.compile(r"[a-z0-9][a-z0-9.-]*")


def address_sets(match: str) -> list[str]:
    """The names of the address sets in the match of a rule: ``$dmz`` is the set ``dmz``. Sorted, each once."""
    return sorted({name for name in SET_NAME.findall(match) if _OURS.fullmatch(name)})


def renamed_sets(match: str, names: Mapping[str, str]) -> str:
    """The match with other names of address sets: those that are keys of ``names``."""
    return SET_NAME.sub(lambda found: f"${names.get(found[1], found[1])}", match)
