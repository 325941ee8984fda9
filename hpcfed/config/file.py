"""From a TOML file and --set options to a checked Experiment, and back to text and digest.

The digest covers the keys that can change a result; [run], uplink.transport, client.threads,
data.root and name cannot, and server.rounds may grow.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import tomli_w
from pydantic import BaseModel, ValidationError

from hpcfed.config import Experiment
from hpcfed.config.section import table_of
from hpcfed.config.tree import Tree, flatten, set_key
from hpcfed.errors import InputError

_FREE_KEYS = ("name", "run", "uplink.transport", "client.threads", "server.rounds", "data.root")
# of data that are looked at without a network: one that has no time constants, so takes any bins
ANY_NETWORK: Tree = {"model": {"neuron": "leaky", "readout": "current"}}
_OF_SWEEPS = ("base", "grid", "zip", "points", "exclude", "search")


Override = str | Mapping[str, object]  # "KEY=VALUE", or values by key


def read_experiment(path: Path | str, overrides: Sequence[Override] = ()) -> Experiment:
    """Read a job file and apply overrides, ``KEY=VALUE`` or values by dotted key.

    Raises InputError for anything wrong.
    """
    return parse_experiment(read_text(Path(path), "job file"), overrides, source=str(path))


def read_text(path: Path, what: str) -> str:
    """Return a file's text; ``what`` names it in messages. Raises InputError for one without."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such {what}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a {what}: {error}") from None


def parse_experiment(
    text: str, overrides: Sequence[Override] = (), source: str = "experiment"
) -> Experiment:
    """Parse TOML text and overrides; ``source`` names the text in messages."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source}: not valid TOML: {error}") from None
    if found := [key for key in _OF_SWEEPS if key in tree]:
        raise InputError(
            f"{source}: is a sweep file (it has {', '.join(found)}), not an experiment; use it "
            "with hpcfed sweep plan, run or submit"
        )
    for item in overrides:
        if isinstance(item, str):
            set_from_text(tree, item)
        else:
            for key, value in flatten(item):
                set_key(tree, key, value)
    return build_experiment(tree, source)


def build_experiment(tree: Tree, source: str) -> Experiment:
    """Validate a nested dict. Raises InputError listing every problem, one a line."""
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        problems = [_problem(dict(detail)) for detail in error.errors(include_url=False)]
        # where a value fits no branch of a union, the branch that looked deepest knows best
        deepest = [p for p in problems if not any(q[0].startswith(p[0] + ".") for q in problems)]
        messages = dict(reversed(deepest))
        lines = [f"{source}: {messages[path]}" for path in dict(deepest)]
        raise InputError("\n".join(lines)) from None


def to_toml(experiment: Experiment) -> str:
    """Return the complete experiment as TOML, defaults written out."""
    return tomli_w.dumps(_tree(experiment))


def to_text(tree: Tree) -> str:
    """Return nested tables as TOML."""
    return tomli_w.dumps(tree)


def to_inline(value: object) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_inline_key(k)} = {to_inline(v)}' for k, v in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_inline, value))}]"
    return tomli_w.dumps({"v": value}).strip()[4:]


def _inline_key(key: str) -> str:
    return tomli_w.dumps({key: 0}).partition(" = ")[0]


def digest(experiment: Experiment) -> str:
    """Return the SHA-256 (hex) of the keys that can change a result."""
    return hashlib.sha256(json.dumps(_result_keys(experiment), sort_keys=True).encode()).hexdigest()


def changed_keys(old: Experiment, new: Experiment) -> list[str]:
    """Return the dotted keys that differ and can change a result."""
    first, second = _result_keys(old), _result_keys(new)
    return sorted(k for k in first.keys() | second.keys() if first.get(k) != second.get(k))


def key_paths(model: type[BaseModel] = Experiment, prefix: str = "") -> Iterator[str]:
    """Yield every dotted key of the experiment file."""
    for name, field in model.model_fields.items():
        table = table_of(field.annotation)
        if table is not None:
            yield from key_paths(table, f"{prefix}{name}.")
        else:
            yield prefix + name


def flat_keys(experiment: Experiment) -> Tree:
    """Return every key that has a value, dotted; lists are lists."""
    return dict(flatten(_tree(experiment)))


def set_from_text(tree: Tree, item: str) -> str:
    """Set what ``KEY=VALUE`` says in nested tables; return the key. Raises InputError."""
    key, equals, text = item.partition("=")
    key = key.strip()
    if not equals or not key:
        raise InputError(f"--set {item}: expected KEY=VALUE, as in --set server.rounds=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    try:
        set_key(tree, key, value)
    except InputError as error:
        raise InputError(f"--set {item}: {error}") from None
    return key


def _tree(experiment: Experiment) -> Tree:
    return experiment.model_dump(mode="json", exclude_none=True)


def _result_keys(experiment: Experiment) -> Tree:
    return {
        key: value
        for key, value in flatten(_tree(experiment))
        if key not in _FREE_KEYS and key.split(".")[0] not in _FREE_KEYS
    }


def _problem(error: Tree) -> tuple[str, str]:
    """Return the dotted key of a pydantic error and what to tell the user."""
    path = ".".join(str(part) for part in error["loc"] if not _is_branch(part))
    kind, found = error["type"], error.get("input")
    if kind == "extra_forbidden":
        return path, f"{path}: unknown key; did you mean {_nearest(path)}?"
    if kind == "value_error":
        message = str(error["ctx"]["error"])
        return path, f"{path}: {message}" if path else message
    try:
        what = "a table" if isinstance(found, dict) else to_inline(found)
    except TypeError:  # from Python, a value that TOML does not have
        what = repr(found)
    return path, f"{path}: {error['msg'][0].lower()}{error['msg'][1:]}, found {what}"


def _nearest(path: str) -> str:
    table, _, key = path.rpartition(".")
    known = list(key_paths())
    siblings = [k for k in known if k.rpartition(".")[0] == table] if table else []
    tables = sorted({k.partition(".")[0] for k in known}) if not table else []
    for names in ([k.rpartition(".")[2] for k in siblings], tables):
        if near := difflib.get_close_matches(key, names, n=1, cutoff=0.6):
            return f"{table}.{near[0]}" if table else near[0]
    by_key = {k.rpartition(".")[2]: k for k in known}
    if near := difflib.get_close_matches(key, list(by_key), n=1, cutoff=0.6):
        return by_key[near[0]]
    return difflib.get_close_matches(path, known, n=1, cutoff=0.0)[0]


def _is_branch(part: object) -> bool:
    # pydantic adds the branch of a union ("constrained-float", "tuple[...]") to an error's path
    return isinstance(part, str) and ("-" in part or "[" in part or part in ("int", "str"))
