"""Is the accuracy on handwritten digits real? Permuted labels, and a linear baseline.

Usage: python benchmarks/digits_controls.py [--seeds N] [--ranks R]

Prints the test accuracy after the last round of jobs/digits.toml for each seed, with true and with
permuted training labels (five rounds), and of a logistic regression on the pixels of the same
training forms. Exits 1 unless each true run reaches 80 % and each permuted one stays below 15 %
(chance is 10 %).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from hpcfed.config import DataConfig
from hpcfed.datasets import load
from hpcfed.records.runfile import read_record
from hpcfed.samples.images import ImageSet

FLOOR, CEILING = 0.80, 0.15
REPOSITORY = Path(__file__).resolve().parent.parent
PERMUTED = ("data.dataset=tests.permuted_labels:load_images", "data.encoder=signed-poisson",
            "server.rounds=5")  # fmt: skip


def logistic_regression() -> float:
    """Return the test accuracy of a linear classifier on pixels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load(DataConfig(dataset="digits"))
    assert isinstance(data.train, ImageSet)
    assert isinstance(data.test, ImageSet)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(data.train.pixels[data.train_ids].reshape(len(data.train_ids), -1),
              data.train.labels[data.train_ids])  # fmt: skip
    pixels = data.test.pixels[data.test_ids].reshape(len(data.test_ids), -1)
    return float(model.score(pixels, data.test.labels[data.test_ids]))


def digits(ranks: int, *options: str) -> float:
    """Return the test accuracy of a run after its last round."""
    settings = [part for option in options for part in ("--set", option)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hpcfed", "run", "digits", "--quiet", "--out", folder]
        subprocess.run([*command, "--ranks", str(ranks), *settings], check=True, cwd=REPOSITORY)
        return float(read_record(Path(folder)).log.rounds["test_accuracy"][-1])


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    seeds = [f"seed={seed}" for seed in range(options.seeds)]
    true = [digits(options.ranks, seed) for seed in seeds]
    permuted = [digits(options.ranks, seed, *PERMUTED) for seed in seeds]
    for name, values in (("digits", true), ("permuted labels", permuted)):
        print(f"{name:20}", "  ".join(f"{100 * value:5.1f} %" for value in values), flush=True)
    print(f"{'logistic regression':20} {100 * logistic_regression():5.1f} %")
    return int(min(true) < FLOOR or max(permuted) > CEILING)


if __name__ == "__main__":
    sys.exit(main())
