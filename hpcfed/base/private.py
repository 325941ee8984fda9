"""Folders on this machine that nobody else can write to, for what is kept between runs."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import tempfile
from pathlib import Path


def private_folder() -> Path:
    """Return this user's folder in the temporary folder, made if missing.

    Raises PermissionError if it is not ours, OSError if it cannot be made.
    """
    path = Path(tempfile.gettempdir()) / f"hpcfed-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    # Anyone may write in the temporary folder: what another user put there is not to be trusted.
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(
            f"{path} is not a private folder of this user; remove it or set HPCFED_CACHE"
        )
    return path


def others_may_write(folder: Path) -> str | None:
    """Return how another user could have put files into ``folder``, or None if nobody could.

    Every folder and link on the way counts; the superuser is trusted. What does not exist yet is
    judged by the folder that it would be made in. Raises OSError if it cannot be told.
    """
    here = folder.absolute()
    for part in (*reversed(here.parents), here):
        status = part.lstat() if os.path.lexists(part) else None
        if status is not None and status.st_uid not in (0, os.getuid()):
            return f"{part} belongs to another user"
    real = here.resolve()
    for part in (*reversed(real.parents), real):
        if part.exists() and (reason := _open_to_others(part)):
            return reason
    return None


def _open_to_others(folder: Path) -> str | None:
    status = folder.stat()
    if status.st_uid not in (0, os.getuid()):
        return f"{folder} belongs to another user"
    mode = status.st_mode
    if mode & stat.S_ISVTX:
        return None  # files of others may lie there, but ours are ours
    if mode & stat.S_IWOTH:
        return f"everybody may write in {folder}"
    if mode & stat.S_IWGRP and not _is_own_group(status.st_gid):
        return f"a group may write in {folder}"
    return None


def _is_own_group(gid: int) -> bool:
    """Say whether a group is the user's alone, as many systems make one for each user."""
    if gid == 0:
        return True
    try:
        return grp.getgrgid(gid).gr_name == pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return False
