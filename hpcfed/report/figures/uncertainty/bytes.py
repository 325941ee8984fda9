"""What a byte buys: accuracy and loss of several settings against all that was sent up.

A setting is all runs that differ in their seeds alone; it is named by as few keys as tell it from
the others, those of the rule and of the uplink first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.config.rule import BACKPROP, BINARY, BinaryConfig
from hpcfed.config.tree import Value
from hpcfed.errors import InputError
from hpcfed.report.curves import Curves, group
from hpcfed.report.drawing import (
    MARKERS,
    MOST_COLOURS,
    Look,
    bytes_axis,
    colours,
    new_figure,
    note,
    told_apart,
)
from hpcfed.report.grid import SEEDS
from hpcfed.report.runs import Found
from hpcfed.report.statistics import T_INTERVAL, Mean, limits_of, mean_over_seeds
from hpcfed.report.values import value_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = {
    "setting": "keys that tell it from the others, and their values",
    "who": "network; or committee, and beside it its most probable weights (map)",
    "quantity": "test_accuracy (fraction) or test_loss (nat) after the last round; of validation "
    "where no run was tested",
    "uplink_bytes": "bytes sent up in all rounds, mean over seeds",
    "seeds": "runs with a known value",
    "mean": "mean over seeds",
    "low": f"lower end; {T_INTERVAL}",
    "high": "upper end of the same interval",
}
NETWORK, COMMITTEE, MAP = "network", "committee", "map"
TEST, VALIDATION = "test", "validation"
_FIRST = ("rule.kind", "rule.binary.sends", "uplink.dtype", "uplink.mask",
          "uplink.mask_probability")  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """A quantity of a setting, over seeds."""

    setting: str
    who: str
    quantity: str
    uplink_bytes: float
    mean: Mean


def marks(found: Found) -> list[Mark]:
    """Return all marks of the finished runs. Raises InputError for fewer than two settings."""
    tested = any(np.isfinite(run.final("test_accuracy")) for run in found.runs)
    groups = [g for g in group(found.finished()) if _bytes(g) > 0]
    if len(groups) < 2:
        raise InputError(
            f"{found.root}: bytes are compared of several settings, and there is "
            f"{'one' if groups else 'none'} whose finished runs have sent some"
        )
    named = zip(names([curves.runs[0].keys for curves in groups]), groups, strict=True)
    split = TEST if tested else VALIDATION
    found_marks = [mark for name, curves in named for mark in _marks(name, curves, split)]
    if not found_marks:
        raise InputError(f"{found.root}: no run was evaluated after its last round")
    return found_marks


def names(settings_keys: Sequence[Mapping[str, Value]]) -> list[str]:
    """Return a name for each setting: the first keys that tell them all apart, and their values."""
    known = dict.fromkeys([*_FIRST, *(key for keys in settings_keys for key in keys)])
    chosen: list[str] = []
    apart = 1
    for key in known:
        values = [tuple(_value(keys, k) for k in (*chosen, key)) for keys in settings_keys]
        if key not in (*SEEDS, "name") and len(set(values)) > apart:
            apart = len(set(values))
            chosen.append(key)
    return [_name(keys, chosen) for keys in settings_keys]


def rows(found: Found) -> Iterator[dict[str, Any]]:
    """Yield the marks."""
    for mark in marks(found):
        yield {
            "setting": mark.setting,
            "who": mark.who,
            "quantity": mark.quantity,
            "uplink_bytes": mark.uplink_bytes,
            "seeds": mark.mean.count,
            "mean": mark.mean.mean,
            "low": mark.mean.low,
            "high": mark.mean.high,
        }


def draw(found: Found) -> Figure:
    """Return the figure. Raises InputError for too few settings, and for too many."""
    shown = marks(found)
    settings = list(dict.fromkeys(mark.setting for mark in shown))
    if len(settings) > MOST_COLOURS:
        raise InputError(
            f"{len(settings)} settings cannot be told apart in one picture (at most "
            f"{MOST_COLOURS}); choose some with --where KEY=VALUE"
        )
    texts = dict(zip(settings, told_apart(settings), strict=True))
    figure = new_figure(4.4 + 0.16 * sum(text.count("\n") + 1 for text in texts.values()))
    panels = figure.subplots(2, 1, sharex=True)
    looks = {
        setting: {"color": colour, "marker": MARKERS[place % len(MARKERS)]}
        for place, (setting, colour) in enumerate(
            zip(settings, colours(len(settings)), strict=True)
        )
    }
    places = side_by_side({(mark.setting, mark.who): mark.uplink_bytes for mark in shown})
    for mark in shown:
        text = f"{texts[mark.setting]} (n {mark.mean.count})"
        how = {"mfc": "white"} if mark.who == MAP else {"label": text}
        axes = panels[int(_is_loss(mark.quantity))]
        _draw_mark(axes, places[mark.setting, mark.who], mark, looks[mark.setting] | how)
    bytes_axis(panels[1])
    for axes, name in zip(panels, ("accuracy / %", "loss (NLL) / nat"), strict=True):
        axes.set_ylabel(name)
        axes.grid(visible=True)
    panels[1].set_xlabel("uplink in all rounds")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", borderpad=0.1)
    note(figure, _how(shown))
    return figure


def side_by_side(uplinks: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Return where marks are drawn: at their bytes, or beside each other where these are equal.

    Bytes count as equal that differ by less than some 2 %; beside is a 40th of the axis.
    """
    decades = {at: float(np.log10(size)) for at, size in uplinks.items()}
    step = (max(decades.values()) - min(decades.values()) or 1.0) / 40
    shared: dict[int, list[tuple[str, str]]] = {}
    for at, decade in decades.items():
        shared.setdefault(round(100 * decade), []).append(at)
    return {
        at: 10 ** (decades[at] + step * (place - (len(members) - 1) / 2))
        for members in shared.values()
        for place, at in enumerate(members)
    }


def _marks(name: str, curves: Curves, split: str) -> Iterator[Mark]:
    def known(quantity: str) -> Mean:
        return mean_over_seeds([run.final(quantity) for run in curves.runs], limits_of(quantity))

    has_map = known(f"{split}_map_accuracy").count > 0
    for who in (COMMITTEE, MAP) if has_map else (NETWORK,):
        for quantity in ("accuracy", "loss"):
            mean = known(f"{split}_{'map_' if who == MAP else ''}{quantity}")
            if mean.count:
                yield Mark(name, who, f"{split}_{quantity}", _bytes(curves), mean)


def _bytes(curves: Curves) -> float:
    return float(np.mean([run.uplink_bytes()[-1] for run in curves.runs]))


def _is_loss(quantity: str) -> bool:
    return quantity.endswith("loss")


def _draw_mark(axes: Axes, x: float, mark: Mark, look: Look) -> None:
    factor, mean = 1 if _is_loss(mark.quantity) else 100, mark.mean
    ends = ([factor * (mean.mean - mean.low)], [factor * (mean.high - mean.mean)])
    bars = None if np.isnan(mean.low) else ends
    axes.errorbar([x], [factor * mean.mean], bars, ls="", lw=0.8, capsize=1.5, **look)


def _value(keys: Mapping[str, Value], key: str) -> Value:
    """Return a key's value; a table of the rule that is left out has its defaults."""
    kind = keys.get("rule.kind", BACKPROP)
    if key == "rule.kind":
        return kind
    if key == "rule.binary.sends" and kind in BINARY:
        return keys.get(key, BinaryConfig().sends)
    return keys.get(key)


def _name(keys: Mapping[str, Value], chosen: Sequence[str]) -> str:
    values = {key: _value(keys, key) for key in chosen}
    told = {k: v for k, v in values.items() if v is not None or k not in _FIRST}
    return ", ".join(f"{key} = {value_text(value)}" for key, value in told.items())


def _how(shown: Sequence[Mark]) -> str:
    split = shown[0].quantity.partition("_")[0]
    text = f"On {split} after the last round, mean over seeds; bars: 95 % Student t interval from "
    text += "3 seeds on."
    if any(mark.who == MAP for mark in shown):
        text += " Open marks: the most probable weights, beside their committee."
    return f"{text} Marks of equal bytes stand side by side."
