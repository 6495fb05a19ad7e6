"""Handlers are named, marked and judged; a note that cannot be written disturbs nobody."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import handler_marks
import pytest
from handler_verdict import excused, unentered

CODE = """
try:
    import zlib
except ImportError:
    zlib = None

class Store:
    def read(self, number):
        try:
            return 1 // number
        except (ZeroDivisionError, OSError) as error:
            try:
                raise KeyError from error
            except KeyError:
                return 0

    def write(self):
        def inner():
            try: ...
            except OSError: ...
        try: ...
        except OSError: ...
        try: ...
        except OSError: ...
        try: ...
        except: ...
"""
NAMES = [
    "a.store::ImportError",
    "a.store:Store.read:ZeroDivisionError|OSError",
    "a.store:Store.read:KeyError",
    "a.store:Store.write.inner:OSError",
    "a.store:Store.write:OSError",
    "a.store:Store.write:OSError#2",
    "a.store:Store.write:BaseException",
]


def test_a_handler_is_named_for_its_function_and_what_it_catches() -> None:
    assert [name for name, _ in handler_marks.handlers(ast.parse(CODE), "a.store")] == NAMES


def test_marked_code_does_the_same_and_tells_which_handlers_it_entered() -> None:
    entered: list[str] = []
    scope = {"__name__": "a.store", "entered_handler_": entered.append}
    exec(compile(handler_marks.marked(ast.parse(CODE), "a.store"), "store.py", "exec"), scope)
    store = scope["Store"]()  # type: ignore[operator]
    assert (store.read(1), entered) == (1, [])
    assert (store.read(0), entered) == (0, NAMES[1:3])


def test_lines_of_marked_code_are_those_of_the_file() -> None:
    tree = handler_marks.marked(ast.parse(CODE), "a.store")
    lines = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    assert lines <= set(range(1, CODE.count("\n") + 1))


def test_each_handler_of_the_product_is_found() -> None:
    found = handler_marks.all_handlers()
    assert len(found) > 200
    for place in found.values():
        path, line = place.split(":")
        text = (handler_marks.ROOT / path).read_text(encoding="utf-8").splitlines()
        assert text[int(line) - 1].strip().startswith("except")


TELL = """
import os
import dfs.errors
print([name for name in os.environ if name.startswith("HANDLER")])
"""


@pytest.mark.parametrize(
    ("variable", "seen"),
    [(handler_marks.FOLDER, "['HANDLER_MARKS']"), (handler_marks.FOLDER_ONCE, "[]")],
)
def test_a_process_that_is_told_marks_and_notes(variable: str, seen: str, tmp_path: Path) -> None:
    assert _run(TELL, {variable: str(tmp_path)}) == seen
    assert list((tmp_path / "code").rglob("errors*.pyc"))


def test_a_process_that_is_not_told_marks_nothing() -> None:
    assert (
        _run(
            "import builtins; print(hasattr(builtins, 'entered_handler_'))",
            {handler_marks.FOLDER: ""},
        )
        == "False"
    )


def test_a_process_with_a_cleaned_environment_is_told_and_drops_what_told_it(
    tmp_path: Path,
) -> None:
    inner = "import builtins, os; print(hasattr(builtins, 'entered_handler_'), len(os.environ))"
    outer = f"""
import os, subprocess, sys
clean = {{"PYTHONPATH": {str(handler_marks.ROOT)!r}, "LC_ALL": "C"}}
subprocess.run([sys.executable, "-c", {inner!r}], env=clean, check=True)
"""
    assert _run(outer, {handler_marks.FOLDER: str(tmp_path)}) == "True 2"


def test_a_note_that_can_never_be_written_disturbs_nobody(tmp_path: Path) -> None:
    noted = "import builtins; builtins.entered_handler_('a:b:c'); print('on')"
    assert _run(noted, {handler_marks.FOLDER: str(tmp_path / "missing")}) == "on"


def test_a_note_that_cannot_be_written_waits_for_the_end_of_the_process(tmp_path: Path) -> None:
    folder = tmp_path / "late"
    noted = f"import builtins, os; builtins.entered_handler_('a:b:c'); os.mkdir({str(folder)!r})"
    _run(noted, {handler_marks.FOLDER: str(folder)})
    assert handler_marks.entered(folder) == {"a:b:c"}


def test_notes_of_several_processes_are_joined(tmp_path: Path) -> None:
    for name in ("a:b:c", "a:b:d", "a:b:c"):
        code = f"import builtins; [builtins.entered_handler_({name!r}) for _ in range(3)]"
        _run(code, {handler_marks.FOLDER: str(tmp_path)})
    assert handler_marks.entered(tmp_path) == {"a:b:c", "a:b:d"}
    assert (tmp_path / "entered").read_text(encoding="ascii").count("\n") == 3


def test_nothing_was_entered_where_nothing_is_noted(tmp_path: Path) -> None:
    assert handler_marks.entered(tmp_path) == set()


def _run(code: str, told: dict[str, str]) -> str:
    """What a Python process prints that finds the marks."""
    ours = {handler_marks.FOLDER, handler_marks.FOLDER_ONCE}
    plain = {name: value for name, value in os.environ.items() if name not in ours}
    paths = os.pathsep.join((str(handler_marks.HERE), str(handler_marks.ROOT)))
    command = [sys.executable, "-c", code]
    environment = {**plain, "PYTHONPATH": paths, **told}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_handler_that_no_test_enters_is_named_unless_it_is_excused() -> None:
    handlers = {
        "a.b:f:OSError": "a/b.py:1",
        "a.b.c:g:OSError": "a/b/c.py:2",
        "a.bc::X": "a/bc.py:3",
    }
    names = list(handlers)
    assert unentered(handlers, names, (), "") == []
    assert unentered(handlers, names[:1], names[1:], "") == []
    assert unentered(handlers, names, names, "") == []
    assert unentered(handlers, names[:1], names[1:2], "") == ["a/bc.py:3: a.bc::X"]
    assert unentered(handlers, (), (), "a.b") == [
        "a/b/c.py:2: a.b.c:g:OSError",
        "a/b.py:1: a.b:f:OSError",
    ]


def test_the_list_names_handlers_that_there_are_and_why_no_test_enters_them() -> None:
    """A line whose handler went or has a new name must go or be renamed."""
    assert excused().keys() - handler_marks.all_handlers().keys() == set()
    assert all(len(reason) > 10 for reason in excused().values())
