"""Keys of the base experiment that a command sets beside the sweep file."""

from __future__ import annotations

from collections.abc import Sequence, Set

from hpcfed.config.file import key_paths, set_from_text
from hpcfed.config.tables import Table, unknown_key
from hpcfed.config.tree import flatten
from hpcfed.errors import InputError


def apply(base: Table, items: Sequence[str], varied: Set[str]) -> None:
    """Set ``KEY=VALUE`` items in the base experiment, nested.

    Raises InputError for an unknown key, and for one of those that are ``varied``, or decided
    otherwise: a value for all points would be overwritten by each.
    """
    known = set(key_paths())
    for item in items:
        alone: Table = {}
        set_from_text(alone, item)
        for given, _ in flatten(alone):
            if given not in known and not given.startswith(("model.own.", "rule.own.")):
                raise InputError(f"--set {item}: {unknown_key(given, known)}")
            if given == "name":
                raise InputError(f"--set {item}: runs of a sweep bear the sweep's name")
            if given in varied:
                raise InputError(
                    f"--set {item}: the sweep file varies {given}, and its values would replace "
                    "this one; change them there"
                )
        set_from_text(base, item)


def noted(text: str, items: Sequence[str]) -> str:
    """Return a sweep file's text with a note of what was set beside it."""
    lines = [f"# planned with --set {item!r}\n" for item in items]
    return "".join([text if text.endswith("\n") or not lines else f"{text}\n", *lines])
