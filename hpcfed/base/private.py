"""A folder on this machine that belongs to one user, for what is kept between runs."""

from __future__ import annotations

import os
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
