"""What ranks tell their launcher beside the run file, as empty files in a folder of the job.

``started``: MPI has started, so that from now on it notices a rank's death; before, the others
would wait for it for ever. ``failed``: hpcfed itself has ended the job with a message, so that
starting it again would only repeat that. Ranks of other hosts have no such folder and say nothing.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

VARIABLE = "HPCFED_JOB"
STARTED, FAILED = "started", "failed"


def give(sign: str) -> None:
    """Give a sign to the launcher, if one of ours has started this process."""
    if folder := os.environ.get(VARIABLE):
        with contextlib.suppress(OSError):
            Path(folder, sign).touch()


def given(folder: Path, sign: str) -> bool:
    """Say whether a rank of this host has given the sign."""
    return (folder / sign).exists()
