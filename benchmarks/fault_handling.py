"""What does it cost a run that loses no rank that it could lose some?

    python benchmarks/fault_handling.py [--pairs 20] [--ranks 2] [--rounds 200] [--set KEY=VALUE]

Pairs of runs of jobs/quickstart.toml, one where MPI tolerates losses (``--with-ft ulfm``, as
``hpcfed run --ranks`` starts it) and one where it does not; which comes first alternates. The time
of a run is the median over its rounds of all phases together, the first tenth left out. A figure is
the mean over pairs of the logarithm of their ratio, with its 95 % Student t interval.

Exits 1 unless the whole interval of the ratio lies below 1.01.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hpcfed.launch import find_mpirun, settings
from hpcfed.records.runfile import read_record
from hpcfed.report.statistics import mean_over_seeds

JOB = Path(__file__).parents[1] / "jobs" / "quickstart.toml"
PHASES = ("train", "communicate", "wait", "evaluate", "write")
REQUIRED = 1.01

Way = Callable[[Path], float]


def round_seconds(out: Path, tolerant: bool, ranks: int, sets: Sequence[str]) -> float:
    """Make one run, and return the median time of its rounds."""
    mpirun = find_mpirun()
    launcher = settings.identify(mpirun)
    options = settings.loss_options(launcher)
    if not options:
        sys.exit(f"{mpirun} cannot tolerate losses: there is nothing to compare")
    words = [part for item in sets for part in ("--set", item)]
    subprocess.run(
        [mpirun, *(options if tolerant else []), "-n", str(ranks), sys.executable, "-m", "hpcfed",
         "run", str(JOB), "--out", str(out), "--quiet", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", **settings.environment(launcher, os.environ)},
        stdin=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    rounds = read_record(out).log.rounds
    total = np.sum([rounds[f"seconds_{phase}"] for phase in PHASES], axis=0)
    return float(np.median(total[len(total) // 10 :]))


def compare(without: Way, with_it: Way, pairs: int) -> int:
    """Run pairs of both ways, print each and what they say; 1 if the requirement is missed."""
    logs: list[float] = []
    print("pair   without ms   with ms   ratio")
    with tempfile.TemporaryDirectory(prefix="hpcfed-") as folder:
        with_it(Path(folder, "warm"))  # compiles
        for pair in range(pairs):
            ways = [(False, without), (True, with_it)]
            order = ways if pair % 2 else ways[::-1]
            seconds = {which: way(Path(folder, f"{pair}-{which}")) for which, way in order}
            ratio = seconds[True] / seconds[False]
            logs.append(math.log(ratio))
            print(f"{pair:4} {1e3 * seconds[False]:12.3f} {1e3 * seconds[True]:9.3f} {ratio:7.4f}",
                  flush=True)  # fmt: skip
    mean = mean_over_seeds(logs)
    low, high = math.exp(mean.low), math.exp(mean.high)
    median = math.exp(statistics.median(logs))
    print(f"with / without: {math.exp(mean.mean):.4f}, 95 % interval {low:.4f} to {high:.4f}")
    print(f"median {median:.4f}; required: the interval below {REQUIRED}")
    return int(high >= REQUIRED)


def options(description: str) -> argparse.Namespace:
    """Return what was asked on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def main() -> int:
    """Measure and print; 1 if the requirement is missed."""
    asked = options(__doc__ or "")
    sets = [f"server.rounds={asked.rounds}", *asked.set]
    return compare(
        lambda out: round_seconds(out, False, asked.ranks, sets),
        lambda out: round_seconds(out, True, asked.ranks, sets),
        asked.pairs,
    )


if __name__ == "__main__":
    sys.exit(main())
