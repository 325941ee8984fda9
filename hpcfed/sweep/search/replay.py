"""Every proposal of a search once more, from the records alone.

A proposal holds which results it saw; so its point can be computed again. Equal bits are expected
on the same kind of processor with the same versions; elsewhere numbers to 1e-6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from hpcfed.base.versions import versions
from hpcfed.config.tables import Point
from hpcfed.records.searched import CONFIRM, Item
from hpcfed.sweep.search.folder import PACKAGES, SearchFolder, Snapshot
from hpcfed.sweep.search.propose import Draft, Proposer

_CLOSE = 1e-6


class DiffersError(Exception):
    """A proposal comes out otherwise than recorded."""


def replay(folder: SearchFolder, proposer: Proposer) -> Iterator[str]:
    """Yield what is to be said, a line a remark; ``folder`` has been read.

    Raises DiffersError naming the first proposal that comes out otherwise, InputError for results
    that are gone.
    """
    close, others = 0, 0
    for item, entry in zip(folder.items, folder.entries, strict=True):
        others += entry["versions"] != versions(PACKAGES)
        draft = again(folder, proposer, item)
        found = None if draft is None else (draft.kind, draft.of, draft.rounds)
        if draft is None or found != (item.kind, item.of, item.rounds):
            raise DiffersError(
                f"{folder.folder}: proposal {item.number} comes out otherwise: recorded "
                f"{(item.kind, item.of, item.rounds)}, found {found}"
            )
        if draft.run.point != item.point:
            if not _is_close(draft.run.point, item.point):
                raise DiffersError(
                    f"{folder.folder}: proposal {item.number} comes out otherwise: recorded "
                    f"{item.point}, found {draft.run.point}"
                )
            close += 1
    if others:
        yield f"{others} proposals were made with other versions of libraries"
    equal = len(folder.items) - close
    yield f"{equal} proposals come out as recorded" + (f", {close} to {_CLOSE:g}" if close else "")


def again(folder: SearchFolder, proposer: Proposer, item: Item) -> Draft | None:
    """Return what a proposal comes out as now. Raises InputError if a result it saw is gone."""
    seen = folder.seen(Snapshot(item.number, item.pending, item.left_out))
    if item.kind == CONFIRM:  # the budget may have grown since
        return proposer.next(seen, may_add=False)
    return proposer.next(seen, may_add=True)


def _is_close(found: Point, recorded: Point) -> bool:
    return found.keys() == recorded.keys() and all(
        _are_close(found[key], recorded[key]) for key in found
    )


def _are_close(found: Any, recorded: Any) -> bool:
    if isinstance(found, float) and isinstance(recorded, float):
        return abs(found - recorded) <= _CLOSE * max(abs(found), abs(recorded))
    return bool(found == recorded)
