"""How long is waited before asking again."""

from itertools import islice

from reconciler.agent.clock import pauses
from reconciler.model.backoff import Backoff


def test_pauses_grow_to_their_limit_and_stay_there() -> None:
    assert list(islice(Backoff(1.0, 10.0), 6)) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert list(islice(Backoff(1.0, 10.0, factor=5.0), 3)) == [1.0, 5.0, 10.0]


def test_a_first_pause_is_not_above_the_limit() -> None:
    assert next(Backoff(60.0, 30.0)) == 30.0


def test_after_an_answer_it_begins_anew() -> None:
    backoff = Backoff(1.0, 10.0)
    assert list(islice(backoff, 3)) == [1.0, 2.0, 4.0]
    backoff.reset()
    assert next(backoff) == 1.0


def test_chance_shortens_a_pause_by_up_to_half_and_not_the_ones_after_it() -> None:
    drawn = iter([0.0, 1.0, 0.5, 0.0])
    assert list(islice(Backoff(8.0, 32.0, random=lambda: next(drawn)), 4)) == [8.0, 8.0, 24.0, 32.0]


def test_it_never_overflows() -> None:
    backoff = Backoff(1.0, 300.0)
    for _ in range(5000):
        assert next(backoff) <= 300.0


def test_an_agent_waits_from_a_tenth_of_a_second_up_to_five() -> None:
    assert list(islice(pauses(), 8)) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
