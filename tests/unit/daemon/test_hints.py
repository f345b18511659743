"""Hints wait, bursts are one, and none is lost. No test waits for time to pass."""

from __future__ import annotations

import threading
from time import monotonic

import pytest

from reconciler.daemon.sources.hint import ALL, Hint, Hints

A, B = Hint("files", "dir/a.yaml"), Hint("files", "dir/b.yaml")


class Time:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def hints(time: Time) -> Hints:
    return Hints(time, quiet=1.0, most=5.0)


def test_nothing_waits_at_first(hints: Hints) -> None:
    assert hints.due_in() is None
    assert hints.waiting == 0
    assert hints.take() == []


def test_what_was_given_is_taken_once_in_its_order(hints: Hints) -> None:
    for hint in (B, A, B):
        hints.give(hint)
    assert hints.waiting == 2
    assert hints.take() == [B, A]
    assert (hints.waiting, hints.due_in(), hints.take()) == (0, None, [])


def test_the_same_file_from_another_source_is_another_hint(hints: Hints) -> None:
    hints.give(A)
    hints.give(Hint("retry", A.file))
    assert [hint.source for hint in hints.take()] == ["files", "retry"]


def test_a_hint_without_a_file_is_about_all() -> None:
    assert Hint("resync").file == ALL


def test_a_hint_is_due_once_it_was_quiet_for_long_enough(hints: Hints, time: Time) -> None:
    hints.give(A)
    assert hints.due_in() == 1.0
    time.seconds += 0.75
    assert hints.due_in() == 0.25
    time.seconds += 7
    assert hints.due_in() == 0.0


def test_another_hint_puts_it_off(hints: Hints, time: Time) -> None:
    hints.give(A)
    time.seconds += 0.75
    hints.give(A)
    assert hints.due_in() == 1.0


def test_a_burst_without_end_is_not_put_off_for_ever(hints: Hints, time: Time) -> None:
    for _ in range(9):
        hints.give(A)
        time.seconds += 0.5
    assert hints.due_in() == 0.5
    hints.give(B)
    time.seconds += 0.5
    hints.give(A)
    assert hints.due_in() == 0.0


def test_a_new_burst_has_its_own_beginning(hints: Hints, time: Time) -> None:
    hints.give(A)
    time.seconds += 100
    hints.take()
    hints.give(B)
    assert hints.due_in() == 1.0


def test_ten_thousand_files_are_ten_thousand_hints_and_one_pass(hints: Hints, time: Time) -> None:
    for number in range(10_000):
        hints.give(Hint("files", f"{number}.yaml"))
        hints.give(Hint("files"))
    assert hints.waiting == 10_001
    time.seconds += 1
    assert hints.due_in() == 0.0
    assert len(hints.take()) == 10_001


def test_whoever_waits_wakes_with_a_hint_from_another_thread(hints: Hints) -> None:
    waits = threading.Event()

    def give() -> None:
        waits.wait()
        hints.give(A)

    giver = threading.Thread(target=give)
    giver.start()
    waits.set()
    hints.wait(60.0)
    assert hints.take() == [A]
    giver.join()


def test_nobody_sleeps_while_a_hint_is_due(hints: Hints, time: Time) -> None:
    hints.give(A)
    time.seconds += 1.0
    hints.wait(3600.0)
    assert hints.take() == [A]


def test_whoever_waits_sleeps_until_a_hint_is_due_and_does_not_turn_round_and_round() -> None:
    hints = Hints(monotonic, quiet=0.05)
    hints.give(A)
    turns = 0
    while hints.due_in() != 0.0:
        hints.wait(3600.0)
        turns += 1
    assert 1 <= turns <= 3


def test_no_hint_is_lost_between_threads(hints: Hints) -> None:
    def give(number: int) -> None:
        for index in range(500):
            hints.give(Hint("files", f"{number}-{index}"))

    givers = [threading.Thread(target=give, args=(number,)) for number in range(4)]
    for giver in givers:
        giver.start()
    taken: set[Hint] = set()
    while any(giver.is_alive() for giver in givers):
        taken.update(hints.take())
    taken.update(hints.take())
    assert len(taken) == 2000
