"""Small modules, small functions, short lines, and no rooms for what has no name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.rules.source_tree import AROUND, PRODUCT, Source, sources

MODULE_MAX_LINES = 400
FUNCTION_MAX_LINES = 70
FUNCTION_MAX_PARAMETERS = 6
LINE_MAX_CHARS = 100
NAMELESS = {"common_utils", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}

EVERYTHING = sources((*PRODUCT, *AROUND))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: Source) -> Iterator[Function]:
    for node in ast.walk(source.tree):
        if isinstance(node, Function):
            yield node


def parameters(function: Function) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in {"self", "cls"} for argument in named)


def test_there_is_something_to_look_at() -> None:
    assert {source.module for source in EVERYTHING} >= {"dfs.errors", "tests.rules.test_tidy"}


def test_lines_are_short() -> None:
    wrong = [
        f"{source.path}:{number}: {len(line)} characters"
        for source in EVERYTHING
        for number, line in enumerate(source.text.splitlines(), start=1)
        if len(line) > LINE_MAX_CHARS
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_are_short() -> None:
    sizes = {source.path: source.text.count("\n") for source in EVERYTHING}
    wrong = {path: lines for path, lines in sizes.items() if lines > MODULE_MAX_LINES}
    assert not wrong


def test_functions_are_short_and_take_few_parameters() -> None:
    wrong = []
    for source in EVERYTHING:
        for function in functions(source):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            place = f"{source.path}:{function.lineno}: {function.name}"
            if lines > FUNCTION_MAX_LINES:
                wrong.append(f"{place} has {lines} lines")
            # A test takes its fixtures as parameters.
            if parameters(function) > FUNCTION_MAX_PARAMETERS and source.path[:6] != "tests/":
                wrong.append(f"{place} has {parameters(function)} parameters")
    assert not wrong, "\n".join(wrong)


def test_modules_are_named_for_what_they_hold() -> None:
    wrong = [source.path for source in EVERYTHING if source.module.split(".")[-1] in NAMELESS]
    assert not wrong


def test_test_files_have_different_names() -> None:
    names = [s.path.rpartition("/")[2] for s in EVERYTHING if s.path.startswith("tests/")]
    names = [name for name in names if name != "conftest.py"]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
