"""Two sides, or several settings beside one of them, paired by seeds: tables and a forest plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpcfed.errors import InputError
from hpcfed.report.curves import Curves, group
from hpcfed.report.figures import compare, paired, tradeoff
from hpcfed.report.figures.compare_text import latex, markdown
from hpcfed.report.figures.forest import draw
from hpcfed.report.plots.asked import Asked, Lines, beside, check_choice, written
from hpcfed.report.runs import Found
from hpcfed.report.settings import reference_of
from hpcfed.report.tables import write_text
from hpcfed.report.values import parse_conditions

COLUMNS = {".csv": paired.COLUMNS}


@dataclass(frozen=True)
class Sides:
    """What is compared with what.

    Attributes:
        first: KEY=VALUE of the runs of the first side; with the second none: several settings.
        second: of the second side.
        reference: KEY=VALUE of the setting that several are compared with; none: the best on
            validation, or where nothing was tested the first.
        quantity: None: test_accuracy where there is one.
        budget_bytes: uplink of a run at equal bytes; None: in each pair that of the cheaper run.
    """

    first: Sequence[str] = ()
    second: Sequence[str] = ()
    reference: Sequence[str] = ()
    quantity: str | None = None
    budget_bytes: float | None = None


def write(asked: Asked, sides: Sides) -> Lines:
    """Say the table, and write it as Markdown, LaTeX and CSV beside the forest plot."""
    check_choice("--quantity", sides.quantity, compare.QUANTITIES)
    if sides.budget_bytes is not None and not sides.budget_bytes > 0:
        raise InputError(f"--bytes {sides.budget_bytes:g}: give a positive number of bytes")
    if len(asked.paths) > 2 and len(set(asked.paths)) < len(asked.paths):
        raise InputError(f"{', '.join(map(str, asked.paths))}: give each path once")
    picture = asked.picture("compare")
    found = _compared(asked, sides)
    text = markdown(found)
    yield text
    yield from written(picture, lambda: draw(found), COLUMNS, {".csv": compare.rows(found)})
    for ending, content in ((".md", text), (".tex", latex(found))):
        write_text(beside(picture, ending), content)
        yield beside(picture, ending)


def _compared(asked: Asked, sides: Sides) -> compare.Compared:
    if sides.first or sides.second:
        if len(asked.paths) > 2 or (len(asked.paths) == 1 and sides.first == sides.second):
            raise InputError("give two paths, or one with --first KEY=VALUE and --second KEY=VALUE")
        return _two(asked, sides)
    if len(asked.paths) == 2:
        return _two(asked, sides)
    return _several(asked, sides)


def _two(asked: Asked, sides: Sides) -> compare.Compared:
    """Compare two sides, for each setting that both have."""
    if sides.reference:
        raise InputError("--reference is of several settings; two sides are compared as they are")
    whole = [asked.found(path) for path in asked.paths]
    conditions = sides.first, sides.second
    first, second = (
        found.where(parse_conditions(of_side)).finished().runs
        for found, of_side in zip((whole[0], whole[-1]), conditions, strict=True)
    )
    both = {run.file for run in first} & {run.file for run in second}
    if both:
        raise InputError(
            f"{len(both)} runs are on both sides, as {min(both).parent}; choose other runs with "
            "--first KEY=VALUE and --second KEY=VALUE"
        )
    folders = [str(path) for path in asked.paths] if len(asked.paths) > 1 else ["", ""]
    names = [" ".join([*c, f]).strip() or "all" for c, f in zip(conditions, folders, strict=True)]
    quantity = sides.quantity or tradeoff.best_metric([*first, *second])
    return compare.compare(first, second, quantity, (names[0], names[1]), sides.budget_bytes)


def _several(asked: Asked, sides: Sides) -> compare.Compared:
    """Compare all settings with one of them."""
    groups: list[Curves] = []
    for path in asked.paths:
        finished = asked.found(path).finished()
        groups += group(finished, prefix=str(path) if len(asked.paths) > 1 else "")
    if len(groups) < 2:
        raise InputError(
            f"{', '.join(map(str, asked.paths))}: {len(groups)} settings have finished runs, and a "
            "comparison needs two; settings differ in more than their seeds"
        )
    runs = [run for curves in groups for run in curves.runs]
    quantity = sides.quantity or tradeoff.best_metric(runs)
    reference = _named(groups, sides.reference) or reference_of(groups, quantity)
    return compare.compare_settings(groups, reference, quantity, sides.budget_bytes)


def _named(groups: Sequence[Curves], conditions: Sequence[str]) -> Curves | None:
    """Return the one setting with these values, None without any."""
    if not conditions:
        return None
    runs = tuple(run for curves in groups for run in curves.runs)
    wanted = Found(runs[0].file, runs, ()).where(parse_conditions(conditions)).runs
    named = [curves for curves in groups if any(run in wanted for run in curves.runs)]
    if len(named) != 1:
        raise InputError(
            f"--reference {' '.join(conditions)}: {len(named)} settings have these values, expected"
            f" one: {'; '.join(curves.label for curves in named[:5])}"
        )
    return named[0]
