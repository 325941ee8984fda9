"""How our figures look: column width, colours that any eye tells apart, plain text, safe saving."""

from __future__ import annotations

import contextlib
import textwrap
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: matplotlib's keywords

from hpcfed.base.amounts import size_text
from hpcfed.base.atomic import replacing
from hpcfed.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Look = dict[str, Any]  # keywords of how something is drawn

WIDTH = 3.5  # inches, one column of most journals
HEIGHT = 2.4  # inches, of a single panel
DPI = 200
# Okabe and Ito's colours, told apart with any colour vision; yellow left out, faint on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SEQUENCE = "cividis"  # even in grey, and for any colour vision
MOST_COLOURS = 14

_SETTINGS: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "svg.fonttype": "none",
    # names and values of a configuration are text, whatever dollar signs they hold
    "text.parse_math": False,
}


@contextlib.contextmanager
def our_style() -> Iterator[None]:
    """Draw and save figures within this."""
    import matplotlib as mpl

    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        # a character that the font lacks is drawn as a box: no reason to fail or to complain
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def new_figure(height: float = HEIGHT, width: float = WIDTH) -> Figure:
    """Return an empty figure of the house, as wide as a column; inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def check_picture(picture: Path) -> None:
    """Raise InputError if ``picture`` names no picture format; before the work, not after."""
    from matplotlib.figure import Figure

    known = Figure().canvas.get_supported_filetypes()
    if picture.suffix.removeprefix(".").lower() not in known:
        raise InputError(
            f'{picture}: "{picture.suffix}" is no picture format; expected .{", .".join(known)}'
        )


def save(figure: Figure, picture: Path) -> None:
    """Write a figure. Raises InputError for an unknown format or a place that takes no file."""
    check_picture(picture)
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        with replacing(picture) as stream:
            figure.savefig(stream, dpi=DPI, format=picture.suffix.removeprefix(".").lower())
    except OSError as error:
        raise InputError(
            f"{picture}: the picture cannot be written ({error.strerror or error}); "
            "give a file in a folder that you may write to"
        ) from None


def colours(count: int) -> list[str]:
    """Return ``count`` colours: named ones for a few, steps from dark to light for more."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    chosen = colormaps[SEQUENCE]
    return [to_hex(chosen(0.92 * i / (count - 1))) for i in range(count)]


def plain(text: str, longest: int = 60) -> str:
    """Return text fit for a figure: one line, no control characters, not too long.

    A leading underscore would hide a curve from the legend, so a space goes before it.
    """
    kept = _one_line(text)
    shortened = kept if len(kept) <= longest else kept[: longest - 3] + "..."
    return _visible(shortened)


def told_apart(texts: Sequence[str], columns: int = 60, most_lines: int = 4) -> list[str]:
    """Return texts fit for a figure, in lines of ``columns``, of which different ones stay so.

    Nothing is left out where all texts fit; longer ones are cut, and then all are numbered.
    """
    lines = [_one_line(text) for text in texts]
    distinct = list(dict.fromkeys(lines))
    if max(map(len, distinct), default=0) <= most_lines * columns:
        shown = {line: _visible("\n".join(textwrap.wrap(line, columns))) for line in distinct}
    else:
        numbered = enumerate(distinct, start=1)
        shown = {line: plain(f"{number}: {line}", columns) for number, line in numbered}
    return [shown[line] for line in lines]


def _visible(label: str) -> str:
    return f" {label}" if label.startswith("_") else label


def _one_line(text: str) -> str:
    return "".join(" " if unicodedata.category(c).startswith("C") else c for c in text).strip()


def bytes_axis(axes: Axes) -> None:
    """Make x a logarithmic axis of bytes, labelled in powers of 1000."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    # less than two decades would have one label or none
    subs = (1.0,) if high / max(low, 1e-300) > 100 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size_text(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(which="major")


def note(figure: Figure, text: str) -> None:
    """Write how a figure was made below it."""
    columns = int(20 * figure.get_size_inches()[0])
    figure.supxlabel("\n".join(textwrap.wrap(text, columns)), fontsize=6, x=0.01, ha="left")
