"""What to run and where: decided from the configuration and the output folder, without MPI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hpcfed.config import Experiment
from hpcfed.config.file import changed_keys, parse_experiment, to_toml
from hpcfed.errors import InputError
from hpcfed.learning.engines import resolve_engine
from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.state import NOBODY, Holder, holder_of, this_writer
from hpcfed.tracking.tracker import check_installed


@dataclass(frozen=True)
class Decision:
    """A decision that every rank follows.

    Attributes:
        config: the complete experiment as TOML, with the engine resolved.
        folder: where the run file lies or will lie.
        resumed: whether the folder's run is continued.
        round: rounds done already.
        finished: whether nothing is left to do.
        base: which start wrote the file that is continued; NOBODY without one.
        holder: which start this one will be.
    """

    config: str
    folder: str
    resumed: bool
    round: int
    finished: bool
    base: Holder
    holder: Holder


def decide(
    experiment: Experiment, out: Path | None, resume: bool, before: Decision | None = None
) -> Decision:
    """Decide what a request means; ``before`` is what it meant until a rank was lost.

    Raises InputError; writes nothing.
    """
    folder = out or Path("results") / experiment.name
    path = folder / RUN_FILE
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; choose another folder with --out")
    if path.exists() and not resume:
        raise InputError(
            f"{folder}: holds a run already; continue it with --resume, or choose another folder "
            "with --out"
        )
    check_installed(experiment.run.track or ())
    resumed = path.exists()
    finished, first_round, base = False, 0, NOBODY
    if resumed:
        record = read_record(path)
        base = holder_of(record.attributes)
        if before is not None and base not in (before.base, before.holder):
            raise InputError(taken_over(path, base))
        experiment = _resumed(experiment, record, path)
        first_round = int(record.checkpoint["round"])
        ended = bool(record.attributes.get("verdict")) or first_round == experiment.server.rounds
        # a full disk may have taken the rounds, and refused the end
        finished = ended and record.attributes["status"] != "failed"
    else:
        engine = resolve_engine(experiment)
        client = experiment.client.model_copy(update={"engine": engine})
        experiment = experiment.model_copy(update={"client": client})
    number = max(base.attempt, before.holder.attempt if before else 0) + 1
    holder = Holder(number, this_writer())
    return Decision(to_toml(experiment), str(folder), resumed, first_round, finished, base, holder)


def taken_over(path: Path, holder: Holder) -> str:
    """Return what a start says that finds the file of another one in the place of its own."""
    return (
        f"{path}: start {holder.attempt} of this run, by process {holder.writer}, has taken it "
        "over; this one ends and leaves the file as it is"
    )


def _resumed(experiment: Experiment, record: Record, path: Path) -> Experiment:
    """Return the experiment that continues ``record``. Raises InputError if it is another one."""
    old = parse_experiment(record.attributes["config_toml"], source=str(path))
    if experiment.client.engine == "auto":
        client = experiment.client.model_copy(update={"engine": old.client.engine})
        experiment = experiment.model_copy(update={"client": client})
    if changed := changed_keys(old, experiment):
        raise InputError(
            f"{path}: was run with other values of {', '.join(changed)}; undo the change, or "
            "start another run with --out"
        )
    done = int(record.checkpoint["round"])
    if experiment.server.rounds < done:
        raise InputError(
            f"{path}: has {done} rounds already, server.rounds = {experiment.server.rounds} "
            "would be fewer; rounds may only grow"
        )
    return experiment
