"""Functions for kernels that run many times a bin: without counting references to arrays.

numba counts each array that a function is handed, also those inside tuples, by two atomic additions
a call; for a workspace of twenty arrays that is longer than most of our functions take. A bare
function has none of it, and so cannot make arrays: views are all it may make.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast  # Any: functions of any types

from hpcfed.base.parts import part

Function = TypeVar("Function", bound=Callable[..., Any])


def bare(function: Function) -> Function:
    """Compile a function that kernels call, and that makes no array; it becomes part of theirs."""
    return cast(Function, part(function, _nrt=False))
