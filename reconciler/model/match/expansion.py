"""What a match means in fields of packets: predicates spelled out, prerequisites added, parts as bits of a field."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.match.parser import parse
from reconciler.model.match.symbols import SYMBOLS
from reconciler.model.match.syntax import Comparison, Expression, Junction, Literal, Number, Relation, Resident


def expanded(expression: Expression) -> Expression:
    """The same expression in whole fields and bits of them alone, which a packet either has or has not.

    Comparisons keep their span; what is added for one has the span of that one, but fields and values in it have
    places of their own in texts of the table of symbols.
    """
    match expression:
        case Literal() | Resident():
            return expression
        case Junction(parts):
            return replace(expression, parts=tuple(expanded(part) for part in parts))
    return _expanded_comparison(expression)


def _expanded_comparison(comparison: Comparison) -> Expression:
    symbol = comparison.field.symbol
    if symbol.predicate:
        return _expanded_predicate(comparison)
    needed = [symbol.prerequisite] if symbol.prerequisite else []
    field = comparison.field
    while symbol.parent:
        field = replace(field, symbol=SYMBOLS[symbol.parent], low=field.low + symbol.low)
        symbol = field.symbol
        needed += [symbol.prerequisite] if symbol.prerequisite else []
    plain = replace(comparison, field=field)
    if not needed:
        return plain
    conditions = (_placed(expanded(parse(each)), comparison) for each in needed)
    return Junction((*conditions, plain), any=False, span=comparison.span)


def _expanded_predicate(comparison: Comparison) -> Expression:
    """The expression of a predicate, or its opposite, for each value that it is compared with."""
    parts = []
    for value in comparison.values:
        holds = isinstance(value, Number) and bool(value.value & 1)
        positive = holds is (comparison.relation is Relation.EQ)
        text = comparison.field.symbol.predicate
        parts.append(_placed(expanded(parse(text if positive else f"!({text})")), comparison))
    if len(parts) == 1:
        return parts[0]
    return Junction(tuple(parts), any=comparison.relation is Relation.EQ, span=comparison.span)


def _placed(expression: Expression, comparison: Comparison) -> Expression:
    """The expression with the span of the comparison that it is added for, all parts included."""
    if isinstance(expression, Junction):
        parts = tuple(_placed(part, comparison) for part in expression.parts)
        return replace(expression, parts=parts, span=comparison.span)
    return replace(expression, span=comparison.span)
