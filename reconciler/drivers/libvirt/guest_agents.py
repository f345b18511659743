"""What the guest agents of running machines say of their addresses, asked in the background.

An agent may take as long as it likes, or never answer, so nobody waits for one: what is told is the last answer of
the guest since it booted. Who asks is told of a changed answer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

WORKERS = 4  # agents asked at once: libvirtd works on five requests of a connection, twenty in all
SOON = 2.0  # seconds after which an agent is asked again that had no address yet; then twice as many each time
AGAIN = 60.0  # seconds after which an agent is asked again
UNANSWERED = 300.0  # the same, at most, of one that does not answer
FORGOTTEN = 3600.0  # seconds without a look at a guest after which it is forgotten

NicAddresses: TypeAlias = dict[str, list[str]]
"""MAC in lower case -> addresses."""


@dataclass(slots=True)
class _Guest:
    """One run of a guest. ``due``: when it is asked; ``pause``: seconds until it is asked after that."""

    uuid: str
    name: str
    boot: int
    due: float
    seen: float
    pause: float = SOON
    found: NicAddresses = field(default_factory=dict)
    met: bool = False  # whether it was asked, and answered or failed to
    pending: bool = False


class GuestAgents:
    """The last answers of agents, by the UUID of the machine; for any thread.

    ``ask`` takes the UUID and the domain id of a running machine, blocks until its agent answers, and returns None if
    it does not. ``notice`` is called with the name of a machine whose answer has changed.
    """

    def __init__(
        self,
        ask: Callable[[str, int], NicAddresses | None],
        notice: Callable[[str], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._notice, self._monotonic = ask, notice, monotonic
        self._guests: dict[str, _Guest] = {}
        self._waiting: deque[_Guest] = deque()
        self._workers = 0
        self._changed = threading.Condition()

    def addresses(self, uuid: str, name: str, boot: int) -> NicAddresses:
        """The addresses that the agent of a machine told last; it is asked in the background if it is time to.

        To be called while the agent has its channel open; ``boot`` is the id of the running domain.
        """
        now = self._monotonic()
        with self._changed:
            guest = self._guests.get(uuid)
            if guest is None or guest.boot != boot:
                guest = self._guests[uuid] = _Guest(uuid, name, boot, due=now, seen=now)
            guest.seen, guest.name = now, name
            self._ask_if_due(guest, now)
            return guest.found

    def forget(self, uuid: str) -> None:
        """Forget what the agent of a machine said: it does not answer any more."""
        with self._changed:
            self._guests.pop(uuid, None)

    def ask_again(self) -> None:
        """Ask in the background whom it is time to ask."""
        now = self._monotonic()
        with self._changed:
            for guest in list(self._guests.values()):
                if now - guest.seen > FORGOTTEN:
                    del self._guests[guest.uuid]
                else:
                    self._ask_if_due(guest, now)

    def wait(self, seconds: float) -> None:
        """Wait until every guest that was never asked before has answered, at most so long for all of them."""
        with self._changed:
            self._changed.wait_for(lambda: all(guest.met for guest in self._guests.values()), seconds)

    def _ask_if_due(self, guest: _Guest, now: float) -> None:
        if guest.pending or now < guest.due:
            return
        guest.pending = True
        self._waiting.append(guest)
        if self._workers < WORKERS:
            self._workers += 1
            threading.Thread(target=self._work, name="guest-agents", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._workers -= 1
                    return
                guest = self._waiting.popleft()
            answer = self._ask(guest.uuid, guest.boot)
            with self._changed:
                known = self._guests.get(guest.uuid) is guest
                changed = known and answer is not None and answer != guest.found
                _take(guest, answer, self._monotonic())
                self._changed.notify_all()
            if changed:
                self._notice(guest.name)


def _take(guest: _Guest, answer: NicAddresses | None, now: float) -> None:
    """Enter an answer, and when to ask next. One that fails to answer says what it said last."""
    longest = UNANSWERED if answer is None else AGAIN
    if answer is not None:
        guest.found = answer
    guest.due = now + (AGAIN if answer else guest.pause)
    guest.pause = SOON if answer else min(2 * guest.pause, longest)
    guest.met, guest.pending = True, False
