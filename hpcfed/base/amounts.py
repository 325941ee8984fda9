"""How amounts read: fractions as per cent, sizes in a unit that fits."""

from __future__ import annotations

import math


def percent(fraction: float) -> str:
    """Return a fraction as per cent, a dash for NaN."""
    return "-" if math.isnan(fraction) else f"{100 * fraction:.1f} %"


def size_text(size_bytes: float) -> str:
    """Return a size in a unit that fits, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"
