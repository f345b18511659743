"""What a row of the catalogue is: something that can be done to a kind, and with which parameters.

Rows come from the API's own document (sections 1.1 to 8.12); ``section`` names the place. The key of a
row is (kind, name): a few names exist on two kinds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.wire import OWN_AGENT, UNIVIRT


class Verb(StrEnum):
    """How an operation reaches the cluster."""

    CREATE = "create"  # a new resource that carries the operation
    UPDATE = "update"  # the operation is put on the existing resource
    DELETE = "delete"  # as update; the agent removes the resource afterwards


class Impact(StrEnum):
    """What an operation does to the running guest, mildest first."""

    NONE = "none"
    LIVE = "live"
    INTERRUPT = "interrupt"
    RESTART = "restart"
    RECREATE = "recreate"
    DATA = "data"

    @property
    def needs_permission(self) -> bool:
        """Whether a step of this impact is held until it is allowed."""
        return self not in (Impact.NONE, Impact.LIVE)


IMPACT_MEANING = {  # what happens to the guest, for documents
    Impact.NONE: "the guest does not notice",
    Impact.LIVE: "it notices and loses nothing",
    Impact.INTERRUPT: "it goes on, but loses a disk, NIC, address, network path, allowed flow or memory, or pauses, "
    "for a moment or for good",
    Impact.RESTART: "it is stopped or restarted",
    Impact.RECREATE: "the VM is removed, and would have to be created again",
    Impact.DATA: "data is lost",
}


class Unit(StrEnum):
    """What a number on the wire counts."""

    BYTES = "bytes"
    KIB = "KiB"
    MIB = "MiB"
    BYTES_PER_SECOND = "bytes/s"
    KIB_PER_SECOND = "KiB/s"
    KBPS = "kbps"
    IOPS = "operations/s"


class LimitSource(StrEnum):
    """Who a limit of a parameter comes from; that decides where it binds."""

    DOCUMENT = "API document"  # binds what is sent to the existing back end
    BACK_END = "back end"  # what the program that carries it out is able to do: binds what is sent to that one
    CLIENT = "client pattern"  # of the Java client: binds who sends through it, so nothing that is sent here


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of a parameter that binds in some places only. What it does not give is as the parameter has it."""

    source: LimitSource
    minimum: int | None = None  # of a decimal string; both or none
    maximum: int | None = None
    pattern: str = ""  # Python regular expression, matched whole
    enum: tuple[str, ...] = ()
    required: bool = False
    said: str = ""  # in words for people, for a pattern: what it accepts


# The client's patterns bind nobody who writes to the cluster, as this program does.
_BINDING = {UNIVIRT: (LimitSource.DOCUMENT, LimitSource.BACK_END), OWN_AGENT: ()}
_WORKS_BUT = "works, but "  # begins a clause of what the existing back end carries out with a caveat


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. Numbers travel as decimal strings, switches as JSON booleans (or, where the
    document has them so, as the text of ``enum``).

    What it accepts here binds everywhere; narrower limits of some places are in ``limits``.
    """

    name: str
    doc: str
    type: str = "string"  # string | boolean
    required: bool = False
    pattern: str = ""  # Python regular expression, matched whole
    form: str = ""  # the pattern in words, where an example does not tell
    enum: tuple[str | bool, ...] = ()
    unit: Unit | None = None
    minimum: int | None = None  # of a decimal string
    maximum: int | None = None
    excludes: tuple[str, ...] = ()  # parameters that may not be given along with this one
    needs: tuple[str, ...] = ()  # parameters that must be given along with this one
    secret: bool = False
    example: str = ""
    limits: tuple[Limit, ...] = ()

    def binding(self, agent: str) -> tuple[Limit, ...]:
        """The narrower limits that bind where an agent serves the node."""
        sources = _BINDING.get(agent, ())
        return tuple(limit for limit in self.limits if limit.source in sources)


@dataclass(frozen=True, slots=True)
class Operation:
    """One row: what it is called, takes, needs and leaves, and what it does to a guest."""

    kind: str
    name: str
    section: str
    verb: Verb
    doc: str
    parameters: tuple[Parameter, ...] = ()
    needs: tuple[str, ...] = ()  # what must hold before, one clause each
    leaves: str = ""  # what is seen on the resource afterwards
    fields: tuple[str, ...] = ()  # manifest fields that move it, "Kind.field" of another kind; none: on request
    running: Impact = Impact.NONE  # impact on a guest that runs, at most: a row of the rules says when it is less
    stopped: Impact = Impact.NONE  # impact when it does not
    univirt: str = ""  # how the existing back end treats it: "", or why it does not work there
    univirt_names: tuple[tuple[str, str], ...] = ()  # parameter -> its name there; "" for one it has no need of
    univirt_lacks: tuple[str, ...] = ()  # parameters that make it fail there, or do nothing without a word
    univirt_ignores: tuple[tuple[str, str], ...] = ()  # parameter -> pattern of what in its text does nothing there
    univirt_unseen: bool = False  # what it leaves is never shown there: the Event of its end is all that tells of it
    univirt_layered: bool = False  # whether its caveat there is about disks that lie on an image: they are refused
    deprecated: bool = False
    forces: bool = False  # may take the place of another that still waits to be picked up (wire format 2.5)

    @property
    def key(self) -> str:
        """The key under ``spec.lifecycle``: the name with its first letter in lower case (wire format 2.1)."""
        return self.name[0].lower() + self.name[1:]

    @property
    def creates(self) -> bool:
        """Whether its resource is there because it has run."""
        return self.verb is Verb.CREATE and "metadata" in self.fields

    @property
    def removes(self) -> bool:
        """Whether its resource is gone once it has run."""
        return self.verb is not Verb.CREATE and ("metadata" in self.fields or self.running is Impact.RECREATE)

    @property
    def on_univirt(self) -> bool:
        """Whether the existing back end carries it out, be it with a caveat (wire format 6)."""
        return not self.univirt or self.univirt.startswith(_WORKS_BUT)

    @property
    def univirt_caveat(self) -> str:
        """What is missing there of an operation that works otherwise, or why it does not; empty if nothing is."""
        return self.univirt.removeprefix(_WORKS_BUT)

    def on(self, agent: str) -> bool:
        """Whether an agent carries it out; the driver of 'reconcile agent' says besides what it does not."""
        return agent != UNIVIRT or self.on_univirt

    def parameters_for(self, agent: str, parameters: Mapping[str, str | bool]) -> dict[str, str | bool]:
        """Parameters by the names under which the agent takes them (wire format 6), as they go on the wire."""
        names = dict(self.univirt_names) if agent == UNIVIRT else {}
        return {names.get(name, name): value for name, value in parameters.items() if names.get(name, name)}

    def lacking(self, agent: str, parameters: Mapping[str, object]) -> list[str]:
        """Which of the parameters, and what in their texts, the agent does not have."""
        if agent != UNIVIRT:
            return []
        texts = ((re.search(pattern, str(parameters.get(name, ""))), name) for name, pattern in self.univirt_ignores)
        return [
            *(name for name in parameters if name in self.univirt_lacks),
            *(f"{found[0]} in {name}" for found, name in texts if found),
        ]
