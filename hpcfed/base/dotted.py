"""A dotted path ``module:function`` from the experiment file to the user's own function."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any  # Any: only the caller knows the function's arguments and result

from hpcfed.errors import InputError


def function(path: str, key: str, *arguments: str) -> Callable[..., Any]:
    """Return the function that ``path`` names; ``key`` is the experiment's key, for messages.

    Raises InputError as ``resolve`` does, and where it is no function of these ``arguments``.
    """
    found = resolve(path, key)
    if not callable(found):
        raise InputError(f'{key} = "{path}": it is {type(found).__name__}, expected a function')
    with contextlib.suppress(ValueError):  # some functions of compiled modules do not say
        try:
            inspect.signature(found).bind(*arguments)
        except TypeError as error:
            raise InputError(
                f'{key} = "{path}": it cannot be called with ({", ".join(arguments)}): {error}'
            ) from None
    return found  # type: ignore[no-any-return]  # callable() loses the signature


def resolve(path: str, key: str, what: str = "function") -> Any:
    """Return what ``path`` names; for messages, ``key`` is the experiment's key, ``what`` its kind.

    The working directory is searched last, so that ``mydata:load`` finds ./mydata.py. Raises
    InputError if there is no such module or function, or if the module cannot be imported.
    """
    module_name, name = _module_and_name(path, key)
    here = _search_here()
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


def source_digest(path: str, key: str) -> str:
    """Return SHA-256 (hex) of the source of the module that ``path`` names, without running it.

    Packages around the module are run, as any import of it does. Raises InputError if there is no
    such module.
    """
    module_name, _ = _module_and_name(path, key)
    here = _search_here()
    try:
        found = importlib.util.find_spec(module_name)
        content = Path(found.origin or "").read_bytes() if found is not None else None
    except (ImportError, SyntaxError, ValueError, OSError) as error:
        raise InputError(f'{key} = "{path}": finding {module_name} failed: {error}') from None
    if content is None:
        raise InputError(
            f'{key} = "{path}": there is no module {module_name}; expected one that Python finds '
            f"from {here} or in its environment"
        )
    return hashlib.sha256(content).hexdigest()


def _module_and_name(path: str, key: str) -> tuple[str, str]:
    module_name, _, name = path.partition(":")
    if module_name.startswith("."):
        raise InputError(
            f'{key} = "{path}": {module_name} is no name of a module; expected one that Python '
            f"finds from {Path.cwd()} or in its environment, as mymodule of mymodule.py"
        )
    return module_name, name


def _search_here() -> str:
    """Let the working directory be searched last; return it."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return here
