"""Bits that no change of form may move: parameters of short runs, digests and names of the jobs.

``python -m tests.golden_bits`` records them anew in tests/golden; do so only where a result was
meant to change, and say so in CHANGELOG.md under "Results affected". Real networks are recorded per
kind of processor, as the promise of equal bits is; the toy world's sums are the same on all.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any  # Any: what JSON holds

from hpcfed.config.file import digest, read_experiment
from hpcfed.config.jobs import packaged_jobs
from hpcfed.records.runfile import Record, read_record
from hpcfed.sweep.planning.grid import cells
from hpcfed.sweep.planning.searches import corners
from hpcfed.sweep.planning.sweepfile import read_sweep
from tests.mpi.launch import mpirun
from tests.mpi.ways import toy_runs
from tests.places import GOLDEN

GOLDEN = GOLDEN
JOBS, TOY, ENGINES = GOLDEN / "jobs.json", GOLDEN / "toy_bits.json", GOLDEN / "engine_bits.json"

TOY_RUNS = {
    "plain": (),
    "bernoulli": ("uplink.mask=bernoulli", "uplink.mask_probability=0.5"),
    "random-k": ("uplink.mask=random-k", "uplink.mask_probability=0.5"),
    "top-k": ("uplink.mask=top-k", "uplink.mask_probability=0.75"),
    "float16": ("uplink.dtype=float16",),
    "int8": ("uplink.dtype=int8", "uplink.mask=bernoulli", "uplink.mask_probability=0.5"),
    "error feedback": (
        "uplink.dtype=int8", "uplink.mask=top-k", "uplink.mask_probability=0.75",
        "uplink.error_feedback=true",
    ),
    "sign": ("uplink.dtype=sign", "uplink.error_feedback=true"),
    "received": (
        "uplink.mask=bernoulli", "uplink.mask_probability=0.5", "server.average=received",
    ),
    "all, rescaled": ("server.average=all", "server.rescale=true"),
    "uniform": ("server.client_weights=uniform",),
    "momentum": ("server.optimizer=momentum",),
    "adam": ("server.optimizer=adam", "server.learning_rate=0.1"),
}  # fmt: skip
# the interpreter of GPU kernels is slow: fewer, shorter steps
ENGINE_RUNS = {
    "event": ("client.engine=event",),
    "norse": ("client.engine=norse",),
    "gpu": (
        "client.engine=gpu", "client.steps=1", "client.batch_size=2", "model.hidden=[16]",
        "partition.num_clients=2", "run.eval_every=3", "data.classes=[0, 1]", "data.num_bins=40",
        "data.duration=0.3",
    ),
}  # fmt: skip


def processor() -> str:
    """Return the kind of this processor, as the compiler of kernels names it."""
    from llvmlite import binding

    return str(binding.get_host_cpu_name())


def jobs() -> dict[str, Any]:
    """Return the configuration digest of every packaged job, and the names of a sweep's runs."""
    found: dict[str, Any] = {}
    for name, path in packaged_jobs().items():
        if "base =" in path.read_text(encoding="utf-8"):
            sweep = read_sweep(path)
            if sweep.search is not None:
                ends = corners(sweep.search, lambda experiment: "auto")
                found[name] = sorted(run.digest for run in ends)
            else:
                found[name] = sorted(cell.name for cell in cells(sweep))
        else:
            found[name] = digest(read_experiment(path))
    return found


def toy_bits(folder: Path) -> dict[str, list[str]]:
    """Return the digests of the parameters after each round of each of the toy world's runs."""
    records = toy_runs(1, folder, *TOY_RUNS.values())
    return dict(zip(TOY_RUNS, map(_digests, records), strict=True))


def engine_bits(engine: str, out: Path) -> list[str]:
    """Return the digests of the parameters after each of three rounds of the quickstart."""
    overrides = ("server.rounds=3", *ENGINE_RUNS[engine])
    sets = [part for item in overrides for part in ("--set", item)]
    command = ("-m", "hpcfed", "run", "jobs/quickstart.toml", "--out", str(out), *sets)
    environment = {"TRITON_INTERPRET": "1"} if engine == "gpu" else {}
    ended = mpirun(1, *command, environment=environment, limit_s=280)
    assert ended.rc == 0, ended.stderr
    return _digests(read_record(out))


def _digests(record: Record) -> list[str]:
    return [bytes(d).decode() for d in record.log.rounds["params_digest"]]


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Record everything anew; other processors' bits stay."""
    _write(JOBS, jobs())
    engines = json.loads(ENGINES.read_text()) if ENGINES.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        _write(TOY, toy_bits(Path(folder)))
        ours = {name: engine_bits(name, Path(folder) / f"engine-{name}") for name in ENGINE_RUNS}
    _write(ENGINES, engines | {processor(): ours})


if __name__ == "__main__":
    sys.exit(main())
