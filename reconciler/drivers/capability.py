"""What a driver carries out, as data: a row for every operation of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from reconciler.drivers.operation import UNSUPPORTED, refuse


class Level(StrEnum):
    """Whether an operation is carried out; with a caveat: not everything that the API documents of it."""

    YES = "yes"
    CAVEAT = "caveat"
    NO = "no"


class Only(NamedTuple):
    """The values of a parameter that are carried out: of its key ``option`` where it is a text like ``type=a,ip=b``."""

    parameter: str
    values: tuple[str, ...]
    option: str = ""

    @property
    def named(self) -> str:
        """What the values are of: the parameter, or the option in it."""
        return self.option or self.parameter

    def refused(self, parameters: Mapping[str, object]) -> str:
        """The value among the parameters that is not carried out; empty if there is none."""
        given = str(parameters.get(self.parameter, ""))
        options = dict(word.partition("=")[::2] for word in given.split(","))
        value = options.get(self.option, "") if self.option else given
        return "" if value in self.values else value


class Support(NamedTuple):
    """How far an operation is carried out; ``reason`` says what is missing, and why."""

    level: Level
    reason: str = ""
    only: tuple[Only, ...] = ()  # what is missing, as far as parameters tell


YES = Support(Level.YES)


def caveat(reason: str, *only: Only) -> Support:
    """Carried out except for what ``reason`` says, and for other values than ``only``."""
    return Support(Level.CAVEAT, reason, only)


def no(reason: str) -> Support:
    """Not carried out, for a reason."""
    return Support(Level.NO, reason)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the driver of a name carries out; ``rows`` has kind and operation."""

    driver: str
    rows: Mapping[tuple[str, str], Support]

    def of(self, kind: str, operation: str) -> Support:
        """The row of an operation; what has none is not carried out."""
        return self.rows.get((kind, operation)) or no(f"{operation} is not an operation of {kind}")

    def supports(self, kind: str, operation: str) -> bool:
        """Whether the operation is carried out, be it with a caveat."""
        return self.of(kind, operation).level is not Level.NO

    @property
    def supported(self) -> frozenset[tuple[str, str]]:
        """Kind and name of every operation that is carried out."""
        return frozenset(row for row in self.rows if self.supports(*row))

    def require(self, kind: str, operation: str) -> None:
        """Refuse an operation that is not carried out; raises ``OperationFailed``."""
        if not self.supports(kind, operation):
            reason = self.of(kind, operation).reason
            refuse(UNSUPPORTED, f"the driver {self.driver} does not carry out {operation} of {kind}: {reason}")
