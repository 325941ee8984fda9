"""The package's face: every name for users is there, known to type checkers, and documented."""

from __future__ import annotations

import ast
import inspect

import hpcfed
from tests.places import PACKAGE


def test_type_checkers_know_the_names_that_are_imported_when_asked_for() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    known = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is not None
    }
    assert known == hpcfed._USERS
    assert set(known) <= set(dir(hpcfed))


def test_every_name_is_documented_and_every_function_typed() -> None:
    for name in hpcfed._USERS:
        value = getattr(hpcfed, name)
        assert inspect.getdoc(value), name
        if inspect.isfunction(value):
            hints = set(inspect.get_annotations(value))
            assert hints == {*inspect.signature(value).parameters, "return"}, name
