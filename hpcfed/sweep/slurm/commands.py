"""What is asked of Slurm, and how: one call for many jobs, and errors that say what to do."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from hpcfed.errors import InputError

_TIMEOUT_S = 300  # a controller that is full lets sbatch wait for two minutes
_WORKING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
_FORMAT = "ArrayJobID:24,ArrayTaskID:24,State:24,RestartCnt:12,Name:200"
_LIMIT = re.compile(
    r"violates accounting/QOS policy|Submit(Job|Limit)|submit limit|queue full|unable to accept"
)
_USUAL_ARRAY_SIZE = 1001
_NO_TASK = {"N/A", "NONE", ""}


class SlurmError(InputError):
    """A command of Slurm failed: what was asked, and the last line of what it said."""


class LimitError(SlurmError):
    """Slurm took nothing more: a limit on the number of jobs is reached."""


@dataclass(frozen=True)
class Queued:
    """One job or array task in the queue; ``task`` is "-" for a job that is no array."""

    job: str
    task: str
    state: str
    restart: int
    name: str

    @property
    def works(self) -> bool:
        """Whether it has begun and not ended."""
        return self.state in _WORKING


def call(command: Sequence[str], text: str | None = None) -> str:
    """Run a command of Slurm; return what it says. Raises SlurmError."""
    try:
        ended = subprocess.run(
            command, input=text or "", capture_output=True, text=True, timeout=_TIMEOUT_S,
            check=False, errors="replace",
        )  # fmt: skip
    except FileNotFoundError:
        raise SlurmError(f"{command[0]}: no such command; is this a machine with Slurm?") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"{command[0]}: {error}") from None
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip() or f"exit code {ended.returncode}"
        kind = LimitError if _is_limit(said) else SlurmError
        raise kind(f"{command[0]}: {said.splitlines()[-1]}")
    return ended.stdout


def queue() -> list[Queued]:
    """Return all jobs of this user, one entry per array task, by one call. Raises SlurmError."""
    listing = call(
        ["squeue", "--noheader", "--array", f"--user={os.geteuid()}", f"--Format={_FORMAT}"]
    )
    jobs = []
    for line in listing.splitlines():
        fields = line.split(None, 4)
        if len(fields) == 5:
            job, task, state, restart, name = (field.strip() for field in fields)
            task = "-" if task in _NO_TASK else task
            jobs.append(Queued(job, task, state, int(restart) if restart.isdigit() else 0, name))
    return jobs


class SlurmQueue:
    """The queue as the claims ask it; see ``owners.Queue``."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], Queued] | None = None

    def incarnation(self, job: str, task: str, refresh: bool) -> int | None:
        """Return the restart count of what runs, -1 if it does not, None without an answer."""
        if self._jobs is None or refresh:
            try:
                self._jobs = {(found.job, found.task): found for found in queue()}
            except SlurmError:
                return None
        found = self._jobs.get((job, task))
        return found.restart if found is not None and found.works else -1


def submit(script: str, options: Sequence[str] = ()) -> str:
    """Submit a script; return the job's number. Raises SlurmError, LimitError for a full queue."""
    answer = call(["sbatch", "--parsable", *options], script)
    number = answer.strip().splitlines()[-1].partition(";")[0] if answer.strip() else ""
    if not number.isdigit():
        raise SlurmError(f"sbatch: expected the number of a job, found {answer!r}")
    return number


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs by number, by one call. Raises SlurmError."""
    if jobs:
        call(["scancel", *jobs])


def requeue(job: str, task: str) -> None:
    """Put a running job or array task back into the queue. Raises SlurmError."""
    call(["scontrol", "requeue", job if task == "-" else f"{job}_{task}"])


@dataclass(frozen=True)
class Limits:
    """How many tasks one array may have, and one user may have in the queue (None: no limit)."""

    array_size: int
    submitted: int | None


def limits() -> Limits:
    """Ask the controller, and the accounting where there is one. Raises SlurmError."""
    config = call(["scontrol", "show", "config"])
    found = dict(re.findall(r"^(MaxArraySize|MaxJobCount)\s*=\s*(\d+)", config, re.MULTILINE))
    submitted = [int(found["MaxJobCount"])] if "MaxJobCount" in found else []
    size = int(found.get("MaxArraySize", _USUAL_ARRAY_SIZE))
    return Limits(size, min([*submitted, *_association()], default=None))


def ends(names: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return how tasks of the named jobs ended, as (job, task) -> state; {} without accounting."""
    if not names:
        return {}
    try:
        listing = call(
            ["sacct", "--noheader", "--parsable2", "--allocations", "--starttime=now-60days",
             f"--name={','.join(names)}", "--format=JobID,State"]
        )  # fmt: skip
    except SlurmError:
        return {}
    found = {}
    for line in listing.splitlines():
        job, _, state = line.partition("|")
        number, _, task = job.partition("_")
        if state:
            found[number, task or "-"] = state.split()[0]
    return found


def _association() -> list[int]:
    """Return the limits on submitted jobs that accounting knows for this user; often none."""
    try:
        listing = call(
            ["sacctmgr", "--noheader", "--parsable2", "show", "assoc",
             f"user={getpass.getuser()}", f"cluster={os.environ.get('SLURM_CLUSTER_NAME', '')}",
             "format=MaxSubmitJobs"]
        )  # fmt: skip
    except SlurmError:
        return []
    return [int(line) for line in listing.split() if line.isdigit()]


def _is_limit(said: str) -> bool:
    return bool(_LIMIT.search(said))
