"""Triggers are kept until they are taken, bursts are one, and none is lost. No test waits for time to pass."""

from __future__ import annotations

import threading
from time import monotonic

import pytest

from reconciler.daemon.sources.trigger import ALL_FILES, Trigger, TriggerQueue

A, B = Trigger("files", "dir/a.yaml"), Trigger("files", "dir/b.yaml")


class Time:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def triggers(time: Time) -> TriggerQueue:
    return TriggerQueue(time, quiet=1.0, longest=5.0)


def test_nothing_waits_at_first(triggers: TriggerQueue) -> None:
    assert triggers.due_in() is None
    assert triggers.pending == 0
    assert triggers.take() == []


def test_what_was_given_is_taken_once_in_its_order(triggers: TriggerQueue) -> None:
    for trigger in (B, A, B):
        triggers.add(trigger)
    assert triggers.pending == 2
    assert triggers.take() == [B, A]
    assert (triggers.pending, triggers.due_in(), triggers.take()) == (0, None, [])


def test_the_same_file_from_another_source_is_another_trigger(triggers: TriggerQueue) -> None:
    triggers.add(A)
    triggers.add(Trigger("retry", A.file))
    assert [trigger.source for trigger in triggers.take()] == ["files", "retry"]


def test_a_trigger_without_a_file_is_about_all() -> None:
    assert Trigger("resync").file == ALL_FILES


def test_a_trigger_is_due_once_it_was_quiet_for_long_enough(triggers: TriggerQueue, time: Time) -> None:
    triggers.add(A)
    assert triggers.due_in() == 1.0
    time.seconds += 0.75
    assert triggers.due_in() == 0.25
    time.seconds += 7
    assert triggers.due_in() == 0.0


def test_another_trigger_puts_it_off(triggers: TriggerQueue, time: Time) -> None:
    triggers.add(A)
    time.seconds += 0.75
    triggers.add(A)
    assert triggers.due_in() == 1.0


def test_a_burst_without_end_is_not_put_off_for_ever(triggers: TriggerQueue, time: Time) -> None:
    for _ in range(9):
        triggers.add(A)
        time.seconds += 0.5
    assert triggers.due_in() == 0.5
    triggers.add(B)
    time.seconds += 0.5
    triggers.add(A)
    assert triggers.due_in() == 0.0


def test_a_new_burst_has_its_own_beginning(triggers: TriggerQueue, time: Time) -> None:
    triggers.add(A)
    time.seconds += 100
    triggers.take()
    triggers.add(B)
    assert triggers.due_in() == 1.0


def test_ten_thousand_files_are_ten_thousand_triggers_and_one_reconcile(triggers: TriggerQueue, time: Time) -> None:
    for number in range(10_000):
        triggers.add(Trigger("files", f"{number}.yaml"))
        triggers.add(Trigger("files"))
    assert triggers.pending == 10_001
    time.seconds += 1
    assert triggers.due_in() == 0.0
    assert len(triggers.take()) == 10_001


def test_whoever_waits_wakes_with_a_trigger_from_another_thread(triggers: TriggerQueue) -> None:
    waits = threading.Event()

    def give() -> None:
        waits.wait()
        triggers.add(A)

    giver = threading.Thread(target=give)
    giver.start()
    waits.set()
    triggers.wait(60.0)
    assert triggers.take() == [A]
    giver.join()


def test_nobody_sleeps_while_a_trigger_is_due(triggers: TriggerQueue, time: Time) -> None:
    triggers.add(A)
    time.seconds += 1.0
    triggers.wait(3600.0)
    assert triggers.take() == [A]


def test_whoever_waits_sleeps_until_a_trigger_is_due_and_does_not_turn_round_and_round() -> None:
    triggers = TriggerQueue(monotonic, quiet=0.05)
    triggers.add(A)
    turns = 0
    while triggers.due_in() != 0.0:
        triggers.wait(3600.0)
        turns += 1
    assert 1 <= turns <= 3


def test_no_trigger_is_lost_between_threads(triggers: TriggerQueue) -> None:
    def give(number: int) -> None:
        for index in range(500):
            triggers.add(Trigger("files", f"{number}-{index}"))

    givers = [threading.Thread(target=give, args=(number,)) for number in range(4)]
    for giver in givers:
        giver.start()
    taken: set[Trigger] = set()
    while any(giver.is_alive() for giver in givers):
        taken.update(triggers.take())
    taken.update(triggers.take())
    assert len(taken) == 2000
