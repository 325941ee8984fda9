"""A run, or a folder of runs, in a few lines: what it was, how far it came, what it cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: columns of the log are of any scalar type

import numpy as np

from hpcfed.base.amounts import percent, size_text
from hpcfed.base.terminal import console
from hpcfed.errors import InputError
from hpcfed.records.log import WAYS, uplink_bytes
from hpcfed.records.names import dropped_text
from hpcfed.records.planned import divide
from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.state import status_of

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Best:
    """The round of highest validation accuracy, and test accuracy there (reported only)."""

    round: int
    validation: float
    test: float


def find_runs(path: Path) -> list[Path]:
    """Return the run files at or below ``path``. Raises InputError if there is none."""
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    found = sorted(path.rglob(RUN_FILE))
    if not found:
        raise InputError(f"{path}: no {RUN_FILE} here or below")
    return found


def summary(path: Path) -> Rows:
    """Return (what, value) lines for one run file."""
    record = read_record(path)
    rounds = record.log.rounds
    attributes = record.attributes
    lines = [
        ("run", f"{attributes['name']} ({path})"),
        ("status", f"{_ended(attributes)} {attributes['error']}".strip()),
        ("rounds", f"{record.log.num_rounds}"),
        ("clients", f"{len(record.clients['num_samples'])}, {_ranks(record)}"),
        ("data", f"{record.clients['num_samples'].sum()} samples of {attributes['data_source']}"),
        ("parameters", f"{record.params.size}"),
        *_engine(record),
        *_origin(record),
    ]
    if record.log.num_rounds:
        lines += [*_results(rounds), *_figures(record), *_costs(rounds)]
    return lines


def _engine(record: Record) -> Rows:
    """Return the engine that trained, where the rule leaves one to choose."""
    engine = record.attributes.get("engine", "auto")
    return [] if engine == "auto" else [("engine", engine)]


def _origin(record: Record) -> Rows:
    """Return the ANN that a network was converted from, if it was."""
    curve = record.curves.get("steps")
    if curve is None:
        return []
    steps, source = int(curve["steps"][-1]), record.attributes["converted_from"]
    known = {name: float(curve[f"ann_{name}_accuracy"]) for name in ("validation", "test")}
    found = ", ".join(f"{percent(value)} {name}" for name, value in known.items())
    return [("converted from", f"{source}, an ANN of {found}; below: after {steps} time steps")]


def best_round(rounds: dict[str, list[Any]]) -> Best | None:
    """Return the best evaluated round by validation accuracy, the earliest of equals."""
    validation = np.array(rounds["validation_accuracy"], np.float64)
    if not len(validation) or np.isnan(validation).all():
        return None
    at = int(np.nanargmax(validation))
    return Best(at + 1, float(validation[at]), float(rounds["test_accuracy"][at]))


def overview(paths: list[Path], root: Path) -> Iterator[tuple[str, ...]]:
    """Yield (run, status, rounds, validation, test, uplink) for each run file below ``root``.

    A file that cannot be read is a line that says so.
    """
    for path in paths:
        name = str(path.parent.relative_to(root)) if root.is_dir() else str(path)
        try:
            record = read_record(path)
        except InputError as error:
            yield name, f"unreadable: {error}", "", "", "", ""
            continue
        rounds = record.log.rounds
        uplink = size_text(float(uplink_bytes(rounds).sum()))
        accuracies = (_last(rounds, "validation_accuracy"), _last(rounds, "test_accuracy"))
        yield (
            name,
            _ended(record.attributes, short=True),
            str(record.log.num_rounds),
            *map(percent, accuracies),
            uplink,
        )


def _ended(attributes: dict[str, Any], short: bool = False) -> str:
    """Return the status, with the verdict of a run that ended early."""
    status, verdict = status_of(attributes), attributes.get("verdict", "")
    if verdict and status == "finished":
        return f"{status}, {verdict}"
    if short or status == attributes["status"]:
        return status
    return f"{status}: its process has died; continue with --resume"


def _ranks(record: Record) -> str:
    if not record.attempts:
        return "not started"
    return f"last on {record.attempts[-1]['num_ranks']} ranks, {len(record.attempts)} starts"


def _last(rounds: dict[str, list[Any]], name: str) -> float:
    known = [value for value in rounds[name] if not math.isnan(value)]
    return float(known[-1]) if known else math.nan


def _results(rounds: dict[str, list[Any]]) -> Rows:
    lines = [
        (f"{name} accuracy", f"{percent(_last(rounds, f'{name}_accuracy'))} after the last round")
        for name in ("validation", "test")
    ]
    best = best_round(rounds)
    if best is not None:
        text = f"{percent(best.validation)} validation, {percent(best.test)} test"
        lines.append(("best on validation", f"round {best.round}: {text}"))
    lines.append(("hidden rate", f"{rounds['hidden_rate'][-1]:.3g} spikes per neuron and bin"))
    return lines


def _figures(record: Record) -> Rows:
    """Return the calibration, and what the run's rule measures."""
    rounds, lines = record.log.rounds, []
    for split in ("test", "validation"):
        error, brier = (_last(rounds, f"{split}_{n}") for n in ("calibration_error", "brier_score"))
        if not math.isnan(error):
            lines.append(
                (f"{split} calibration", f"error {percent(error)}, Brier score {brier:.3f}")
            )
        lines += [*_committee(rounds, split), *_of_rates(rounds, split)]
    for name, (_, unit, meaning) in record.log.figures.items():
        amount = f"{_last(rounds, name):.4g}{'' if unit == '1' else f' {unit}'}"
        lines.append((name, f"{amount} ({meaning})"))
    return lines


def _committee(rounds: dict[str, list[Any]], split: str) -> Rows:
    """Return what the most probable weights do beside a committee, and how its members differ."""
    names = ("map_accuracy", "map_loss", "entropy", "expected_entropy", "mutual_information")
    accuracy, loss, *parts = (_last(rounds, f"{split}_{name}") for name in names)
    lines = []
    if not math.isnan(accuracy):
        text = f"{percent(accuracy)}, loss {loss:.3f} nat, by the most probable weights"
        lines.append((f"{split} MAP accuracy", text))
    if not any(map(math.isnan, parts)):
        text = "{:.3f} nat = {:.3f} expected + {:.3f} mutual information".format(*parts)
        lines.append((f"{split} entropy", text))
    return lines


def _of_rates(rounds: dict[str, list[Any]], split: str) -> Rows:
    """Return what the rates answer, where spikes answer in their place."""
    accuracy, loss = (_last(rounds, f"{split}_rate_{name}") for name in ("accuracy", "loss"))
    if math.isnan(accuracy):
        return []
    gap = 100 * (accuracy - _last(rounds, f"{split}_accuracy"))
    text = f"{percent(accuracy)}, loss {loss:.3f} nat, {gap:+.1f} points beside spikes"
    return [(f"{split} rate accuracy", text)]


def _costs(rounds: dict[str, list[Any]]) -> Rows:
    def total(name: str) -> float:
        return float(np.sum(rounds[name]))

    ways = [(w, total(f"uplink_bytes_{w}")) for w in WAYS]
    text = ", ".join(f"{size_text(size)} as values + {w}" for w, size in ways if size == size)
    names = ("train", "communicate", "wait", "evaluate", "write")
    seconds = ", ".join(f"{total(f'seconds_{name}'):.1f} {name}" for name in names)
    return [
        ("participants", f"{np.mean(rounds['num_participants']):.1f} a round"),
        ("rejected updates", f"{int(total('num_rejected'))}"),
        ("uplink", f"{int(total('uplink_values'))} values: {text}"),
        ("downlink", size_text(total("downlink_bytes"))),
        ("through MPI", size_text(total("mpi_bytes"))),
        ("seconds", seconds),
    ]


def print_summary(path: Path) -> None:
    """Print the run at ``path``, or all runs below it, as a table."""
    from rich.markup import escape
    from rich.table import Table

    files = divide(path, find_runs(path))
    runs = [*files.counted, *files.strange]
    single = len(runs) == 1
    table = Table(show_header=not single, box=None)
    columns = ("", "") if single else ("run", "status", "rounds", "validation", "test", "uplink")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in summary(runs[0]) if single else overview(runs, path):
        table.add_row(*map(escape, row))
    console().print(table)
    if files.dropped:
        console().print(escape(dropped_text(file.parent for file in files.dropped)))
