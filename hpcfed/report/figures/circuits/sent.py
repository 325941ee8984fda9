"""Which bases of the kernels clients have sent when, where each sends its most important ones.

R rounds, B bases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, SEQUENCE, new_figure, note
from hpcfed.report.figures.circuits.basis import raised_cosines
from hpcfed.report.figures.circuits.view import has_units, units_of
from hpcfed.report.figures.view import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

COLUMNS = {
    "round": "round, from 1",
    "basis": "number of the basis, from 0: the newest past first",
    "sent": "clients that sent it, and whose updates count",
    "share": "of the clients whose updates count; empty: there are none",
}
TOTAL_COLUMNS = {
    "basis": "number of the basis, from 0: the newest past first",
    "peak_lag": "bins after a spike at which the basis is largest",
    "sent": "how often it was sent in all rounds, once a client",
    "share": "of the updates that count",
}


@dataclass(frozen=True)
class Sent:
    """How many clients sent each basis: ``counts`` (R, B), of ``clients`` (R,) that count."""

    counts: I64
    clients: I64

    @property
    def shares(self) -> F64:
        """Part of the clients that sent a basis (R, B), NaN in rounds without one."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.counts / np.where(self.clients, self.clients, np.nan)[:, None])

    @property
    def total_shares(self) -> F64:
        """The same of all rounds: (B,)."""
        total = self.clients.sum()
        return np.asarray(self.counts.sum(axis=0) / (total or np.nan))


def has_data(view: View) -> bool:
    """Say whether clients choose the bases that they send."""
    return has_units(view) and any(len(counts) for counts in view.record.log.groups)


def sent(view: View) -> Sent:
    """Return who sent what. Raises InputError where clients send all bases."""
    if not has_data(view):
        units_of(view)  # says so where the rule is another
        raise InputError(
            f"{view.name}: clients choose no bases to send; set `uplink.mask` to `groups`"
        )
    log = view.record.log
    clients = np.asarray(log.rounds["num_participants"], np.int64)
    counted = clients - np.asarray(log.rounds["num_rejected"], np.int64)
    return Sent(np.stack(log.groups).astype(np.int64), counted)


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the rounds, basis by basis."""
    found = sent(view)
    for (at, basis), count in np.ndenumerate(found.counts):
        share = float(found.shares[at, basis])
        yield {"round": at + 1, "basis": basis, "sent": int(count), "share": share}


def total_rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the bases."""
    found, peaks = sent(view), _peaks(view)
    shares = found.total_shares.tolist()
    for basis, count in enumerate(found.counts.sum(axis=0).tolist()):
        yield {"basis": basis, "peak_lag": peaks[basis], "sent": count, "share": shares[basis]}


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError where clients send all bases."""
    found, peaks = sent(view), _peaks(view)
    num_rounds, num_bases = found.counts.shape
    figure = new_figure(1.5 + 0.2 * num_bases, 4.4)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    place = (0.5, num_rounds + 0.5, num_bases - 0.5, -0.5)
    image = left.imshow(
        100 * found.shares.T, aspect="auto", interpolation="nearest", extent=place,
        cmap=SEQUENCE, vmin=0, vmax=100,
    )  # fmt: skip
    figure.colorbar(image, ax=left, location="top", label="clients that sent it / %", aspect=30)
    left.set_yticks(range(num_bases), [f"{b} (lag {peak})" for b, peak in enumerate(peaks)])
    left.set(xlabel="round", ylabel="basis (peak)")
    left.xaxis.get_major_locator().set_params(integer=True)
    right.barh(range(num_bases), 100 * found.total_shares, color=COLOURS[0], height=0.7)
    right.set(xlabel="all rounds / %", xlim=(0, 100))
    sends = int(view.keys.get("uplink.groups") or num_bases)
    right.axvline(100 * min(1.0, sends / num_bases), ls=":", color="0.4")
    note(
        figure,
        f"Each client sends the {sends} of {num_bases} bases that it finds most important. Dotted: "
        "if all were sent equally often.",
    )
    return figure


def _peaks(view: View) -> list[int]:
    settings = units_of(view).settings
    table = raised_cosines(settings.bases, settings.window, settings.width)
    return [int(lag) + 1 for lag in table.argmax(axis=1)]
