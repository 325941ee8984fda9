"""Federated against pooled training on real recordings: six speakers of the FSDD.

Usage: python benchmarks/fsdd.py [RECORDINGS] [--out results/fsdd] [--ranks R] [--seeds N]

RECORDINGS is the folder of the 3000 wav files (digit_speaker_index.wav), by default
$HPCFED_TEST_DATA/fsdd/recordings; without any it says so and ends. They are encoded by the
official split (index 0-4 is the test) unless that is done already. Then jobs/fsdd.toml is run as
it is, once more with masks and dropouts, and the same network on the pooled data with as many
gradient steps as all clients take together: with the client's settings, and with the learning rate
that suits the pooled data best (0.1, on the validation split). Prints accuracies after the last
round, uplink and seconds; exits 1 when the federated runs' mean test accuracy over the seeds is
more than 3 points below one of the pooled means.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcfed.datasets.ear.encode import EncodeOptions, encode
from hpcfed.records.runfile import read_record

JOB = Path(__file__).parent.parent / "jobs" / "fsdd.toml"
MARGIN = 0.03
NUM_TEST_TAKES = 5
MASKS = (
    "uplink.mask=bernoulli",
    "uplink.mask_probability=0.5",
    "server.rescale=true",
    "participation.drop_probability=0.2",
)
POOLED = (
    "partition.kind=iid",
    "partition.num_clients=1",
    "server.optimizer=plain",
    "server.learning_rate=1.0",
    f"client.steps={6 * 7}",  # six speakers, 7 steps each
)
CONTENDERS: dict[str, tuple[str, ...]] = {
    "federated": (),
    "masked 0.5, dropped 0.2": MASKS,
    "pooled": POOLED,
    "pooled, its own rate": (*POOLED, "client.learning_rate=0.1"),
}


@dataclass(frozen=True)
class Outcome:
    """One run: final accuracies, bytes up, seconds."""

    rounds: int
    validation: float
    test: float
    uplink_bytes: float
    seconds: float


def default_recordings() -> Path | None:
    """Return the folder of the recordings among the test data, None where there is none."""
    folder = Path(os.environ.get("HPCFED_TEST_DATA", "")) / "fsdd" / "recordings"
    return folder if folder.is_dir() else None


def encode_split(recordings: Path, out: Path) -> None:
    """Encode the official training and test split into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[str]] = {"train": [], "test": []}
    for wave in sorted(recordings.glob("*.wav")):
        digit, speaker, take = wave.stem.split("_")
        split = "test" if int(take) < NUM_TEST_TAKES else "train"
        rows[split].append(f"{wave.name},{digit},{speaker}")
    for split, lines in rows.items():
        target, table = out / f"{split}.h5", out / f"{split}.csv"
        table.write_text("\n".join(["file,label,speaker", *lines, ""]))
        if not target.exists():
            begin = time.perf_counter()
            encode(recordings, target, EncodeOptions(labels=table))
            print(f"encoded {len(lines)} recordings in {time.perf_counter() - begin:.0f} s")


def train(folder: Path, out: Path, ranks: int, *options: str) -> Outcome:
    """Run the job with ``options``; return what came of it."""
    begin = time.perf_counter()
    files = (f"data.dataset={out / 'train.h5'}", f"data.test={out / 'test.h5'}")
    settings = [part for option in (*files, *options) for part in ("--set", option)]
    command = [sys.executable, "-m", "hpcfed", "run", str(JOB), "--quiet", "--ranks", str(ranks)]
    subprocess.run([*command, "--out", str(folder), *settings], check=True)
    rounds = read_record(folder).log.rounds
    return Outcome(
        rounds=len(rounds["test_accuracy"]),
        validation=float(rounds["validation_accuracy"][-1]),
        test=float(rounds["test_accuracy"][-1]),
        uplink_bytes=float(np.sum(rounds["uplink_bytes_seed"])),
        seconds=time.perf_counter() - begin,
    )


def main() -> None:
    """Encode, train, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="?", default=default_recordings())
    parser.add_argument("--out", type=Path, default=Path("results/fsdd"))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.recordings is None:
        print("nothing measured: give the folder of the FSDD's wav files, or set HPCFED_TEST_DATA")
        return
    out, ranks = arguments.out, arguments.ranks
    encode_split(arguments.recordings, out)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in CONTENDERS}
    print(f"{'':24}seed  rounds  validation    test    uplink  seconds")
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            for name, options in CONTENDERS.items():
                pooled = "partition.num_clients=1" in options
                run = Path(folder) / f"{len(outcomes[name])}-{name}"
                outcome = train(run, out, 1 if pooled else ranks, f"seed={seed}", *options)
                outcomes[name].append(outcome)
                report(name, seed, outcome)
    means = {name: float(np.mean([run.test for run in runs])) for name, runs in outcomes.items()}
    for name, mean in means.items():
        print(f"{name:24}mean of {arguments.seeds} seeds: {mean:.1%}")
    best = max(means[name] for name in CONTENDERS if name.startswith("pooled"))
    sys.exit(0 if means["federated"] >= best - MARGIN else "the federated run is too far below")


def report(name: str, seed: int, run: Outcome) -> None:
    """Print one line of the table."""
    print(
        f"{name:24}{seed:4}  {run.rounds:6}  {run.validation:10.1%}  {run.test:6.1%}  "
        f"{run.uplink_bytes / 1e6:5.0f} MB  {run.seconds:7.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
