"""Functions that are parts of kernels, and nothing for Python."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from hpcfed.base.bare import bare
from hpcfed.base.compiled import compiled, inner


@inner
def doubled(x):  # type: ignore[no-untyped-def]
    return 2 * x


@bare
def fill(values, x):  # type: ignore[no-untyped-def]
    for k in range(len(values)):
        values[k] = doubled(x) + k


@inner
def made(x):  # type: ignore[no-untyped-def]
    values = np.empty(3, np.int64)
    fill(values, x)
    return values


@compiled
def kernel(x):  # type: ignore[no-untyped-def]
    return made(x).sum() + made(3).sum()


def test_a_kernel_of_parts_of_parts_does_what_they_say() -> None:
    assert kernel(5) == 3 * 10 + 3 + 3 * 6 + 3
    assert kernel(0.5) == 3 + 3 + 3 * 6 + 3  # made(0.5) fills whole numbers from 1.0


def test_a_part_is_compiled_for_each_type_of_its_arguments_once() -> None:
    kernel(5), kernel(7), kernel(0.5)
    kinds = [kind for (kind,) in made.overloads if not isinstance(kind, numba.types.Literal)]
    assert sorted(map(str, kinds)) == ["float64", "int64"]


def test_python_cannot_call_a_part() -> None:
    with pytest.raises(TypeError, match="doubled is part of kernels; Python cannot call it"):
        doubled(1)
