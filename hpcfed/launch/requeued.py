"""Whether a job that puts itself back into the queue gets anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hpcfed.base.atomic import replacing
from hpcfed.records.state import State, glance

MOST_IN_VAIN = 3  # stops in a row without a finished round; the next would end as these did


def stops_in_vain(counter: Path, progressed: bool) -> int:
    """Note that a job was asked to stop; return how many times in a row it had finished no round.

    ``counter`` is the job's own file, there from the first stop in vain to the last. Raises
    OSError.
    """
    try:
        count = 0 if progressed else int(counter.read_text(encoding="ascii")) + 1
    except (FileNotFoundError, ValueError):
        count = 1
    if 0 < count < MOST_IN_VAIN:
        with replacing(counter) as stream:
            stream.write(f"{count}\n".encode())
    else:
        counter.unlink(missing_ok=True)
    return count


def run_in_vain(run_file: Path, before: State | None, environment: Mapping[str, str]) -> str:
    """Note that a run was asked to stop; return why its job is not to queue itself again, or "".

    ``before`` is what the run file held at the start. Only a job that Slurm has started again can
    go on for ever.
    """
    job = environment.get("SLURM_JOB_ID", "")
    if not job.isdigit() or not environment.get("SLURM_RESTART_COUNT"):
        return ""
    done = [state.num_rounds if state else 0 for state in (before, glance(run_file))]
    try:
        run_file.parent.mkdir(parents=True, exist_ok=True)
        count = stops_in_vain(run_file.with_name(f"stops-{job}"), done[1] > done[0])
    except OSError:
        return ""  # a full disk is no reason to give up
    return in_vain_text(count) if count >= MOST_IN_VAIN else ""


def in_vain_text(count: int) -> str:
    """Return what is said of a job that is not queued again."""
    return (
        f"asked to stop {count} times in a row before a round was finished, so it is not queued "
        "again; give it more time"
    )
