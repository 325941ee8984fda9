"""Claims: who works on a run. They save work; safety comes from unique temporary names.

A claim is a folder, claims/DIGEST, that holds one entry named after its owner. It is made by mkdir
under a name of its own, with the owner inside, and put in place by a rename, which fails where
another claim is: at any kill there is either no claim or one with its owner. An owner that is gone
is replaced by renaming its entry, which only one contender can do and which fails if the owner has
changed meanwhile. Whether an owner is gone is the scheduler's to say, never a clock's. No locks: a
rename is atomic on NFS, too.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from hpcfed.sweep.working.owners import Owner

IsGone = Callable[[Owner], bool]


def acquire(claim: Path, owner: Owner, is_gone: IsGone) -> Owner | None:
    """Claim a run for ``owner``; return None, or who holds it.

    ``is_gone`` is asked about another holder only. Raises OSError where claims cannot be written.
    """
    while not _create(claim, owner):
        holder = holder_of(claim)
        if holder is None:
            continue  # it was released between the two looks
        if holder == owner:
            return None
        if not is_gone(holder):
            return holder
        with contextlib.suppress(FileNotFoundError):  # another contender was faster
            (claim / holder.name).rename(claim / owner.name)
            _describe(claim / owner.name, owner)
            return None
    return None


def release(claim: Path, owner: Owner) -> None:
    """Give a claim back. Raises OSError; does nothing if it is not the owner's."""
    aside = _aside(claim)
    with contextlib.suppress(FileNotFoundError):
        (claim / owner.name).rename(aside)
        aside.unlink()
        with contextlib.suppress(OSError):  # somebody has claimed it already
            claim.rmdir()


@contextmanager
def held(claim: Path, owner: Owner) -> Iterator[None]:
    """Release the claim at the end; where that fails, the owner's end releases it as well."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            release(claim, owner)


def holder_of(claim: Path) -> Owner | None:
    """Return who holds a claim, None if nobody does."""
    try:
        names = [entry.name for entry in os.scandir(claim)]
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Owner.parse(names[0]) if names else None


def all_holders(claims: Path) -> dict[str, Owner]:
    """Return the holder of each claim, by digest."""
    try:
        folders = [entry.name for entry in os.scandir(claims) if not entry.name.startswith(".")]
    except FileNotFoundError:
        return {}
    holders = {digest: holder_of(claims / digest) for digest in folders}
    return {digest: owner for digest, owner in holders.items() if owner is not None}


def _create(claim: Path, owner: Owner) -> bool:
    """Put a new claim in place; False if there is one."""
    private = _aside(claim)
    private.mkdir()
    try:
        _describe(private / owner.name, owner)
        private.rename(claim)
    except OSError as error:
        shutil.rmtree(private, ignore_errors=True)
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise
    return True


def _describe(entry: Path, owner: Owner) -> None:
    entry.write_text(json.dumps(asdict(owner)), encoding="utf-8")


def _aside(claim: Path) -> Path:
    return claim.with_name(f".{claim.name}.{uuid.uuid4().hex}")
