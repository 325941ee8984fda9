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
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpcfed.launch import find_mpirun, settings
from hpcfed.records.runfile import read_record
from hpcfed.report.statistics import mean_over_seeds

JOB = Path(__file__).parents[1] / "jobs" / "quickstart.toml"
PHASES = ("train", "communicate", "wait", "evaluate", "write")
REQUIRED = 1.01


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


def main() -> None:
    """Measure and print; exit 1 if the requirement is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    sets = [f"server.rounds={arguments.rounds}", *arguments.set]
    logs: list[float] = []
    print("pair   without ms   with ms   ratio")
    with tempfile.TemporaryDirectory(prefix="hpcfed-") as folder:
        round_seconds(Path(folder, "warm"), True, arguments.ranks, sets)  # compiles
        for pair in range(arguments.pairs):
            order = (False, True) if pair % 2 else (True, False)
            seconds = {
                tolerant: round_seconds(
                    Path(folder, f"{pair}-{tolerant}"), tolerant, arguments.ranks, sets
                )
                for tolerant in order
            }
            ratio = seconds[True] / seconds[False]
            logs.append(math.log(ratio))
            print(f"{pair:4} {1e3 * seconds[False]:12.3f} {1e3 * seconds[True]:9.3f} {ratio:7.4f}",
                  flush=True)  # fmt: skip
    mean = mean_over_seeds(logs)
    low, high = math.exp(mean.low), math.exp(mean.high)
    median = math.exp(statistics.median(logs))
    print(f"with / without: {math.exp(mean.mean):.4f}, 95 % interval {low:.4f} to {high:.4f}")
    print(f"median {median:.4f}; required: the interval below {REQUIRED}")
    sys.exit(0 if high < REQUIRED else 1)


if __name__ == "__main__":
    main()
