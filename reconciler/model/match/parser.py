"""Text -> syntax tree, by the grammar and the rules of types of OVN's match language (ovn-sb(5), Logical_Flow).

Narrower than OVN where it would accept what cannot be meant: ``<`` beside a set whose values nobody knows yet.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import NamedTuple

from reconciler.model.match.symbols import SYMBOLS, Symbol
from reconciler.model.match.syntax import (
    AddressSet,
    Comparison,
    Constant,
    Expression,
    Field,
    Form,
    Junction,
    Literal,
    MatchError,
    Number,
    PortGroup,
    Relation,
    Resident,
    Span,
    Text,
)
from reconciler.model.match.tokens import Kind, Token, tokens

DEEPEST = 90  # parentheses in one another. OVN takes 100, and puts the match of a rule into some of its own
_RELATIONS = tuple(Relation)
_RANGES = ({Relation.LT, Relation.LE}, {Relation.GT, Relation.GE})
_EXPECTED_RELATION = "==, !=, <, <=, > or >="


@lru_cache(maxsize=4096)  # rules are much alike, and each is asked about several times
def parse(text: str) -> Expression:
    """The tree of a match. Raises ``MatchError`` about the first place where it is wrong."""
    return _Parser(text).whole()


class _Values(NamedTuple):
    """One value, or the values of a set in braces."""

    items: tuple[Constant, ...]
    braces: bool
    span: Span


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._token = next(self._tokens)
        self._end = 0  # of the token before
        self._negated = False  # inside an odd number of negations
        self._depth = 0

    def whole(self) -> Expression:
        if self._at_end():
            raise MatchError("there is nothing to match", 1, "Write which packets: ip4, tcp.dst == 443.")
        expression = self._expression()
        if not self._at_end():
            raise self._unexpected("&&, || or the end")
        return expression

    def _at_end(self) -> bool:
        return self._token.kind is Kind.END

    def _next(self) -> Token:
        token, self._end = self._token, self._token.span.end
        if token.kind is not Kind.END:
            self._token = next(self._tokens)
        return token

    def _taken(self, sign: str) -> bool:
        """Whether the token is the sign, which is taken then."""
        if self._token.is_sign(sign):
            self._next()
            return True
        return False

    def _require(self, sign: str) -> None:
        if not self._taken(sign):
            raise self._unexpected(sign)

    def _span(self, start: int) -> Span:
        return Span(start, self._end)

    def _unexpected(self, expected: str, remedy: str = "") -> MatchError:
        span = self._token.span
        found = "the end" if self._token.kind is Kind.END else self._text[span.start : span.end][:40]
        return MatchError(f"expected {expected}, not {found}", span.start + 1, remedy)

    def _expression(self) -> Expression:
        start = self._token.span.start
        parts = [self._operand()]
        if not self._token.is_sign("&&", "||"):
            return parts[0]
        sign = self._token.text
        while self._taken(sign):
            parts.append(self._operand())
        if self._token.is_sign("&&", "||"):
            message = "&& and || need parentheses where they are used together"
            raise MatchError(message, self._token.span.start + 1, "Write (a && b) || c, or a && (b || c).")
        return Junction(tuple(parts), (sign == "||") is not self._negated, self._span(start))

    def _operand(self) -> Expression:
        if not self._token.is_sign("!"):
            return self._primary()[0]
        at = self._next().span.start
        self._negated = not self._negated
        expression, atomic = self._primary()
        self._negated = not self._negated
        if not atomic:
            inner = self._text[expression.span.start : expression.span.end]
            message = "! needs parentheses around what it negates"
            raise MatchError(message, at + 1, f"Write !({inner}).")
        return expression

    def _primary(self) -> tuple[Expression, bool]:
        """An expression that no sign joins to others, and whether ``!`` may stand before it."""
        token = self._token
        if token.is_sign("("):
            return self._parenthesized(), True
        if token.kind is not Kind.NAME:
            return self._constant_first()
        start = token.span.start
        if token.text == "is_chassis_resident":
            return self._resident(), True
        field = self._field()
        if not self._token.is_sign(*_RELATIONS):
            return self._bare(field), True
        relation = Relation(self._next().text)
        return self._comparison(field, relation, self._values(), start), False

    def _parenthesized(self) -> Expression:
        opening = self._next()
        if self._depth >= DEEPEST:
            raise MatchError("parentheses are nested too deeply", opening.span.start + 1, "Write several rules.")
        self._depth += 1
        expression = self._expression()
        self._depth -= 1
        if not self._token.is_sign(")"):
            raise self._unexpected(f"the ) for the ( at column {opening.span.start + 1}, && or ||")
        self._next()
        return expression

    def _resident(self) -> Expression:
        start = self._next().span.start
        self._require("(")
        if self._token.kind is not Kind.TEXT:
            raise self._unexpected("the name of a port in double quotes")
        port = self._next().text
        self._require(")")
        return Resident(port, self._negated, self._span(start))

    def _bare(self, field: Field) -> Expression:
        """A field by itself: it is not 0."""
        at = field.span.end + 1
        symbol = field.symbol
        if not field.width or self._token.is_sign("="):
            remedy = "Write == to compare." if self._token.is_sign("=") else ""
            raise self._unexpected(f"{_EXPECTED_RELATION} behind {symbol.name}", remedy)
        if field.width > 1 and not self._negated:
            message = f"{symbol.name} has {field.width} bits and must be compared with a value"
            raise MatchError(message, at, f"Write {symbol.name} != 0, or the value that is meant.")
        zero = Number(0, field.span)
        return self._comparison(field, Relation.NE, _Values((zero,), False, field.span), field.span.start)

    def _constant_first(self) -> tuple[Expression, bool]:
        """``80 == tcp.dst``, ``1 <= tcp.dst <= 1024``, or the literals 0 and 1."""
        token = self._token
        if (token.kind is Kind.SIGN and token.text != "{") or token.kind is Kind.END:
            raise self._unexpected("a field, such as ip4.src or tcp.dst, or (")
        start, values = token.span.start, self._values()
        if not self._token.is_sign(*_RELATIONS):
            literal = token.kind is Kind.NUMBER and token.form is Form.DECIMAL and token.mask is None
            if literal and token.value <= 1:
                return Literal(bool(token.value) is not self._negated, token.span), True
            raise self._unexpected(_EXPECTED_RELATION)
        relation = Relation(self._next().text)
        field = self._field()
        if not self._token.is_sign(*_RELATIONS):
            return self._comparison(field, relation.turned, values, start), False
        return self._range(values, relation, field, start), False

    def _range(self, low: _Values, first: Relation, field: Field, start: int) -> Expression:
        place = self._token.span.start + 1
        second = Relation(self._next().text)
        high = self._values()
        if not any({first, second} <= signs for signs in _RANGES):
            message = f"a range has the same direction on both sides of {field.symbol.name}"
            raise MatchError(message, place, f"Write low <= {field.symbol.name} <= high.")
        parts = (
            self._comparison(field, first.turned, low, start),
            self._comparison(field, second, high, field.span.start),
        )
        return Junction(parts, self._negated, self._span(start))

    def _field(self) -> Field:
        token = self._token
        if token.kind is not Kind.NAME:
            raise self._unexpected("a field, such as ip4.src or tcp.dst")
        symbol = SYMBOLS.get(token.text)
        if symbol is None:
            near = difflib.get_close_matches(token.text, SYMBOLS, n=1, cutoff=0.5)
            remedy = f"Did you mean {near[0]}?" if near else ""
            raise MatchError(f"OVN has no field {token.text[:40]}", token.span.start + 1, remedy)
        self._next()
        low, width = 0, symbol.width
        if self._token.is_sign("["):
            low, width = self._bits(symbol)
        return Field(symbol, low, width, self._span(token.span.start))

    def _bits(self, symbol: Symbol) -> tuple[int, int]:
        """The bits in brackets: the lowest, and how many."""
        at = self._next().span.start + 1
        if not symbol.width:
            raise MatchError(f"{symbol.name} is a text and has no bits", at)
        low = self._bit()
        high = self._bit() if self._taken("..") else low
        self._require("]")
        if low > high:
            raise MatchError(f"bits {low} to {high} are none", at, f"Write [{high}..{low}].")
        if high >= symbol.width:
            raise MatchError(f"{symbol.name} has {symbol.width} bits, 0 to {symbol.width - 1}", at)
        if symbol.nominal and (low, high) != (0, symbol.width - 1):
            raise MatchError(f"the bits of {symbol.name} cannot be told apart", at, "Compare its whole value.")
        return low, high - low + 1

    def _bit(self) -> int:
        token = self._token
        if token.kind is not Kind.NUMBER or token.form is not Form.DECIMAL or token.mask is not None:
            raise self._unexpected("the number of a bit")
        return self._next().value

    def _values(self) -> _Values:
        start = self._token.span.start
        if not self._taken("{"):
            return _Values((self._constant(),), False, self._span(start))
        items = [self._constant()]
        self._taken(",")
        while not self._taken("}"):
            if self._token.kind is Kind.END:
                raise self._unexpected(f"the }} for the {{ at column {start + 1}")
            items.append(self._constant())
            if _is_text(items[-1]) is not _is_text(items[0]):
                raise MatchError("a set has either texts or numbers", items[-1].span.start + 1)
            self._taken(",")
        return _Values(tuple(items), True, self._span(start))

    def _constant(self) -> Constant:
        token = self._token
        match token.kind:
            case Kind.NUMBER:
                constant: Constant = Number(token.value, token.span, token.mask, token.form)
            case Kind.TEXT:
                constant = Text(token.text, token.span)
            case Kind.ADDRESS_SET:
                constant = AddressSet(token.text, token.span)
            case Kind.PORT_GROUP:
                constant = PortGroup(token.text, token.span)
            case _:
                raise self._unexpected("a number, an address, $set or {...}")
        self._next()
        return constant

    def _comparison(self, field: Field, relation: Relation, values: _Values, start: int) -> Expression:
        for value in values.items:
            _check_type(field, value, self._text)
        if relation.orders:
            _check_order(field, values)
        if field.symbol.nominal:
            self._check_nominal(field, relation, values)
        return Comparison(field, relation.negated if self._negated else relation, values.items, self._span(start))

    def _check_nominal(self, field: Field, relation: Relation, values: _Values) -> None:
        """That a comparison with a nominal symbol says what it is, and not what it is not."""
        name, at = field.symbol.name, field.span.start + 1
        unequal = (relation is Relation.NE) is not self._negated
        if not field.symbol.predicate:
            if unequal:
                message = f"OVN can only tell what {name} is, not what it is not"
                raise MatchError(message, at, f"Write {name} == with the values that are meant.")
        elif any(isinstance(value, Number) and bool(value.value & 1) is unequal for value in values.items):
            message = f"OVN can only tell that a packet is {name}, not that it is not"
            raise MatchError(message, at, "Write what it is instead, or two rules: the one of higher priority wins.")


def _is_text(value: Constant) -> bool:
    return isinstance(value, Text | PortGroup)


def _check_type(field: Field, value: Constant, text: str) -> None:
    symbol, at = field.symbol, value.span.start + 1
    written = text[value.span.start : value.span.end][:40]
    if _is_text(value) is not (symbol.width == 0):
        is_, wants = ("a text", 'a port: "name" or @group') if not symbol.width else ("a number", "a number")
        raise MatchError(f"{symbol.name} is {is_} and cannot be {written}: expected {wants}", at)
    if isinstance(value, Number):
        if value.bits > symbol.width:
            largest = f" (at most {2**symbol.width - 1})" if symbol.width < _ADDRESS_BITS else ""
            raise MatchError(f"{symbol.name} has {symbol.width} bits{largest}, and {written} needs {value.bits}", at)
    elif isinstance(value, AddressSet) and symbol.width < _ADDRESS_BITS:
        raise MatchError(f"{symbol.name} has {symbol.width} bits and cannot be an address of {written}", at)


_ADDRESS_BITS = 32  # of the shortest address that a set may have


def _check_order(field: Field, values: _Values) -> None:
    name, at = field.symbol.name, values.span.start + 1
    if not field.symbol.ordered:
        what = "texts" if not field.symbol.width else "values without an order"
        raise MatchError(f"{name} has {what}: only == and != compare it", field.span.start + 1)
    first = values.items[0]
    if values.braces or isinstance(first, AddressSet):
        raise MatchError("only == and != compare with a set", at)
    if isinstance(first, Number) and first.mask is not None:
        raise MatchError("only == and != compare with a masked value", at, f"Compare some bits of it: {name}[0..7].")
