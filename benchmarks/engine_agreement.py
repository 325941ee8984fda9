"""Do the event or GPU engine and the norse engine learn the same? Paired runs of the quickstart.

Usage: python benchmarks/engine_agreement.py [--engine event|gpu] [--seeds N] [--ranks R]
    [--rounds N] [--out DIR]

For each seed the quickstart runs with both engines: the same initial weights, batches, masks and
dropouts. They differ by rounding, which now and then moves a spike, after which two runs are two
draws of the same experiment, and 240 test samples tell them apart by a point or two. So there are
many seeds, and the accuracy compared is the mean over the second half of the rounds, each evaluated
on the test voices. Runs that lie in DIR already are taken, or ended. Prints it for each seed and
the 95 % confidence interval of the mean paired difference (Student's t); exits 1 unless that lies
within one point of zero. Takes a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hpcfed.records.runfile import read_record
from hpcfed.report.statistics import mean_over_seeds

MARGIN = 0.01
REPOSITORY = Path(__file__).resolve().parent.parent


def accuracies(out: Path, ranks: int, *settings: str) -> tuple[float, float]:
    """Run the quickstart; return the mean test accuracy of the second half, and the seconds."""
    sets = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "hpcfed", "run", "quickstart", "--quiet", "--out", str(out)]
    how = ("--ranks", str(ranks), "--resume")
    subprocess.run([*command, *how, *sets], check=True, cwd=REPOSITORY)
    rounds = read_record(out).log.rounds
    seconds = sum(float(np.sum(rounds[name])) for name in rounds if name.startswith("seconds_"))
    half = len(rounds["test_accuracy"]) // 2
    return float(np.mean(rounds["test_accuracy"][half:])), seconds


def main() -> None:
    """Print the table and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("event", "gpu"), default="event")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument(
        "--out", type=Path, default=None, help="keep run files here, and take those that are here"
    )
    arguments = parser.parse_args()
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        out = (arguments.out or Path(folder)).resolve()  # runs start in the repository
        ours = arguments.engine
        print(f"seed   norse   {ours:5s}  difference  seconds in rounds, norse and {ours}")
        for seed in range(arguments.seeds):
            common = (f"seed={seed}", "run.eval_every=1", f"server.rounds={arguments.rounds}")
            found = [
                accuracies(
                    out / f"{engine}-{seed}", arguments.ranks, f"client.engine={engine}", *common
                )
                for engine in ("norse", ours)
            ]
            (norse, slow), (other, fast) = found
            differences.append(other - norse)
            print(
                f"{seed:4}  {norse:6.2%}  {other:6.2%}  {other - norse:+10.2%}  "
                f"{slow:6.1f} {fast:6.1f}",
                flush=True,
            )
    found = mean_over_seeds(differences)
    print(f"mean difference {found.mean:+.2%}, 95 % interval {found.low:+.2%} to {found.high:+.2%}")
    sys.exit(0 if max(-found.low, found.high) <= MARGIN else "not within one point")


if __name__ == "__main__":
    main()
