"""A run in a few lines, what it was, how far it came, what it cost; or a folder of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
from hpcfed.records.schema import RUN_FILE, TRACKING_ERROR
from hpcfed.records.state import status_of
from hpcfed.records.sweepfolder import COLLECTED
from hpcfed.report import overview
from hpcfed.report.runs import find
from hpcfed.report.tables import skipped_lines

Rows = list[tuple[str, str]]
_THROUGH_MPI = " of updates and models from rank to rank; what clients send and receive is above"


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
        *_tracking(record),
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


def _tracking(record: Record) -> Rows:
    """Return what failed of tracking, if anything did."""
    failed = record.attributes.get(TRACKING_ERROR, "")
    return [("not tracked", failed)] if failed else []


def best_round(rounds: dict[str, list[Any]]) -> Best | None:
    """Return the best evaluated round by validation accuracy, the earliest of equals."""
    validation = np.array(rounds["validation_accuracy"], np.float64)
    if not len(validation) or np.isnan(validation).all():
        return None
    at = int(np.nanargmax(validation))
    return Best(at + 1, float(validation[at]), float(rounds["test_accuracy"][at]))


def _ended(attributes: dict[str, Any]) -> str:
    """Return the status, with the verdict of a run that ended early."""
    status, verdict = status_of(attributes), attributes.get("verdict", "")
    if verdict and status == "finished":
        return f"{status}, {verdict}"
    if status == attributes["status"]:
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
    if not math.isnan(rate := rounds["hidden_rate"][-1]):  # a network without spikes has none
        lines.append(("hidden rate", f"{rate:.3g} spikes per neuron and bin"))
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
    uplink = size_text(float(uplink_bytes(rounds).sum()))
    names = ("train", "communicate", "wait", "evaluate", "write")
    seconds = ", ".join(f"{total(f'seconds_{name}'):.1f} {name}" for name in names)
    return [
        ("participants", f"{np.mean(rounds['num_participants']):.1f} a round"),
        ("rejected updates", f"{int(total('num_rejected'))}"),
        ("uplink", f"{uplink} from clients to the server, each round in its cheapest way"),
        ("ways to send it", f"{int(total('uplink_values'))} values: {text}"),
        ("downlink", f"{size_text(total('downlink_bytes'))}, the whole model to each participant"),
        ("through MPI", f"{size_text(total('mpi_bytes'))}{_THROUGH_MPI}"),
        ("seconds", seconds),
    ]


def print_summary(path: Path) -> None:
    """Print the run at ``path``, or all runs below it, as a table."""
    files = divide(path, find_runs(path))
    runs = [*files.counted, *files.strange]
    if len(runs) == 1 and path.suffix != COLLECTED:
        _print(summary(runs[0]))
        if files.dropped:
            _say(dropped_text(file.parent for file in files.dropped))
        return
    found = find(path)
    shown = overview.content(found)
    varying = list(overview.varying_rows(shown))
    if varying:
        _print([("varies:", ""), *varying, ("", "")])
    _print(overview.run_rows(shown), overview.RUN_HEADS)
    if any(setting["num_runs"] > 1 for setting in shown["settings"]):
        _say("")
        _print(overview.setting_rows(shown), overview.SETTING_HEADS)
        _say(overview.HOW)
    for line in skipped_lines(found):
        _say(line)


def configuration(path: Path) -> str:
    """Return the configuration that the run file at ``path`` holds, as TOML.

    Raises InputError where there are several.
    """
    files = divide(path, find_runs(path))
    runs = [*files.counted, *files.strange]
    if len(runs) != 1:
        raise InputError(
            f"{path}: {len(runs)} runs, and a configuration is of one; name its folder, as "
            f"{(runs or [path])[0].parent}"
        )
    return str(read_record(runs[0]).attributes["config_toml"])


def _print(rows: Iterable[tuple[str, ...]], heads: Sequence[str] = ("", "")) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=any(heads), box=None)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console().print(table)


def _say(text: str) -> None:
    console().print(text, markup=False, highlight=False)
