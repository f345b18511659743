"""One look at a host, for whoever wants to see all of it: what is shared by many answers is read once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from reconciler.drivers.base import Spec
from reconciler.drivers.libvirt import observation
from reconciler.drivers.libvirt.host import Holdings, Host
from reconciler.model.resource import ResourceId


class Look(Holdings):
    """A ``Sight`` of a host. Nothing in it is older than the look; it is made anew for each survey, and not kept.

    It is for one thread.
    """

    def __init__(self, host: Host) -> None:
        self.connection, self.node, self.removed = host.connection, host.node, host.removed

    def observe(self, id: ResourceId) -> Spec | None:
        return observation.of(self, id)

    def pools(self) -> list[Any]:
        return self._pools

    def domains(self) -> list[Any]:
        return list(self._domains.values())

    def domain(self, name: str) -> Any:
        return self._domains.get(name)

    def snapshot(self, name: str) -> Any:
        return self._snapshots.get(name)

    def attached(self) -> dict[str, list[tuple[Any, bool]]]:
        return self._attached

    @cached_property
    def _pools(self) -> list[Any]:
        return [_Once(pool) for pool in super().pools()]

    @cached_property
    def _domains(self) -> dict[str, Any]:
        return {domain.name(): _Once(domain) for domain in super().domains()}

    @cached_property
    def _snapshots(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for domain in self.domains():
            for each in domain.listAllSnapshots():
                found.setdefault(each.getName(), each)
        return found

    @cached_property
    def _attached(self) -> dict[str, list[tuple[Any, bool]]]:
        return super().attached()


class _Once:
    """An object of libvirt that is asked each question once; the next time it says the same."""

    def __init__(self, asked: Any) -> None:
        self._asked = asked
        self._answers: dict[tuple[Any, ...], Any] = {}

    def __getattr__(self, question: str) -> Any:
        ask = getattr(self._asked, question)

        def answer(*words: Any) -> Any:
            key = (question, *words)
            if key not in self._answers:
                self._answers[key] = ask(*words)
            return self._answers[key]

        return answer
