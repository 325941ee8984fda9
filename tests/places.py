"""Where the repository lies, and what tests look for in it."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "hpcfed"
GOLDEN = REPOSITORY / "tests" / "golden"

# The environment of short toy jobs, where what happens to their processes is tested: kernels are
# plain Python, with the same bits, and a process starts in two thirds of the time.
PLAIN = {"NUMBA_DISABLE_JIT": "1"}
COMPILED = {"NUMBA_DISABLE_JIT": "0"}
