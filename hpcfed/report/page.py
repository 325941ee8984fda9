"""One self-contained HTML page about a run or a sweep: no network, no file beside it.

Its figures are drawn by its own scripts (page/*.js): a plotting library would be most of the
page, and its figures would know neither keyboard nor a dark background.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any  # Any: values of JSON

from hpcfed.base.amounts import percent, size_text
from hpcfed.base.atomic import replacing
from hpcfed.errors import InputError
from hpcfed.records.names import dropped_text
from hpcfed.report.figures.tradeoff import Pair, Point, Tradeoff, tradeoff, widest_pairs
from hpcfed.report.grid import group_text, mean_drop
from hpcfed.report.made_with import Rows, common, provenance, varying
from hpcfed.report.page_data import page_data
from hpcfed.report.pictures import Picture, pictures, search_pictures, sweep_pictures
from hpcfed.report.runs import Found, Run, find
from hpcfed.report.settings import Setting, settings
from hpcfed.report.statistics import PAIRED_INTERVAL, T_INTERVAL, Mean
from hpcfed.report.summary import summary

PAGE = "report.html"
# in the order in which they run
WAYS = "Ways to send"
SCRIPTS = ("basics", "grid", "tradeoff", "curves", "table", "begin")
STATES = ("finished", "running", "stopped", "failed")


@dataclass(frozen=True)
class Failure:
    """A run or a file that did not come to its end, and why."""

    label: str
    kind: str
    message: str


def write_page(path: Path, out: Path | None = None) -> Path:
    """Write the page about everything at ``path``; default: report.html beside it.

    Raises InputError if nothing is there, or the page cannot be written.
    """
    found = find(path)
    if path.is_file() and not found.runs and found.skipped:
        raise InputError(f"{path}: {found.skipped[0].reason}")
    if not found.runs and not found.planned and not found.skipped:
        raise InputError(f"{path}: no run file here or below, and no planned sweep")
    target = out or found.root / PAGE
    text = render(found, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as stream:
            stream.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise InputError(
            f"{target}: the page cannot be written ({error.strerror or error}); give a file in a "
            "folder that you may write to with --out"
        ) from None
    return target


def render(found: Found, out: Path | None, version: str = "") -> str:
    """Return the page's HTML; links are relative to ``out``, without one there are none.

    With a ``version`` the page asks its server for the present one, and loads itself anew.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    shown, (heading, drawn) = tradeoff(found), _pictures(found)
    folder = resources.files("hpcfed.report") / "page"
    environment = Environment(
        loader=PackageLoader("hpcfed.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(
        title=_title(found),
        version=version,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        state=state_lines(found),
        summary=_summary(found, shown),
        budgets=[_budget_row(pair) for pair in widest_pairs(shown)],
        pictures=drawn,
        pictured=heading,
        has_tradeoff=heading == WAYS,
        settings=_setting_rows(settings(found, shown.metric)),
        varying=varying(found.runs),
        common=common(found.runs),
        provenance=provenance(found.runs),
        failures=failures(found),
        metric=shown.metric.replace("_", " "),
        t_interval=T_INTERVAL,
        paired_interval=PAIRED_INTERVAL,
        css=Markup((folder / "page.css").read_text(encoding="utf-8")),
        script=Markup(_script(folder, (*SCRIPTS, "live") if version else SCRIPTS)),
        data=Markup(embedded(page_data(found, shown, out))),
    )


def _pictures(found: Found) -> tuple[str, list[Picture]]:
    """Return pictures and their heading; those of ways to send stand beside the trade-off."""
    if is_single(found):
        return "The run", pictures(found)
    searched = search_pictures(found.root)
    return ("The search", searched) if searched else (WAYS, sweep_pictures(found))


def _script(folder: Traversable, names: Sequence[str]) -> str:
    """Return all scripts as one, whose names nothing outside can see."""
    parts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "\n".join(['"use strict";', "(() => {", *parts, "})();"])


def embedded(data: Any) -> str:
    """Return JSON that can stand in a script element: no text in it ends the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def state_lines(found: Found) -> list[str]:
    """Return how far everything is, in sentences."""
    counts = Counter(run.status for run in found.runs)
    num_given_up = len(failures_without_file(found))
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    parts += [f"{n} {state or 'of unknown state'}" for state, n in counts.items()
              if state not in STATES]  # fmt: skip
    total = len(found.planned) or len(found.runs)
    word = ("planned run" if found.planned else "run") + ("s" if total != 1 else "")
    lines = [f"{total} {word}: {', '.join(parts) or 'none has begun'}."]
    if found.missing:
        given_up = f", {num_given_up} of them given up" if num_given_up else ""
        lines.append(f"Missing: {len(found.missing)} of {total} have no run file yet{given_up}.")
    if counts["running"] or counts["stopped"]:
        lines.append("Figures of the trade-off hold finished runs alone.")
    if found.dropped:
        lines.append(f"{dropped_text(file.parent for file in found.dropped)}.")
    if found.skipped:
        lines.append(f"{len(found.skipped)} files could not be read and are left out, see below.")
    return lines


def failures(found: Found) -> list[Failure]:
    """Return failed runs, runs that were given up, and files that are left out."""
    failed = [
        Failure(run.label, "failed", run.error or found.failures.get(run.digest, "no message"))
        for run in found.runs
        if run.status == "failed" or (run.digest in found.failures and run.status != "finished")
    ]
    given_up = [Failure(f"runs/{name}", "given up", text)
                for name, text in failures_without_file(found).items()]  # fmt: skip
    left_out = [Failure(item.label, "left out", item.reason) for item in found.skipped]
    return [*failed, *given_up, *left_out]


def failures_without_file(found: Found) -> dict[str, str]:
    """Return runs that were given up and have left no readable run file."""
    known = {run.digest for run in found.runs}
    return {name: text for name, text in found.failures.items() if name not in known}


def is_single(found: Found) -> bool:
    """Say whether the page is about one run alone, and its file is here."""
    return len(found.runs) == 1 and not found.planned and found.runs[0].file.is_file()


def _title(found: Found) -> str:
    names = {str(run.keys.get("name", "")) for run in found.runs}
    return names.pop() if len(names) == 1 else found.root.resolve().name


def _summary(found: Found, shown: Tradeoff) -> Rows:
    if is_single(found):
        return summary(found.runs[0].file)
    points = [p for points in shown.groups.values() for p in points if p.accuracy.count]
    lines: Rows = []
    if points:
        best = max(points, key=lambda p: _validation(p.cell.runs))
        lines.append(("best on validation", f"{_setting(best)}: {_accuracy_text(best)}"))
    kept = [(1 - p.cell.mask) * (1 - mean_drop(p.cell.drop)) for p in points]
    for level, name in ((1.0, "full uplink"), (0.1, "one tenth"), (0.02, "one fiftieth")):
        chosen = [p for p, k in zip(points, kept, strict=True) if abs(k - level) < 1e-9]
        lines += [(name, f"{_setting(p)}: {_accuracy_text(p)}") for p in chosen]
    totals = [run.uplink_bytes()[-1] for run in found.runs if run.num_rounds]
    lines.append(("uplink of all runs", size_text(float(sum(totals)))))
    if all(run.num_ranks for run in found.runs):
        hours = sum(_total_seconds(run) * run.num_ranks for run in found.runs) / 3600
        lines.append(("time in rounds", f"{hours:.2f} rank-hours"))
    return lines


def _validation(runs: Sequence[Run]) -> float:
    values = [run.final("validation_accuracy") for run in runs]
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else -1.0


def _setting(point: Point) -> str:
    group = group_text(point.cell.group)
    return point.cell.label + (f", {group}" if group else "")


def _accuracy_text(point: Point) -> str:
    mean, sent = point.accuracy, size_text(point.uplink_bytes)
    return f"{percent(mean.mean)}{_interval(mean, '.1f')}, n {mean.count}, {sent}"


def _total_seconds(run: Run) -> float:
    names = ("train", "communicate", "wait", "evaluate", "write")
    return float(sum(run.rounds[f"seconds_{name}"].sum() for name in names))


def _budget_row(pair: Pair) -> tuple[str, ...]:
    known = pair.low == pair.low
    interval = f"[{100 * pair.low:+.1f}, {100 * pair.high:+.1f}]" if known else "-"
    return (
        f"{pair.first.cell.budget:,.0f}",
        f"{_setting(pair.first)}: {percent(pair.first.accuracy.mean)}",
        f"{_setting(pair.second)}: {percent(pair.second.accuracy.mean)}",
        f"{100 * pair.difference:+.1f}",
        interval,
        "yes" if pair.significant else ("no" if pair.p_adjusted == pair.p_adjusted else "-"),
    )


def _setting_rows(found: Sequence[Setting]) -> list[tuple[str, ...]]:
    return [_setting_row(setting) for setting in found] if len(found) > 1 else []


def _setting_row(setting: Setting) -> tuple[str, ...]:
    accuracy, difference = setting.accuracy, setting.difference
    return (
        setting.label,
        str(accuracy.count),
        percent(accuracy.mean) + _interval(accuracy, ".1f"),
        size_text(setting.uplink_bytes),
        "(compared with)" if setting.is_reference else _difference_text(difference),
        "-" if setting.p_adjusted != setting.p_adjusted else f"{setting.p_adjusted:.2g}",
    )


def _difference_text(difference: Mean) -> str:
    known = difference.count > 0
    return f"{100 * difference.mean:+.1f}" + _interval(difference, "+.1f") if known else "-"


def _interval(mean: Mean, form: str) -> str:
    known = mean.low == mean.low
    return f" [{100 * mean.low:{form}}, {100 * mean.high:{form}}]" if known else ""
