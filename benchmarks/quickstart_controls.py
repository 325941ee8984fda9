"""Is the quickstart's accuracy real? The run itself, permuted labels, and a linear baseline.

Usage: python benchmarks/quickstart_controls.py [--seeds N] [--ranks R] [--out DIR]

Prints the test accuracy after the last round for each seed, with true and with permuted training
labels, and of a logistic regression on the number of spikes per channel. Exits 1 unless every
quickstart reaches 80 % and every permuted one stays at or below 10 % (chance is 5 %).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import DataConfig
from hpcfed.datasets import Data, load
from hpcfed.records.runfile import read_record
from hpcfed.samples.events import EventSet

FLOOR, CEILING = 0.80, 0.10
REPOSITORY = Path(__file__).resolve().parent.parent


def logistic_regression(data: Data) -> float:
    """Return the test accuracy of a linear classifier on spike counts per channel."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    assert data.test is not None  # the embedded set has one
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.01))
    model.fit(counts(data.train, data.train_ids), data.train.labels[data.train_ids])
    labels = data.test.labels[data.test_ids]
    return float(model.score(counts(data.test, data.test_ids), labels))


def counts(events: EventSet, samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return spikes per channel, (n, C) float64."""
    rows, _, channels, values = events.batch_events(samples)
    table = np.zeros((len(samples), events.num_channels))
    np.add.at(table, (rows, channels), values)
    return table


def quickstart(out: Path, ranks: int, *options: str) -> tuple[float, float]:
    """Run the quickstart; return test accuracy after the last round, and seconds."""
    begin = time.perf_counter()
    settings = [part for option in options for part in ("--set", option)]
    command = [sys.executable, "-m", "hpcfed", "run", "quickstart", "--quiet", "--out", str(out)]
    subprocess.run([*command, "--ranks", str(ranks), *settings], check=True, cwd=REPOSITORY)
    return float(read_record(out).log.rounds["test_accuracy"][-1]), time.perf_counter() - begin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None, help="keep the run files here")
    arguments = parser.parse_args()
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        out = (arguments.out or Path(folder)).resolve()  # runs start in the repository
        print("seed  test accuracy  permuted labels  seconds")
        for seed in range(arguments.seeds):
            option, shuffled = f"seed={seed}", "data.dataset=tests.permuted_labels:load"
            true, seconds = quickstart(out / f"true-{seed}", arguments.ranks, option)
            permuted, _ = quickstart(out / f"permuted-{seed}", arguments.ranks, option, shuffled)
            print(f"{seed:4}  {true:13.1%}  {permuted:15.1%}  {seconds:7.0f}", flush=True)
            fine &= true >= FLOOR and permuted <= CEILING
    baseline = logistic_regression(load(DataConfig()))
    print(f"logistic regression on spike counts per channel: {baseline:.1%}")
    sys.exit(0 if fine else "a target is missed")


if __name__ == "__main__":
    main()
