"""``hpcfed doctor``: is this place fit for training, and if not, what is to be done?

Alone it looks at one process and at mpirun; under mpirun or srun at all ranks together. Nothing is
imported that takes long, and nothing is left on disk.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: mpi4py's communicator, whose stubs the base install lacks

from hpcfed import launch
from hpcfed.base.versions import PACKAGES, versions
from hpcfed.errors import InputError
from hpcfed.federation.mpi import transport
from hpcfed.launch import settings

_OPTIONAL = ("triton",)  # a CPU needs none
_NEEDED_FREE_BYTES = 200 * 2**20  # a run file is some megabytes, and written beside the old one


@dataclass(frozen=True)
class Finding:
    """A line of the report; ``remedy`` is empty where all is well."""

    topic: str
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class RankFacts:
    """What one rank knows of its place."""

    host: str
    cores: int
    omp_num_threads: str
    visible_gpus: str
    versions: tuple[str, ...]


def doctor(out: Path) -> int:
    """Print a report, problems last, and return 0 if there is none, else 1; on every rank.

    ``out`` is the folder that runs will be written to; it need not exist, and is not created.
    """
    rank, started = launch.started_as(os.environ)
    findings: list[Finding] = []
    comm = None
    try:
        comm = transport.world()
    except InputError as error:
        findings.append(Finding("MPI", "none", str(error)))
    ranks: list[RankFacts] = [rank_facts()] if comm is None else comm.allgather(rank_facts())
    if comm is not None:
        findings += mpi_findings(_library(), len(ranks), started)
        direct = "takes" if transport.takes_gpu_memory() else "does not take"
        findings.append(Finding("MPI + GPU", f"the MPI library {direct} GPU memory directly"))
    # where MPI takes every process for the first, the launcher knows which one speaks
    speaks = rank == 0 if comm is None or comm.Get_size() == 1 else comm.Get_rank() == 0
    if not speaks:
        return _agree(comm, 1 if any(finding.remedy for finding in findings) else 0)
    findings += [*place_findings(ranks), *disk_findings(out), *version_findings(ranks)]
    print(report(findings), flush=True)
    return _agree(comm, 1 if any(finding.remedy for finding in findings) else 0)


def report(findings: Sequence[Finding]) -> str:
    """Return the report: what was found, then one line for each problem."""
    lines = [f"{finding.topic:<10} {finding.text}" for finding in findings]
    problems = [f"PROBLEM: {f.topic}: {f.remedy}" for f in findings if f.remedy]
    return "\n".join([*lines, "", *(problems or ["No problems found."])])


def rank_facts() -> RankFacts:
    """Look at this process."""
    affinity = getattr(os, "sched_getaffinity", None)
    return RankFacts(
        host=platform.node(),
        cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
        omp_num_threads=os.environ.get("OMP_NUM_THREADS", "not set"),
        visible_gpus=os.environ.get("CUDA_VISIBLE_DEVICES", "all"),
        versions=_versions(),
    )


def mpi_findings(library: str, seen: int, started: int) -> Iterator[Finding]:
    """Compare the ranks MPI has ``seen`` with those ``started``; alone, look at mpirun."""
    yield Finding("MPI", library)
    if seen == started:
        yield Finding("ranks", f"{seen}, as many as were started")
    elif seen == 1:
        yield Finding(
            "ranks",
            f"{started} started, but every process is rank 0 of 1",
            f"the launcher does not belong to the MPI library ({library}): use that library's own "
            "mpirun; with srun, add --mpi=pmix (Open MPI) or --mpi=pmi2 (MPICH)",
        )
    else:
        yield Finding(
            "ranks",
            f"{seen} seen by MPI, {started} started",
            "start all ranks with one mpirun or one srun",
        )
    if seen == started == 1:
        yield _mpirun_finding(library)
    yield Finding("deaths", deaths_text(seen))


def deaths_text(num_ranks: int) -> str:
    """Say what becomes of a run here when a rank dies."""
    go_on = "those that are left go on when a rank dies"
    end = "a rank that dies ends all; hpcfed run --ranks starts the job again"
    if num_ranks > 1:
        return go_on if transport.tolerates_losses() else end
    try:
        options = settings.loss_options(settings.identify(launch.find_mpirun()))
    except InputError:
        return "a rank that dies ends all"
    return f"{go_on}, with --ranks or mpirun {' '.join(options)}" if options else end


def place_findings(ranks: Sequence[RankFacts]) -> Iterator[Finding]:
    """Describe hosts, threads and GPUs. ``ranks`` holds every rank's facts."""
    counts = Counter(facts.host for facts in ranks)
    yield Finding("hosts", ", ".join(f"{host} ({n} of the ranks)" for host, n in counts.items()))
    cores = sorted({facts.cores for facts in ranks})
    threads = sorted({facts.omp_num_threads for facts in ranks})
    yield Finding(
        "threads",
        f"cores a rank may use: {_span(cores)}; OMP_NUM_THREADS: {', '.join(threads)}",
    )
    visible = sorted({facts.visible_gpus for facts in ranks})
    torch, triton = (f"{name} {versions().get(name, 'missing')}" for name in ("torch", "triton"))
    yield Finding(
        "GPUs",
        f"{_gpus()}; CUDA_VISIBLE_DEVICES: {' / '.join(visible)}; {torch}, {triton}",
    )


def disk_findings(out: Path) -> Iterator[Finding]:
    """Try what the writer of a run file does, in ``out`` or the folder it would be made in."""
    folder = next(path for path in (out, *out.absolute().parents) if path.exists())
    try:
        free_bytes = shutil.disk_usage(folder).free
        _write_like_a_run(folder)
    except OSError as error:
        yield Finding(
            "output", f"{out}: {error}", f"choose a folder that can be written, not {out} (--out)"
        )
        return
    little = free_bytes < _NEEDED_FREE_BYTES
    yield Finding(
        "output",
        f"{out}: write, fsync and rename work; {free_bytes / 2**30:.1f} GiB free",
        f"only {free_bytes / 2**20:.0f} MiB are free for {out}; make room" if little else "",
    )


def version_findings(ranks: Sequence[RankFacts]) -> Iterator[Finding]:
    """List versions, and say which packages are missing and whether the ranks differ."""
    ours = ranks[0].versions
    missing = [text.split()[0] for text in ours if text.endswith(" missing")]
    remedy = ""
    if missing:
        remedy = f"{', '.join(missing)} missing: to train here, pip install 'hpcfed[train]'"
    strangers = sorted({facts.host for facts in ranks if facts.versions != ours})
    if strangers:
        remedy = f"other versions on {', '.join(strangers)}: use one environment on all hosts"
    yield Finding("versions", ", ".join(ours), remedy)


def _library() -> str:
    """Return the MPI library's name and version, without its build's particulars."""
    return transport.library_version().split(",")[0]


def _mpirun_finding(library: str) -> Finding:
    try:
        mpirun = launch.find_mpirun()
        open_mpi = settings.identify(mpirun).open_mpi
    except InputError as error:
        return Finding("mpirun", "none", str(error))
    if bool(open_mpi) == library.startswith("Open MPI"):
        return Finding("mpirun", str(mpirun))
    owner = f"Open MPI {open_mpi}" if open_mpi else "not Open MPI"
    return Finding(
        "mpirun",
        f"{mpirun} ({owner})",
        f"it does not belong to the MPI library ({library}): put that library's mpirun first on "
        "PATH, or install one MPI only",
    )


def _versions() -> tuple[str, ...]:
    names = (name for name in PACKAGES if name not in _OPTIONAL)
    found = (f"{name} {versions().get(name, 'missing')}" for name in names)
    return (f"Python {platform.python_version()}", *found)


def _gpus() -> str:
    """Count this host's GPUs by NVIDIA's own tool, which is there where the driver is."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none (no nvidia-smi)"
    try:
        listing = subprocess.run(
            [tool, "-L"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"
    names = Counter(line.split(":")[1].split("(")[0].strip() for line in listing.splitlines())
    return ", ".join(f"{n} x {name}" for name, n in names.items()) or "none"


def _write_like_a_run(folder: Path) -> None:
    """Write, fsync and rename over an existing file; the temporary folder is removed again."""
    with tempfile.TemporaryDirectory(prefix=".hpcfed-doctor-", dir=folder) as name:
        target = Path(name) / "run.h5"
        target.write_bytes(b"old")
        with (Path(name) / "new").open("wb") as file:
            file.write(b"new")
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(target)
        handle = os.open(name, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if target.read_bytes() != b"new":
            raise OSError("a renamed file still shows its old content")


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _agree(comm: Any, verdict: int) -> int:
    """Return the root's verdict on every rank."""
    return verdict if comm is None else int(comm.bcast(verdict, root=0))
