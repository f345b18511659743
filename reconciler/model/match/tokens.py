"""The words of a match: text -> tokens, each with its place.

Wider than OVN in one thing: names of address sets may have dashes and begin with a digit, as names of resources do.
Narrower in one: comments are refused, as OVN writes more of its own behind a match, and on the same line.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from reconciler.model.match.syntax import Form, MatchError, Span

SET_NAME = re.compile(r"\$([A-Za-z0-9_.-]+)")


class Kind(Enum):
    """What a token is. A sign is told apart from others by its text."""

    END = auto()
    SIGN = auto()
    NAME = auto()
    NUMBER = auto()
    TEXT = auto()
    ADDRESS_SET = auto()
    PORT_GROUP = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a match. ``text`` is as written, or what a quoted text or ``$name`` says."""

    kind: Kind
    text: str
    span: Span
    value: int = 0
    mask: int | None = None
    form: Form = Form.DECIMAL

    def is_sign(self, *signs: str) -> bool:
        """Whether it is one of these signs."""
        return self.kind is Kind.SIGN and self.text in signs


_BLANK = re.compile(r"[ \t\n\r\v\f]*")
_SIGN = re.compile(r"==|!=|<=|>=|<->|&&|\|\||\.\.|--|[(){}\[\]=!<>,;:-]")
_NAME = re.compile(r"[A-Za-z_.][A-Za-z0-9_.]*")
# Letters, digits and colons, then single dots, behind which a colon is no part of it: 10.0.0.1, ::ffff:10.0.0.1, 0x1f.
_NUMBER = re.compile(r"[A-Za-z0-9:]*(?:\.(?!\.)[A-Za-z0-9]*)*")
_ADDRESS_AHEAD = re.compile(r"[0-9]|::|[0-9A-Fa-f]+:")
_GROUP = re.compile(r"@([A-Za-z_.][A-Za-z0-9_.]*)")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
_HALVES = {"&": "&&", "|": "||"}


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a match and an END behind them. Raises ``MatchError`` at the first that cannot be one."""
    at = 0
    while True:
        at = _end(_BLANK, text, at)
        if at == len(text):
            yield Token(Kind.END, "", Span(at, at))
            return
        token = _token(text, at)
        yield token
        at = token.span.end


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found is not None else at


def _token(text: str, at: int) -> Token:
    first = text[at]
    if _ADDRESS_AHEAD.match(text, at):
        return _number(text, at)
    if first == '"':
        return _quoted(text, at)
    if first == "$":
        return _named(text, at, Kind.ADDRESS_SET, SET_NAME, "the name of an address set")
    if first == "@":
        return _named(text, at, Kind.PORT_GROUP, _GROUP, "the name of a port group")
    if (first != "." or text.startswith("..", at)) and (found := _SIGN.match(text, at)):
        return Token(Kind.SIGN, found[0], Span(at, found.end()))
    if first != "." and (found := _NAME.match(text, at)):
        return Token(Kind.NAME, found[0], Span(at, found.end()))
    raise _no_token(text, at)


def _no_token(text: str, at: int) -> MatchError:
    first = text[at]
    if first in _HALVES:
        return MatchError(f"expected {_HALVES[first]}, not a single {first}", at + 1, f"Write {_HALVES[first]}.")
    if text.startswith(("//", "/*"), at):
        return MatchError("a rule has no room for comments", at + 1, "Remove the comment.")
    if first == "/":
        return MatchError("'/' stands only between an address and its mask, without blanks", at + 1)
    return MatchError(f"unexpected character {first!r}", at + 1, "Remove it.")


def _named(text: str, at: int, kind: Kind, pattern: re.Pattern[str], what: str) -> Token:
    found = pattern.match(text, at)
    if found is None:
        raise MatchError(f"expected {what} behind {text[at]}", at + 1)
    return Token(kind, found[1], Span(at, found.end()))


def _quoted(text: str, at: int) -> Token:
    found = _TEXT.match(text, at)
    if found is None:
        raise MatchError("a quoted text has no end", at + 1, 'Add the closing ".')
    try:
        value = json.loads(found[0], strict=False)
    except ValueError:
        raise MatchError(f"{found[0]} is not a text as JSON writes it", at + 1) from None
    return Token(Kind.TEXT, value, Span(at, found.end()))


def _number(text: str, at: int) -> Token:
    """A number or address, with its mask."""
    end = _end(_NUMBER, text, at)
    word = text[at:end]
    form, value = _value(word, at)
    if not text.startswith("/", end) or text.startswith(("//", "/*"), end):
        return Token(Kind.NUMBER, word, Span(at, end), value, form=form)
    start = end + 1
    end = _end(_NUMBER, text, start)
    if end == start:
        raise MatchError("expected a mask or prefix length behind /", start + 1)
    mask_form, mask = _value(text[start:end], start)
    if mask_form is not form:
        mask, form = _other_mask(form, value, mask_form, mask, start)
    return Token(Kind.NUMBER, text[at:end], Span(at, end), value & mask, mask, form)


def _other_mask(form: Form, value: int, mask_form: Form, mask: int, at: int) -> tuple[int, Form]:
    """The mask of a number that is written in another form than the number, and the form of both."""
    bits = form.bits if form is not Form.MAC else 0
    if bits and mask_form is Form.DECIMAL:
        if mask > bits:
            raise MatchError(f"prefix length {mask} is out of range: 0 to {bits}", at + 1)
        return ((1 << mask) - 1) << (bits - mask), form
    if form is Form.DECIMAL and mask_form is Form.HEXADECIMAL and value == 0:
        return mask, mask_form
    what = f"{form.value} or a prefix length" if bits else form.value
    raise MatchError(f"expected a mask written as {what}, not as {mask_form.value}", at + 1)


def _value(word: str, at: int) -> tuple[Form, int]:
    """How a word is written and what it says; addresses as numbers."""
    if _MAC.fullmatch(word):
        return Form.MAC, int(word.replace(":", ""), 16)
    if word.isdecimal():
        return Form.DECIMAL, _decimal(word, at)
    if word[:2] in ("0x", "0X"):
        return Form.HEXADECIMAL, _hexadecimal(word, at)
    try:
        address = ipaddress.ip_address(word)
    except ValueError:
        raise MatchError(f"{word} is neither a number nor an IPv4, IPv6 or MAC address", at + 1) from None
    return Form.IPV4 if address.version == 4 else Form.IPV6, int(address)


def _decimal(word: str, at: int) -> int:
    if word[0] == "0" and len(word) > 1:
        raise MatchError(f"{word} begins with 0", at + 1, f"Write {word.lstrip('0') or '0'}.")
    if len(word) > 20 or int(word) >= 2**64:
        raise MatchError(f"{word[:30]} is too large: decimal numbers are less than 2**64", at + 1)
    return int(word)


def _hexadecimal(word: str, at: int) -> int:
    if not re.fullmatch("[0-9A-Fa-f]+", word[2:]):
        raise MatchError(f"{word} is not a hexadecimal number", at + 1)
    value = int(word[2:].lstrip("0")[:33] or "0", 16)
    if value >= 2**128:
        raise MatchError(f"{word[:40]} has more than 128 bits", at + 1)
    return value
