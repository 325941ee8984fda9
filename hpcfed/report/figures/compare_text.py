"""Settings against each other as a table to read, Markdown and LaTeX, with how it was made."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hpcfed.base.amounts import size_text
from hpcfed.report.figures.compare import Compared
from hpcfed.report.figures.paired import END, EQUAL_BYTES, Comparison
from hpcfed.report.power import HOW, MOST_PAIRS
from hpcfed.report.statistics import PAIRED_INTERVAL

_HEADS = (
    "setting",
    "at",
    "pairs",
    "first",
    "second",
    "difference",
    "95 % interval",
    "d_z",
    "p",
    "p (Holm)",
    "more seeds",
    "sent up",
)
_NUM_TEXTS = 2  # columns on the left are text, the others numbers


def markdown(found: Compared) -> str:
    """Return the table as Markdown, with how it was made below."""
    rule = ["---"] * _NUM_TEXTS + ["---:"] * (len(_HEADS) - _NUM_TEXTS)
    lines = [_markdown_row(_HEADS), _markdown_row(rule)]
    lines += [_markdown_row([_escaped(cell) for cell in _cells(found, x)]) for x in found.lines]
    return "\n".join([*lines, "", _escaped(how(found)), ""])


def latex(found: Compared) -> str:
    """Return the table as LaTeX (booktabs), with how it was made as a comment."""
    heads = " & ".join(_latex_text(head) for head in _HEADS).replace("d\\_z", "$d_z$")
    lines = [" & ".join(map(_latex_text, _cells(found, x))) + r" \\" for x in found.lines]
    columns = "l" * _NUM_TEXTS + "r" * (len(_HEADS) - _NUM_TEXTS)
    return "\n".join(
        [
            f"% {' '.join(how(found).split())}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            heads + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def how(found: Compared) -> str:
    """Return how the rows were made."""
    unit = "percentage points" if found.quantity.endswith("accuracy") else "its own unit"
    single = f" {found.num_single} runs found no partner." if found.num_single else ""
    unreached = (
        f" Rows without a value at equal bytes, as a first evaluated round has sent more: "
        f"{found.num_unreached}."
    )
    at_bytes = (
        f" {EQUAL_BYTES}: in the last evaluated round until which a run has sent up at most as "
        "many bytes as stand there (if none were asked for: in each pair as many as the cheaper "
        "run in all, here their mean)."
    )
    return (
        f"{found.quantity.replace('_', ' ')}; first: {found.names[0]}, second: {found.names[1]}; "
        f"differences in {unit}, first minus second, paired by seeds. {END}: after the last round."
        f"{at_bytes if found.at(EQUAL_BYTES) else ''} "
        f"Interval: {PAIRED_INTERVAL}, of each row by itself. d_z: mean over standard deviation of "
        "the differences; p: paired t test, beside it adjusted for the number of rows with the "
        f"same at (Holm). {HOW} Sent up: by the first and by the second side until then."
        f"{single}{unreached if found.num_unreached else ''}"
    )


def place(line: Comparison) -> str:
    """Return at what a row compares."""
    return END if line.at == END else size_text(line.bytes)


def more_text(line: Comparison) -> str:
    """Return how many more seeds would decide."""
    if math.isnan(line.more_seeds):
        return "-"
    return f"> {MOST_PAIRS}" if math.isinf(line.more_seeds) else f"{line.more_seeds:g}"


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
        place(line),
        str(line.num_pairs),
        f"{number(line.first)}{unit}",
        f"{number(line.second)}{unit}",
        number(line.difference, "+"),
        interval,
        "-" if line.effect_size != line.effect_size else f"{line.effect_size:.2f}",
        *("-" if p != p else f"{p:.2g}" for p in (line.p_value, line.p_adjusted)),
        more_text(line),
        f"{size_text(line.first_bytes)} / {size_text(line.second_bytes)}",
    ]


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
