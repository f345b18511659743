"""Matches of OVN at random, made of given comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from reconciler.model.match import MatchError, parse


def match_texts(comparisons: Sequence[str], *, most: int) -> st.SearchStrategy[str]:
    """Texts that can be read, of at most so many of the comparisons."""
    return st.recursive(
        st.sampled_from(comparisons),
        lambda inner: st.one_of(
            st.builds("({} && {})".format, inner, inner),
            st.builds("({} || {})".format, inner, inner),
            inner.map("!({})".format),
        ),
        max_leaves=most,
    ).filter(is_match)


def is_match(text: str) -> bool:
    """Whether a text can be read as a match."""
    try:
        parse(text)
    except MatchError:
        return False
    return True
