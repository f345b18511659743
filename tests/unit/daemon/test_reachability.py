"""A cluster that does not answer is said to be away within seconds, once, and no page waits for it."""

from __future__ import annotations

import logging
import threading

import pytest

from reconciler.daemon.loop.reachability import TELL_AFTER, Reachability
from reconciler.daemon.status.run_history import RunHistory
from reconciler.model.problem import Unavailable


class Api:
    """Answers after ``delay`` seconds of simulated time, or not within the time that is left to it."""

    def __init__(self) -> None:
        self.now, self.away = 1000.0, False

    def silence(self, timeout: float) -> str:
        self.now += timeout if self.away else 0.0
        return "timed out" if self.away else ""

    def ask(self, asking: Reachability, times: int) -> None:
        for _ in range(times):
            self.now += 2.0
            asking.ask()


def test_it_is_told_once_within_seconds_and_once_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api = Api()
    asking = Reachability(api.silence, "shop", lambda: api.now)
    api.ask(asking, 3)
    assert asking.problem == ""
    api.away, gone = True, api.now
    while not asking.problem:
        api.ask(asking, 1)
    assert api.now - gone <= 10.0
    assert "timed out" in asking.problem
    api.ask(asking, 20)
    assert "for 10" in asking.problem
    api.away = False
    api.ask(asking, 2)
    assert asking.problem == ""
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "answers again, after" in caplog.messages[-1]


def test_one_answer_that_is_late_is_no_news() -> None:
    api = Api()
    asking = Reachability(api.silence, "shop", lambda: api.now)
    api.away = True
    asking.ask()
    assert TELL_AFTER > 3
    assert asking.problem == ""
    api.away = False
    api.ask(asking, 1)
    api.now += 100
    assert asking.problem == ""


def test_a_page_shows_the_runs_that_were_known_while_the_cluster_does_not_answer() -> None:
    away, released = threading.Event(), threading.Event()

    def read() -> list[int]:
        if away.is_set():
            released.wait(60)
            raise Unavailable("nothing")
        return [3, 2, 1]

    history = RunHistory(read, wait=0.05)  # type: ignore[arg-type]
    while history.newest(2) != [3, 2]:
        pass
    away.set()
    for _ in range(3):
        assert history.newest(3) == [3, 2, 1]
    released.set()
