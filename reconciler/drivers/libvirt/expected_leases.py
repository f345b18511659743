"""The guests that began to run and have no lease yet: they get one soon, and nobody tells when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.drivers.libvirt.xml_json import Element

AGAIN = 2.0  # seconds after which it is looked again for a lease that is expected
EXPECTED = 120.0  # seconds after the first look at a running guest in which its leases are
FORGOTTEN = 3600.0  # seconds after that

Leased: TypeAlias = Callable[[list[Collection[Element]]], list[bool]]
"""NICs of several guests -> whether any of each has a lease."""


class ExpectedLeases:
    """Looks for them in a thread of its own, since libvirt may not answer. ``leased`` asks it, and does not raise.

    ``notice`` is called with the name of a machine that has got one.
    """

    def __init__(
        self, leased: Leased, notice: Callable[[str], object], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._leased, self._notice, self._monotonic = leased, notice, monotonic
        self._guests: dict[str, _Guest] = {}
        self._lock = threading.Lock()
        self._next = 0.0
        self._looking: threading.Thread | None = None

    def expect(self, name: str, boot: int, nics: Collection[Element]) -> None:
        """Note which NICs of a running machine have no lease yet; ``boot`` is the id of its domain."""
        with self._lock:
            known = self._guests.get(name)
            if not nics:
                self._guests.pop(name, None)
            elif known is not None and known.boot == boot:
                known.nics = nics
            else:
                self._guests[name] = _Guest(boot, nics, self._monotonic() + EXPECTED)

    def look(self) -> None:
        """Have it looked for those that are expected, if it is time to."""
        now = self._monotonic()
        with self._lock:
            self._guests = {name: guest for name, guest in self._guests.items() if now - guest.until < FORGOTTEN}
            waiting = {name: guest.nics for name, guest in self._guests.items() if now < guest.until}
        busy = self._looking is not None and self._looking.is_alive()
        if waiting and now >= self._next and not busy:
            self._next = now + AGAIN
            self._looking = threading.Thread(target=self._look_for, args=(waiting,), name="leases", daemon=True)
            self._looking.start()

    def _look_for(self, waiting: dict[str, Collection[Element]]) -> None:
        for name, found in zip(waiting, self._leased(list(waiting.values())), strict=True):
            if found:
                self._notice(name)


@dataclass(slots=True)
class _Guest:
    boot: int
    nics: Collection[Element]
    until: float  # when its leases are not expected any more
