"""The syntax tree of a match, and what is wrong with a text that is none.

Negations are carried out while parsing: ``!(a && b == 1)`` is the tree of ``!a || b != 1``. A comparison holds only
where the prerequisites of its field hold as well, which the tree does not repeat; ``expansion.expanded`` adds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from reconciler.model.match.symbols import Symbol


class MatchError(ValueError):
    """Why a text is not a match: ``column`` counts from 1; ``remedy`` is a sentence in the imperative, or empty."""

    def __init__(self, message: str, column: int, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.column, self.remedy = message, column, remedy

    def __str__(self) -> str:
        return f"column {self.column}: {self.message}"


class Relation(StrEnum):
    """How a field and a value are compared."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="

    @property
    def turned(self) -> Relation:
        """The relation with its sides exchanged: ``1 < x`` is ``x > 1``."""
        return _TURNED.get(self, self)

    @property
    def negated(self) -> Relation:
        """The relation that holds exactly where this one does not."""
        return _NEGATED[self]

    @property
    def orders(self) -> bool:
        """Whether it asks which of two is greater."""
        return self not in (Relation.EQ, Relation.NE)


_TURNED = {
    Relation.LT: Relation.GT,
    Relation.LE: Relation.GE,
    Relation.GT: Relation.LT,
    Relation.GE: Relation.LE,
}
_NEGATED = {
    Relation.EQ: Relation.NE,
    Relation.NE: Relation.EQ,
    Relation.LT: Relation.GE,
    Relation.GE: Relation.LT,
    Relation.GT: Relation.LE,
    Relation.LE: Relation.GT,
}


@dataclass(frozen=True, slots=True)
class Span:
    """The part of the text that something was read from: ``text[start:end]``."""

    start: int
    end: int


class Form(Enum):
    """How a number is written."""

    DECIMAL = "a decimal number"
    HEXADECIMAL = "a hexadecimal number"
    IPV4 = "an IPv4 address"
    IPV6 = "an IPv6 address"
    MAC = "a MAC address"

    @property
    def bits(self) -> int:
        """How wide every value of the form is; 0 where that depends on the value."""
        return {Form.IPV4: 32, Form.MAC: 48, Form.IPV6: 128}.get(self, 0)


@dataclass(frozen=True, slots=True)
class Number:
    """A number or address. With a ``mask`` only the bits that are 1 in it are compared; others of ``value`` are 0."""

    value: int
    span: Span
    mask: int | None = None
    form: Form = Form.DECIMAL

    @property
    def bits(self) -> int:
        """How wide a field must be to have the value."""
        if self.mask is not None:
            return self.mask.bit_length()
        return self.form.bits or self.value.bit_length()


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text: the name of a port."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class AddressSet:
    """``$name``: each address of the set. One that has none, or does not exist, equals nothing."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class PortGroup:
    """``@name``: each port of the group."""

    name: str
    span: Span


Constant = Number | Text | AddressSet | PortGroup


@dataclass(frozen=True, slots=True)
class Field:
    """A symbol, or ``width`` of its bits from ``low`` on: ``ip4.dst[28..31]``."""

    symbol: Symbol
    low: int
    width: int  # 0 for texts
    span: Span


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field beside one or several values. ``==`` holds for any of them; every other relation, for all of them."""

    field: Field
    relation: Relation
    values: tuple[Constant, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Literal:
    """``0`` or ``1``: no packet, or every packet."""

    value: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Resident:
    """``is_chassis_resident("port")``: whether the port is on this host, or with ``negated`` whether it is not."""

    port: str
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Junction:
    """Two or more expressions of which all, or with ``any`` at least one, must hold."""

    parts: tuple[Expression, ...]
    any: bool
    span: Span


Expression = Comparison | Literal | Resident | Junction
