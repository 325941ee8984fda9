"""What does packing gain? Many short runs in shared processes, against one process for each.

One run is measured alone, in a process that has run another one before: the seconds of its rounds.
Then a sweep of so many runs on all cores, as ``hpcfed sweep run`` does it. The overhead is

    wall seconds x cores / (runs x seconds of one run alone)

and 1 would be perfect. One process per run is measured on a few of them. Every figure is also given
in seconds of the processor, which a busy machine does not change.

    python benchmarks/sweep_packing.py [RUNS]
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOB = Path(__file__).parents[1] / "jobs" / "chaki2023.toml"
SWEEP = """
name = "packing"
base = {base}
[set]
data = {{ dataset = "spoken-digits", duration = 0.7, num_bins = 50 }}
server.rounds = 10
run.eval_every = 10
[grid]
seed = {seeds}
"""
NUM_ALONE, NUM_SINGLE = 5, 5
PHASES = ("train", "communicate", "wait", "evaluate")


def hpcfed(*arguments: str) -> tuple[float, float]:
    """Run a command; return its wall seconds and those of the processor, children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "hpcfed", *arguments], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, busy


def sweep(folder: Path, name: str, num_runs: int) -> Path:
    """Write the file of a sweep of so many seeds."""
    path = folder / f"{name}.toml"
    path.write_text(SWEEP.format(base=f"'{JOB}'", seeds=list(range(num_runs))))
    return path


def round_seconds(out: Path) -> list[float]:
    """Return the seconds of the rounds of each run, in the order in which they were made."""
    from hpcfed.records import read_record

    files = sorted(out.glob("runs/*/run.h5"), key=lambda path: path.stat().st_mtime_ns)
    rounds = [read_record(path).log.rounds for path in files]
    return [sum(sum(r[f"seconds_{phase}"]) for phase in PHASES) for r in rounds]


def main() -> None:
    """Measure and print."""
    num_runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="hpcfed-") as name:
        folder = Path(name)
        few = sweep(folder, "few", NUM_ALONE + 1)
        first = hpcfed("sweep", "run", str(few), "--out", f"{name}/one", "--workers", "1")
        alone = round_seconds(folder / "one")[1:]
        many = sweep(folder, "many", num_runs)
        packed = hpcfed("sweep", "run", str(many), "--out", f"{name}/all", "--workers", str(cores))
        single = [
            hpcfed("run", str(JOB), "--quiet", "--out", f"{name}/single{seed}",
                   "--set", f"seed={seed}", "--set", "data.dataset=spoken-digits",
                   "--set", "data.duration=0.7", "--set", "data.num_bins=50",
                   "--set", "server.rounds=10", "--set", "run.eval_every=10")
            for seed in range(NUM_SINGLE)
        ]  # fmt: skip
    median = statistics.median(alone)
    busy = [s * first[1] / first[0] for s in alone]  # the share of the clock that it had
    print(f"one run alone: {median:.3f} s in its rounds, median of {len(alone)}")
    print(f"{num_runs} runs packed on {cores} cores: {packed[0]:.1f} s, {packed[1]:.1f} s of the "
          f"processor: overhead {packed[0] * cores / (num_runs * median):.2f} by the clock, "
          f"{packed[1] / (num_runs * statistics.median(busy)):.2f} by the processor")  # fmt: skip
    wall, cpu = (statistics.median(column) for column in zip(*single, strict=True))
    print(
        f"one process per run: {wall:.2f} s each, {cpu:.2f} s of the processor: overhead "
        f"{wall / median:.2f} by the clock, {cpu / statistics.median(busy):.2f} by the processor"
    )


if __name__ == "__main__":
    main()
