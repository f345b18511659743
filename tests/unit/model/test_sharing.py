"""What is decoded with others is what it is by itself; equal mappings are one object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import sharing
from reconciler.model.sharing import Sharing

scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.text("ab", max_size=2)
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text("ab", max_size=1), below, max_size=3),
)


def typed(value: Any) -> str:
    """What tells 1 from True and from 1.0, which are equal."""
    return repr(value)


@given(st.lists(values, max_size=20))
def test_a_value_is_what_it_is_by_itself(made: list[Any]) -> None:
    share = Sharing()
    texts = [json.dumps(each) for each in made]
    assert [typed(share.decode(text)) for text in texts] == [typed(json.loads(text)) for text in texts]


def test_equal_mappings_are_one_object() -> None:
    share = Sharing()
    one = share.decode('[{"model": {"type": "virtio"}, "mac": "a"}, {"model": {"type": "virtio"}, "mac": "b"}]')
    other = share.decode('{"mac": "a", "model": {"type": "virtio"}}')
    assert one[0]["model"] is one[1]["model"] is other["model"]
    assert one[0] is not one[1]


@given(st.lists(values, max_size=20))
def test_it_begins_anew_when_it_knows_too_much(made: list[Any]) -> None:
    text = json.dumps(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "MOST", 2)
        assert typed(Sharing().decode(text)) == typed(json.loads(text))
