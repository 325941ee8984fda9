"""A dotted path ``module:function`` from the experiment file to the user's own function."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any  # Any: only the caller knows the function's arguments and result

from hpcfed.errors import InputError


def function(path: str, key: str) -> Callable[..., Any]:
    """Return the function that ``path`` names; ``key`` is the experiment's key, for messages.

    Raises InputError as ``resolve`` does, and where it is no function.
    """
    found = resolve(path, key)
    if not callable(found):
        raise InputError(f'{key} = "{path}": it is {type(found).__name__}, expected a function')
    return found  # type: ignore[no-any-return]  # callable() loses the signature


def resolve(path: str, key: str, what: str = "function") -> Any:
    """Return what ``path`` names; for messages, ``key`` is the experiment's key, ``what`` its kind.

    The working directory is searched last, so that ``mydata:load`` finds ./mydata.py. Raises
    InputError if there is no such module or function, or if the module cannot be imported.
    """
    module_name, _, name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except (ImportError, SyntaxError, ValueError) as error:
        raise InputError(
            f'{key} = "{path}": importing {module_name} failed: {error}; expected a module that '
            f"Python finds from {here} or in its environment"
        ) from None
    if not hasattr(module, name):
        raise InputError(
            f'{key} = "{path}": {module_name} has no {what} {name}; expected module:{what}'
        )
    return getattr(module, name)
