"""The ranks of steps that no row of ``rules`` ranks, on the same scale: steps on one resource run from low to high."""

from __future__ import annotations

MARKING = -1
CREATION = 0
POWER_DOWN = 11  # rules up to this rank decide whether the guest runs during the others
CLONING = 60
RESTART = 80
REQUEST = 95
DELETION = 100
