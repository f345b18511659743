"""PYTHONPATH=tests python -m tools.fuzz: try random inputs for a time, and keep what raises, hangs or eats memory.

The same seed and number is the same input, always: what is printed with a finding repeats it. A finding is mended with
its siblings, and its input, made small, goes to ``tests/findings``, which ``make test`` runs through.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from support.paths import ROOT
from tools.fuzz.clusters import clusters
from tools.fuzz.corpus import corpus
from tools.fuzz.mutation import make_input
from tools.fuzz.trial import try_input

KEPT = ROOT / "build" / "fuzz"


@dataclass
class Tally:
    """What a process has tried and found."""

    inputs: int = 0
    plans: int = 0
    slowest: float = 0.0
    findings: dict[str, str] = field(default_factory=dict)  # where it was raised -> what repeats it


def main() -> int:
    """The command; returns 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--inputs", type=int, help="how many at most, each process")
    parser.add_argument("--seed", type=int, default=1, help="another one is other inputs (default: 1)")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="try this input of the seed, and show it")
    parser.add_argument("--name", help="only inputs of this name, such as cluster.json")
    parser.add_argument("--processes", type=int, default=2, help="side by side (default: 2)")
    given = parser.parse_args()
    if given.only is not None:
        return _repeat(f"{given.seed}:{given.only}")
    began = time.monotonic()
    with multiprocessing.Pool(given.processes) as pool:
        work = [
            (given.seed, first, given.processes, given.seconds, given.inputs, given.name)
            for first in range(given.processes)
        ]
        tallies = pool.starmap(_run, work)
    found: dict[str, str] = {}
    for tally in tallies:
        found = {**tally.findings, **found}
    inputs, plans = sum(each.inputs for each in tallies), sum(each.plans for each in tallies)
    slowest = max(each.slowest for each in tallies)
    print(f"{inputs} inputs and {plans} plans in {time.monotonic() - began:.0f} s, seed {given.seed};", end=" ")
    print(f"the slowest input took {slowest:.2f} s; {len(found)} findings")
    for where, how in sorted(found.items()):
        print(f"  {where}\n    repeat: {how}")
    return 1 if found else 0


def _run(seed: int, first: int, stride: int, seconds: float, most: int | None, wanted: str | None) -> Tally:
    """Try inputs number first, first + stride ... of a seed until the time is over."""
    tally, known = Tally(), corpus()
    clusters()
    end, number = time.monotonic() + seconds, first
    while time.monotonic() < end and (most is None or tally.inputs < most):
        name, text = make_input(known, f"{seed}:{number}")
        if wanted not in (None, name):
            number += stride
            continue
        began = time.monotonic()
        try:
            tally.plans += try_input(name, text)
        except Exception as error:
            where = _where(error)
            if where not in tally.findings:
                tally.findings[where] = f"PYTHONPATH=tests python -m tools.fuzz --seed {seed} --only {number}"
                _keep(f"{seed}-{number}", name, text)
        tally.slowest = max(tally.slowest, time.monotonic() - began)
        tally.inputs += 1
        number += stride
    return tally


def _where(error: Exception) -> str:
    """What is the same for inputs that meet the same fault."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/reconciler/" in frame.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    path = Path(last.filename)
    return f"{type(error).__name__} in {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}:{last.lineno}"


def _keep(stem: str, name: str, text: str) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{stem}{Path(name).suffix}").write_text(text, encoding="utf-8", errors="surrogatepass")


def _repeat(seed: str) -> int:
    name, text = make_input(corpus(), seed)
    sys.stdout.write(text if len(text) < 20_000 else f"{text[:20_000]}\n... {len(text)} characters\n")
    sys.stdout.flush()
    print(f"\n# {name}: {try_input(name, text)} plans")
    return 0


if __name__ == "__main__":
    sys.exit(main())
