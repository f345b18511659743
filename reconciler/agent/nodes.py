"""The nodes an agent serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from reconciler.drivers.base import Driver
from reconciler.model.wire import LABEL_HOST


@dataclass(frozen=True, slots=True)
class Nodes:
    """Those for which ``driver_for`` gives a driver; with ``only`` that one and no other.

    Names are those of the label ``host``, the only one that routes (wire format 2.1), in lower case. ``held``
    gives the right to act on a node while one operation runs there; False leaves the operation to whoever has it.
    """

    driver_for: Callable[[str], Driver | None]
    held: Callable[[str], AbstractContextManager[bool]]
    only: str = ""

    @property
    def labels(self) -> Mapping[str, str] | None:
        """What the resources to list and to watch are labelled with; None for all of them."""
        return {LABEL_HOST: self.only} if self.only else None
