"""Is a job's accuracy real? The run itself, permuted labels, and a linear baseline.

Usage: python benchmarks/controls.py quickstart|digits [--seeds N] [--ranks R] [--out DIR]

Prints the test accuracy after the last round for each seed, with true and with permuted training
labels, and of a logistic regression on the number of spikes per channel, or on the pixels. Exits 1
unless each run reaches 80 %, and each with permuted labels stays at or below twice chance (5 % for
the quickstart's 20 classes), for the digits at or below 15 % after five rounds (chance: 10 %).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import DataConfig
from hpcfed.datasets import load
from hpcfed.records.runfile import read_record
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Samples

FLOOR = 0.80
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Controls:
    """What a job is held to: its data, the settings for permuted labels, and their most accuracy.

    ``strength`` is the C of the logistic regression.
    """

    dataset: str
    permuted: tuple[str, ...]
    ceiling: float
    strength: float


JOBS = {
    "quickstart": Controls(
        "spoken-digits", ("data.dataset=tests.permuted_labels:load",), 0.10, 0.01
    ),
    "digits": Controls(
        "digits",
        (
            "data.dataset=tests.permuted_labels:load_images",
            "data.encoder=signed-poisson",
            "server.rounds=5",
        ),
        0.15,
        1.0,
    ),
}


def logistic_regression(controls: Controls) -> float:
    """Return the test accuracy of a linear classifier on spike counts per channel, or pixels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load(DataConfig(dataset=controls.dataset))
    assert data.test is not None  # both embedded sets have one
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=controls.strength))
    model.fit(features(data.train, data.train_ids), data.train.labels[data.train_ids])
    labels = data.test.labels[data.test_ids]
    return float(model.score(features(data.test, data.test_ids), labels))


def features(samples: Samples, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return spikes per channel, or pixels, (n, C) float64."""
    if not isinstance(samples, EventSet):
        return np.asarray(samples.examples(ids).reshape(len(ids), -1), np.float64)
    rows, _, channels, values = samples.batch_events(ids)
    table = np.zeros((len(ids), samples.num_channels))
    np.add.at(table, (rows, channels), values)
    return table


def run(job: str, out: Path, ranks: int, *options: str) -> tuple[float, float]:
    """Run the job; return test accuracy after the last round, and seconds."""
    begin = time.perf_counter()
    settings = [part for option in options for part in ("--set", option)]
    command = [sys.executable, "-m", "hpcfed", "run", job, "--quiet", "--out", str(out)]
    subprocess.run([*command, "--ranks", str(ranks), *settings], check=True, cwd=REPOSITORY)
    return float(read_record(out).log.rounds["test_accuracy"][-1]), time.perf_counter() - begin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=tuple(JOBS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None, help="keep the run files here")
    arguments = parser.parse_args()
    job, controls, fine = arguments.job, JOBS[arguments.job], True
    with tempfile.TemporaryDirectory() as folder:
        out = (arguments.out or Path(folder)).resolve()  # runs start in the repository
        print("seed  test accuracy  permuted labels  seconds")
        for seed in range(arguments.seeds):
            option, ranks = f"seed={seed}", arguments.ranks
            true, seconds = run(job, out / f"true-{seed}", ranks, option)
            permuted, _ = run(job, out / f"permuted-{seed}", ranks, option, *controls.permuted)
            print(f"{seed:4}  {true:13.1%}  {permuted:15.1%}  {seconds:7.0f}", flush=True)
            fine &= true >= FLOOR and permuted <= controls.ceiling
    print(f"logistic regression: {logistic_regression(controls):.1%}")
    sys.exit(0 if fine else "a target is missed")


if __name__ == "__main__":
    main()
