"""A range of whole numbers -> a pattern of their decimal texts."""

from __future__ import annotations


def between(minimum: int, maximum: int) -> str:
    """A pattern of the decimal numbers from one to the other, without leading zeros."""
    found, whole = [], []
    for length in range(len(str(minimum)), len(str(maximum)) + 1):
        least, most = 10 ** (length - 1), 10**length - 1
        if minimum <= least and most <= maximum and length > 1:
            whole.append(length - 1)
        else:
            found += _same_length(str(max(minimum, least if length > 1 else 0)), str(min(maximum, most)))
    if whole:
        found.append(f"[1-9][0-9]{{{whole[0]},{whole[-1]}}}")
    return "|".join(found)


def _same_length(low: str, high: str) -> list[str]:
    if not low:
        return [""]
    rest = len(low) - 1
    any_rest = "" if not rest else "[0-9]" if rest == 1 else f"[0-9]{{{rest}}}"
    if low[0] == high[0]:
        if (low[1:], high[1:]) == ("0" * rest, "9" * rest):
            return [low[0] + any_rest]
        return [low[0] + each for each in _same_length(low[1:], high[1:])]
    first, last = int(low[0]), int(high[0])
    below, above = [], []
    if low[1:] != "0" * rest:
        below = [low[0] + each for each in _same_length(low[1:], "9" * rest)]
        first += 1
    if high[1:] != "9" * rest:
        above = [high[0] + each for each in _same_length("0" * rest, high[1:])]
        last -= 1
    middle = []
    if first <= last:
        middle = [(str(first) if first == last else f"[{first}-{last}]") + any_rest]
    return below + middle + above
