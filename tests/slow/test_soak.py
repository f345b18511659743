"""A daemon's life in simulated time; the long one is ``python -m benchmarks.soak``."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from benchmarks.soak import Soak
from reconciler import LocalCluster

FAULTS = {"calls without an answer", "deaths", "operations that failed"}


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_missed_or_done_twice(tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    folder = tmp_path / "soak"
    folder.mkdir()
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        soak = Soak(folder, cluster, 400, seed)
        with soak.served():
            soak.begin()
            minutes = 0
            # Which operation meets a fault depends on the order of threads: a minute more where a kind is lacking.
            while minutes < 5 or (soak.faults.seen.keys() != FAULTS and minutes < 20):
                soak.minute()
                minutes += 1
            soak.end()
    assert soak.faults.seen.keys() == FAULTS
    assert soak.happened.keys() == {move.__name__.strip("_").replace("_", " ") for move in Soak.MOVES}
