"""``python -m hpcfed.launch``: write the Open MPI wheel's settings into this environment."""

from __future__ import annotations

import sys
from pathlib import Path

from hpcfed.launch.settings import write_parameter_files

if __name__ == "__main__":
    for path in write_parameter_files(Path(sys.prefix)):
        print(f"settings for mpirun added to {path}")
