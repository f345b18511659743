"""The small pure stages: sizes and order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import graph, quantity


@pytest.mark.parametrize(
    ("text", "size"),
    [("20Gi", 20 * 1024**3), ("1.5Gi", 3 * 1024**3 // 2), ("1k", 1000), ("0", 0), ("1024", 1024), ("2M", 2_000_000)],
)
def test_quantities(text: str, size: int) -> None:
    assert quantity.parse(text) == size


@pytest.mark.parametrize("text", ["", "Gi", "-1Gi", "1 Gi", "1gi", "1.5", "0.3Ki", "1Gi\n", "1e3", "٣Gi"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        quantity.parse(text)


@given(st.integers(0, 2**60))
def test_a_size_is_shown_as_the_same_size(size: int) -> None:
    assert quantity.parse(quantity.show(size)) == size


@given(st.integers(0, 2**55))
def test_rounded_text_means_about_the_size(size: int) -> None:
    about = quantity.unrounded(quantity.rounded(size))
    assert about is not None
    assert abs(about - size) <= size * 0.06 + 1


edges = st.dictionaries(st.integers(0, 12).map(str), st.lists(st.integers(0, 12).map(str), max_size=3), max_size=13)


@given(edges)
def test_waves_keep_every_edge_or_name_a_cycle(drawn: dict[str, list[str]]) -> None:
    needs = {id: [need for need in others if need in drawn] for id, others in drawn.items()}
    try:
        waves = graph.waves(needs)
    except graph.Cycle as cycle:
        members = [*cycle.members, cycle.members[0]]
        assert all(after in needs[before] for before, after in itertools.pairwise(members))
        return
    place = {id: number for number, wave in enumerate(waves) for id in wave}
    assert sorted(place) == sorted(needs)
    assert all(place[need] < place[id] for id, others in needs.items() for need in others)


def test_a_cycle_reads_the_same_wherever_it_is_found() -> None:
    for order in (["a", "b", "c"], ["c", "a", "b"]):
        needs = {"a": ["b"], "b": ["c"], "c": ["a"]}
        with pytest.raises(graph.Cycle, match="a -> b -> c -> a"):
            graph.waves({id: needs[id] for id in order})
