"""What does it cost a run that could end early that it could?

    python benchmarks/verdicts.py [--pairs 20] [--ranks 2] [--rounds 200] [--set KEY=VALUE]

Pairs of runs of jobs/quickstart.toml, one with ``[stop]`` and one without, as
benchmarks/fault_handling.py compares them: silent and saturated samples are counted in both, and
looked at in the first. Exits 1 unless the whole interval of the ratio lies below 1.01.
"""

from __future__ import annotations

import sys

from fault_handling import compare, options, round_seconds

RULE = "stop.saturated=0.95"


def main() -> int:
    """Measure and print; 1 if the requirement is missed."""
    asked = options(__doc__ or "")
    sets = [f"server.rounds={asked.rounds}", *asked.set]
    return compare(
        lambda out: round_seconds(out, False, asked.ranks, sets),
        lambda out: round_seconds(out, False, asked.ranks, [*sets, RULE]),
        asked.pairs,
    )


if __name__ == "__main__":
    sys.exit(main())
