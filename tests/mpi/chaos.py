"""Kills random ranks of toy jobs at random times, and looks at what becomes of the jobs.

``python -m tests.mpi.chaos N`` (``make chaos N=500``) goes on until N ranks have been killed, two
jobs at a time, and prints kills by phase, recoveries by layer, seconds lost, hangs, wrong digests.
An interrupt lets the jobs under way end and prints what there is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hpcfed.errors import InputError
from hpcfed.launch.stopping import kill_job
from hpcfed.records.runfile import Record, read_record
from tests.places import COMPILED, PLAIN, REPOSITORY

JOB = (
    "rule.kind=tests.chaos_toy:RULE",
    "uplink.error_feedback=true", "uplink.mask=top-k", "uplink.mask_probability=0.75",
    "server.optimizer=adam", "run.checkpoint_seconds=0.5", "run.max_restarts=20",
)  # fmt: skip
LONG = ("server.rounds=130",)
CLIENT_S = 0.03  # a round takes about 0.12 s
LIMIT_S = 240  # a job that is not done by then hangs
AT_ONCE = 2


@dataclass
class Ended:
    """How a job ended.

    Attributes:
        code: of ``hpcfed run --ranks``; None if it was still running after the limit.
        kills: the phase of each rank that was killed.
    """

    code: int | None
    out: Path
    said: str
    seconds: float
    kills: list[str] = field(default_factory=list)

    @property
    def record(self) -> Record:
        """The run file."""
        return read_record(self.out)


class ToyJob:
    """A toy job through ``hpcfed run --ranks``; every rank says in which phase it is."""

    def __init__(
        self,
        out: Path,
        num_ranks: int,
        sets: Sequence[str],
        *options: str,
        client_s: float = CLIENT_S,
        deaths: Sequence[Mapping[str, object]] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self.out = out
        self.phases = Path(tempfile.mkdtemp(prefix="phases-", dir=out.parent))
        self.said = self.phases.with_suffix(".log")  # another job may have the same folder
        words = [part for item in (*JOB, *sets) for part in ("--set", item)]
        paths = (REPOSITORY / "tests" / "chaos_site", REPOSITORY, os.environ.get("PYTHONPATH"))
        self._begin = time.monotonic()
        with self.said.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hpcfed", "run", "tests/mpi/toy.toml", "--out", str(out),
                 "--ranks", str(num_ranks), *words, *options],
                env={
                    **{k: v for k, v in os.environ.items() if not k.startswith("OMPI_COMM_")},
                    "PYTHONPATH": os.pathsep.join(str(path) for path in paths if path),
                    "HPCFED_CHAOS": str(self.phases),
                    "HPCFED_CHAOS_SECONDS": str(client_s),
                    "HPCFED_CHAOS_DIE": json.dumps(list(deaths)),
                    "OMP_NUM_THREADS": "1",
                    **PLAIN,
                    **(environment or {}),
                },
                cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def living(self) -> dict[int, tuple[int, str]]:
        """Return process number and phase of each living rank."""
        found = {}
        for path in self.phases.iterdir():
            rank, pid = map(int, path.name.split("."))
            if _alive(pid):
                found[rank] = pid, path.read_text().strip() or "start-up"
        return found

    def died(self) -> list[str]:
        """Return in which phases ranks have killed themselves."""
        last = [path.read_text().strip() for path in self.phases.iterdir()]
        return [text.removeprefix("died in ") for text in last if text.startswith("died in ")]

    def wait(self, limit_s: float = LIMIT_S) -> Ended:
        """Wait for the end; after the limit kill everything."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
            self.end()
        said = self.said.read_text(errors="replace")
        return Ended(code, self.out, said, time.monotonic() - self._begin)

    def end(self) -> None:
        """Kill launcher, mpirun and ranks."""
        kill_job(self.process.pid)
        for pid, _ in self.living().values():
            _kill(pid)
        self.process.wait()


def disturb(job: ToyJob, rng: random.Random, times: Sequence[float]) -> list[str]:
    """At each time kill one rank, two at once, the root, or all but one; return their phases."""
    kills = []
    for moment in sorted(times):
        time.sleep(max(0.0, job._begin + moment - time.monotonic()))
        living = job.living()
        if job.process.poll() is not None:
            break
        ranks = sorted(living)
        if not ranks:
            continue
        how = rng.choice(["one", "one", "two", "root", "all but one"])
        count = {"one": 1, "two": 2, "root": 1, "all but one": len(ranks) - 1}[how]
        chosen = ranks[:1] if how == "root" else rng.sample(ranks, min(count, len(ranks)))
        for rank in chosen:
            pid, phase = living[rank]
            if _kill(pid):
                kills.append(phase)
    return kills


def chaos_run(out: Path, seed: int) -> Ended:
    """Run a job of at least 15 s on 4 to 6 ranks, and kill ranks of it at random times."""
    rng = random.Random(seed)
    num_ranks = rng.randint(4, 6)
    moments = [rng.uniform(0, 20) for _ in range(rng.randint(1, 3))]
    # what is short gets a share of its own
    if rng.random() < 0.2:
        moments.append(rng.uniform(0.2, 1.5))
    deaths = []
    if rng.random() < 0.5:
        phase = rng.choice(["before training", "writing", "recovery", "recovery", "end"])
        ranks = [0] if phase == "writing" else rng.sample(range(num_ranks), rng.choice([1, 2]))
        deaths = [{"phase": phase, "ranks": ranks, "nth": rng.randint(1, 2)}]
    job = ToyJob(out, num_ranks, LONG, deaths=deaths, environment=COMPILED)
    kills: list[str] = []
    killer = threading.Thread(target=lambda: kills.extend(disturb(job, rng, moments)), daemon=True)
    killer.start()
    ended = job.wait()
    killer.join()
    ended.kills = kills + job.died()
    return ended


@dataclass
class Tally:
    """What came of many runs."""

    phases: Counter[str] = field(default_factory=Counter)
    layers: Counter[str] = field(default_factory=Counter)
    lost_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, ended: Ended, expected: Record) -> None:
        """Count one run."""
        self.phases.update(ended.kills)
        if problem := wrong(ended, expected):
            self.wrong.append(f"{problem}\n{ended.said[-3000:]}")
            return
        attempts = ended.record.attempts
        self.layers["continued"] += sum(bool(a["lost"]) for a in attempts)
        self.layers["started again"] += ended.said.count("starting it again")
        self.lost_s += [float(a["seconds_lost"]) for a in attempts if a["seconds_lost"] > 0]

    def text(self) -> str:
        """Return the result as a table."""
        lines = [f"kills: {sum(self.phases.values())}"]
        lines += [f"  {phase:<18} {count:5}" for phase, count in self.phases.most_common()]
        lines += [f"recoveries, {layer}: {count}" for layer, count in self.layers.items()]
        if self.lost_s:
            median, most = statistics.median(self.lost_s), max(self.lost_s)
            lines += [f"seconds lost: median {median:.2f}, most {most:.2f}"]
        hangs = sum(text.startswith("hangs") for text in self.wrong)
        return "\n".join([*lines, f"hangs: {hangs}", f"wrong otherwise: {len(self.wrong) - hangs}"])


def wrong(ended: Ended, expected: Record) -> str:
    """Say what is wrong with a run's end; "" if it finished with the expected bits."""
    if ended.code is None:
        return f"hangs after {ended.seconds:.0f} s; killed in {ended.kills}"
    try:
        record = ended.record
    except InputError as error:
        return f"no run file: {error}; killed in {ended.kills}"
    if ended.code != 0 or record.attributes["status"] != "finished":
        return f"code {ended.code}, {record.attributes['status']}; killed in {ended.kills}"
    if digests(record) != digests(expected):
        return f"other digests; killed in {ended.kills}"
    return ""


def digests(record: Record) -> list[str]:
    """Return the digest of the parameters after each round, and of those in the file."""
    rounds = [bytes(d).decode() for d in record.log.rounds["params_digest"]]
    return [*rounds, record.params.tobytes().hex(), record.checkpoint["moments"].tobytes().hex()]


def undisturbed(folder: Path, sets: Sequence[str] = LONG) -> Record:
    """Return the record of a run on one rank that nobody disturbs, its kernels compiled."""
    job = ToyJob(folder / "undisturbed", 1, sets, client_s=0, environment=COMPILED)
    ended = job.wait()
    assert ended.code == 0, ended.said
    return ended.record


def main() -> None:
    """Kill N ranks, print the result; exit 1 if a run hung or ended wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tally, seeds = Tally(), iter(range(arguments.seed, 1 << 30))
    enough = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: enough.set())
    with tempfile.TemporaryDirectory(prefix="hpcfed-chaos-") as name:
        expected = undisturbed(Path(name))
        lock = threading.Lock()

        def work() -> None:
            while not enough.is_set():
                with lock:
                    seed = next(seeds)
                ended = chaos_run(Path(name) / f"run{seed}" / "out", seed)
                with lock:
                    tally.add(ended, expected)
                    total = sum(tally.phases.values())
                    if total >= arguments.kills:
                        enough.set()
                    print(f"seed {seed}: {ended.seconds:.0f} s, killed in {ended.kills}; "
                          f"{total} kills, {len(tally.wrong)} wrong", flush=True)  # fmt: skip

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for future in [pool.submit(work) for _ in range(AT_ONCE)]:
                future.result()
    print(tally.text())
    print("\n".join(tally.wrong), file=sys.stderr)
    sys.exit(1 if tally.wrong else 0)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def _kill(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


if __name__ == "__main__":
    main()
