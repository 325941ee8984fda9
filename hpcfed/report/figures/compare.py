"""Two sweeps or two settings, paired by seeds: difference, interval and effect size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.config.tree import Value
from hpcfed.errors import InputError
from hpcfed.report.grid import SEEDS, Replicate, replicate, sort_key, varying_keys
from hpcfed.report.runs import Run
from hpcfed.report.statistics import (
    PAIRED_INTERVAL,
    Limits,
    effect_size,
    holm,
    limits_of,
    mean_over_seeds,
    paired_p_value,
)
from hpcfed.report.values import value_text

COLUMNS = {
    "setting": "keys that vary within the two sides, and their values",
    "num_pairs": "repetitions (seed, data.split_seed) that both sides have, with a known value",
    "first": "mean of the first side over these pairs",
    "second": "mean of the second side over these pairs",
    "difference": "mean of first minus second, in pairs",
    "low": f"lower end; {PAIRED_INTERVAL}",
    "high": "upper end of the same interval",
    "effect_size": "Cohen's d_z: mean over standard deviation of the differences",
    "p_value": "two-sided paired t test",
    "p_adjusted": "the same, adjusted for all rows of this table (Holm)",
    "quantity": "what is compared, after the last round; accuracies are fractions",
}
_HEADS = (
    "setting",
    "pairs",
    "first",
    "second",
    "difference",
    "95 % interval",
    "d_z",
    "p",
    "p (Holm)",
)


@dataclass(frozen=True)
class Comparison:
    """One setting that both sides have; NaN where there are fewer than three pairs."""

    setting: str
    num_pairs: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    effect_size: float
    p_value: float
    p_adjusted: float = float("nan")


@dataclass(frozen=True)
class Compared:
    """All settings that both sides have, and how many runs found no partner."""

    quantity: str
    names: tuple[str, str]
    lines: tuple[Comparison, ...]
    num_single: int


def compare(
    first: Sequence[Run], second: Sequence[Run], quantity: str, names: tuple[str, str]
) -> Compared:
    """Pair runs that agree in their seeds and in every key that varies within a side.

    Keys that differ between the sides but are constant in each are what is compared. Raises
    InputError if there is no pair.
    """
    inner = {*varying_keys(first), *varying_keys(second)} - set(SEEDS)
    order = [key for key in (*varying_keys(first), *varying_keys(second)) if key in inner]
    keys = list(dict.fromkeys(order))
    sides = [_by_setting(runs, keys, quantity) for runs in (first, second)]
    shared = [setting for setting in sides[0] if setting in sides[1]]
    limits = limits_of(quantity, difference=True)
    lines = [_line(keys, setting, (sides[0][setting], sides[1][setting]), limits)
             for setting in sorted(shared, key=lambda s: [sort_key(v) for v in s])]  # fmt: skip
    lines = [line for line in lines if line.num_pairs]
    if not lines:
        raise InputError(
            f"{names[0]} and {names[1]} have no two finished runs of one seed with a {quantity}, "
            f"equal in {', '.join(keys) or 'all that varies'}; nothing can be paired"
        )
    adjusted = holm([line.p_value for line in lines])
    lines = [replace(line, p_adjusted=p) for line, p in zip(lines, adjusted, strict=True)]
    num_single = len(first) + len(second) - 2 * sum(line.num_pairs for line in lines)
    return Compared(quantity, names, tuple(lines), num_single)


def rows(found: Compared) -> Iterator[dict[str, Any]]:
    """Yield the table."""
    for line in found.lines:
        yield vars(line) | {"quantity": found.quantity}


def markdown(found: Compared) -> str:
    """Return the table as Markdown, with how it was made below."""
    lines = [_markdown_row(_HEADS), _markdown_row(["---"] + ["---:"] * (len(_HEADS) - 1))]
    lines += [_markdown_row([_escaped(cell) for cell in _cells(found, x)]) for x in found.lines]
    return "\n".join([*lines, "", _escaped(_how(found)), ""])


def latex(found: Compared) -> str:
    """Return the table as LaTeX (booktabs), with how it was made as a comment."""
    heads = " & ".join(_latex_text(head) for head in _HEADS).replace("d\\_z", "$d_z$")
    lines = [" & ".join(map(_latex_text, _cells(found, x))) + r" \\" for x in found.lines]
    return "\n".join(
        [
            f"% {' '.join(_how(found).split())}",
            r"\begin{tabular}{l" + "r" * (len(_HEADS) - 1) + "}",
            r"\toprule",
            heads + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _by_setting(
    runs: Iterable[Run], keys: Sequence[str], quantity: str
) -> dict[tuple[Value, ...], dict[Replicate, float]]:
    found: dict[tuple[Value, ...], dict[Replicate, float]] = {}
    for run in runs:
        value = run.final(quantity)
        if np.isfinite(value):
            setting = tuple(run.keys.get(key) for key in keys)
            found.setdefault(setting, {}).setdefault(replicate(run.keys), value)
    return found


def _line(
    keys: Sequence[str],
    setting: tuple[Value, ...],
    values: tuple[Mapping[Replicate, float], Mapping[Replicate, float]],
    limits: Limits,
) -> Comparison:
    seeds = [seed for seed in values[0] if seed in values[1]]
    sides = [np.array([side[seed] for seed in seeds], np.float64) for side in values]
    differences = sides[0] - sides[1]
    pairs = zip(keys, setting, strict=True)
    text = ", ".join(f"{key} = {value_text(value)}" for key, value in pairs)
    first, second, difference = (mean_over_seeds(x, limits) for x in (*sides, differences))
    return Comparison(
        setting=text or "all",
        num_pairs=len(seeds),
        first=first.mean,
        second=second.mean,
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
        effect_size=effect_size(differences),
        p_value=paired_p_value(differences),
    )


def _cells(found: Compared, line: Comparison) -> list[str]:
    percent = found.quantity.endswith("accuracy")
    factor, unit = (100, " %") if percent else (1, "")

    def number(value: float, sign: str = "") -> str:
        digits = ".1f" if percent else ".3g"
        return "-" if value != value else f"{factor * value:{sign}{digits}}"

    known = line.low == line.low
    interval = f"[{number(line.low, '+')}, {number(line.high, '+')}]" if known else "-"
    return [
        line.setting,
        str(line.num_pairs),
        f"{number(line.first)}{unit}",
        f"{number(line.second)}{unit}",
        number(line.difference, "+"),
        interval,
        "-" if line.effect_size != line.effect_size else f"{line.effect_size:.2f}",
        *("-" if p != p else f"{p:.2g}" for p in (line.p_value, line.p_adjusted)),
    ]


def _how(found: Compared) -> str:
    unit = "percentage points" if found.quantity.endswith("accuracy") else "its own unit"
    single = f" {found.num_single} runs found no partner." if found.num_single else ""
    return (
        f"{found.quantity.replace('_', ' ')} after the last round; first: {found.names[0]}, "
        f"second: {found.names[1]}; differences in {unit}, first minus second, paired by seeds. "
        f"Interval: {PAIRED_INTERVAL}, of each row by itself. d_z: mean over standard deviation of "
        "the differences; p: paired t test, beside it adjusted for the number of rows (Holm)."
        f"{single}"
    )


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    one_line = " ".join(text.split())
    for character in "\\`*_[]<>|$":
        one_line = one_line.replace(character, "\\" + character)
    return one_line


def _latex_text(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {c: "\\" + c for c in "&%$#_{}"}
    return "".join(special.get(character, character) for character in " ".join(text.split()))
