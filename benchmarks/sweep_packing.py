"""What does packing gain? Many short runs in shared processes, against one process for each.

Usage: python benchmarks/sweep_packing.py [--runs N] [--job quickstart | tradeoff]

Ten rounds of the quickstart, or of the trade-off study's runs (whose rounds are five times shorter,
so that starting Python weighs more). One run is measured alone, in a process that has run another
one before: the seconds of its rounds. Then a sweep of N seeds on all cores, as ``hpcfed sweep run``
does it, start and end included. The overhead is

    wall seconds x cores / (runs x seconds of one run alone)

and 1 would be perfect; with more than 1.15 for the quickstart it exits with 1. One process per run
is measured on a few of them. Every figure is also given in seconds of the processor, which a busy
machine does not change.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

JOBS = Path(__file__).parents[1] / "jobs"
SWEEP = """
name = "packing"
base = '{base}'
[set]
{settings}
[grid]
seed = {seeds}
"""
ROUNDS = ["server.rounds = 10", "run.eval_every = 10"]
NUM_ALONE, NUM_SINGLE = 5, 5
PHASES = ("train", "communicate", "wait", "evaluate")
TARGET = 1.15


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


def settings_of(job: str) -> tuple[Path, list[str]]:
    """Return the job file and what is set beyond it, as lines of TOML."""
    if job == "quickstart":
        return JOBS / "quickstart.toml", ROUNDS
    study = tomllib.loads((JOBS / "tradeoff.toml").read_text(encoding="utf-8"))
    data = [f"data.{k} = {v!r}".replace("'", '"') for k, v in study["set"]["data"].items()]
    return JOBS / study["base"], [*data, *ROUNDS]


def round_seconds(out: Path) -> list[float]:
    """Return the seconds of the rounds of each run, in the order in which they were made."""
    from hpcfed.records.runfile import read_record

    files = sorted(out.glob("runs/*/run.h5"), key=lambda path: path.stat().st_mtime_ns)
    rounds = [read_record(path).log.rounds for path in files]
    return [sum(sum(r[f"seconds_{phase}"]) for phase in PHASES) for r in rounds]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--job", choices=("quickstart", "tradeoff"), default="quickstart")
    arguments = parser.parse_args()
    num_runs, cores = arguments.runs, len(os.sched_getaffinity(0))
    base, lines = settings_of(arguments.job)
    with tempfile.TemporaryDirectory(prefix="hpcfed-") as name:
        folder = Path(name)

        def sweep(count: int, workers: int) -> tuple[float, float]:
            path = folder / f"{count}.toml"
            text = SWEEP.format(base=base, settings="\n".join(lines), seeds=list(range(count)))
            path.write_text(text, encoding="utf-8")
            out = f"{name}/out{count}"
            return hpcfed("sweep", "run", str(path), "--out", out, "--workers", str(workers))

        first = sweep(NUM_ALONE + 1, 1)
        alone = round_seconds(folder / f"out{NUM_ALONE + 1}")[1:]
        packed = sweep(num_runs, cores)
        overrides = [part for line in lines for part in ("--set", line.replace(" = ", "="))]
        single = [
            hpcfed("run", str(base), "--quiet", "--out", f"{name}/single{seed}", *overrides,
                   "--set", f"seed={seed}")
            for seed in range(NUM_SINGLE)
        ]  # fmt: skip
    median = statistics.median(alone)
    busy = [s * first[1] / first[0] for s in alone]  # the share of the clock that it had
    overhead = packed[0] * cores / (num_runs * median)
    print(f"one run alone: {median:.3f} s in its rounds, median of {len(alone)}")
    print(f"{num_runs} runs packed on {cores} cores: {packed[0]:.1f} s, {packed[1]:.1f} s of the "
          f"processor: overhead {overhead:.2f} by the clock, "
          f"{packed[1] / (num_runs * statistics.median(busy)):.2f} by the processor")  # fmt: skip
    wall, cpu = (statistics.median(column) for column in zip(*single, strict=True))
    print(
        f"one process per run: {wall:.2f} s each, {cpu:.2f} s of the processor: overhead "
        f"{wall / median:.2f} by the clock, {cpu / statistics.median(busy):.2f} by the processor"
    )
    if arguments.job == "quickstart" and overhead > TARGET:
        sys.exit(f"more than {TARGET} by the clock")


if __name__ == "__main__":
    main()
