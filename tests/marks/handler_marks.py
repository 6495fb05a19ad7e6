"""Notes which error handlers are ever entered: "92 % of catastrophic failures came from error
handlers nobody had run" (Yuan et al., OSDI 2014).

While tests run, every ``except`` of the product gets a first statement that notes its name, once
in each process, in one file. ``install`` sees to that for the modules that a process imports from
then on; ``sitecustomize`` beside this file calls it in the processes that tests start.

* The name of a handler is ``module:function:exceptions``; a second one with the same name in the
  same function has ``#2`` behind it. It has no line number, so that it lives through edits.
* A process that gets a cleaned environment, as tasks do, is told by a variable that it drops.
* A note that cannot be written waits for the next one or the end of the process, and disturbs
  nobody: handlers run when disks are full and when no descriptor is left.
"""

from __future__ import annotations

import atexit
import builtins
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ast

FOLDER = "HANDLER_MARKS"
"""The environment variable that names the folder of the notes; without it nothing is noted."""
FOLDER_ONCE = "HANDLER_MARKS_ONCE"
"""The same, for one process and none that it starts."""
PRODUCT = ("dfs", "mapreduce", "cli")
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_MARK = "entered_handler_"


def install() -> None:
    """Mark the handlers of product modules imported from now on, if this is asked for."""
    folder = os.environ.pop(FOLDER_ONCE, None) or os.environ.get(FOLDER)
    if not folder or hasattr(builtins, _MARK):
        return
    setattr(builtins, _MARK, _Notes(Path(folder, "entered")))
    atexit.register(write_notes)
    _Loader.code_folder = str(Path(folder, "code"))
    sys.meta_path.insert(0, _Finder())
    if FOLDER in os.environ:
        _tell_processes_with_cleaned_environments(folder)


def write_notes() -> None:
    """Write the notes of this process that could not be written before."""
    notes = getattr(builtins, _MARK, None)
    if notes is not None:
        notes.write()


def entered(folder: Path) -> set[str]:
    """The names of the handlers noted so far."""
    notes = folder / "entered"
    return set(notes.read_text(encoding="ascii").splitlines()) if notes.exists() else set()


def all_handlers() -> dict[str, str]:
    """File and line of all handlers of the product by their names; its simulator is a tool of
    the tests."""
    from ast import parse

    return {
        name: f"{path.relative_to(ROOT)}:{node.lineno}"
        for product in PRODUCT
        for path in sorted((ROOT / product).rglob("*.py"))
        if path.parent.name != "testing"
        for name, node in handlers(parse(path.read_bytes()), module_of(path))
    }


def module_of(path: Path) -> str:
    """The dotted name of a file's module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def handlers(tree: ast.Module, module: str) -> list[tuple[str, ast.ExceptHandler]]:
    """Every handler with its name, in the order of the text."""
    import ast

    found: list[tuple[str, ast.ExceptHandler]] = []
    names: dict[str, int] = {}

    def look(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            function = f"{function}.{node.name}".lstrip(".")
        elif isinstance(node, ast.ExceptHandler):
            kinds = ast.unparse(node.type) if node.type else "BaseException"
            name = f"{module}:{function}:{kinds.strip('()').replace(', ', '|')}"
            names[name] = names.get(name, 0) + 1
            found.append((name if names[name] == 1 else f"{name}#{names[name]}", node))
        for child in ast.iter_child_nodes(node):
            look(child, function)

    look(tree, "")
    return found


def marked(tree: ast.Module, module: str) -> ast.Module:
    """The same code with a note at the beginning of each handler."""
    import ast

    for name, node in handlers(tree, module):
        note = ast.parse(f"{_MARK}({name!r})").body[0]
        for part in ast.walk(note):
            ast.copy_location(part, node)
        node.body.insert(0, note)
    return tree


def _tell_processes_with_cleaned_environments(folder: str) -> None:
    start = subprocess.Popen.__init__

    def start_told(process: Any, *args: Any, env: Any = None, **options: Any) -> None:
        told = env is None or FOLDER in env or FOLDER_ONCE in env
        if not told and "PYTHONPATH" in env:
            paths = os.pathsep.join((str(HERE), env["PYTHONPATH"]))
            env = {**env, "PYTHONPATH": paths, FOLDER_ONCE: folder}
        start(process, *args, env=env, **options)

    subprocess.Popen.__init__ = start_told  # type: ignore[method-assign]


class _Notes:
    """Writes each name once, in one call, so that a killed process has written it too."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._noted: set[str] = set()
        self._unwritten: list[str] = []

    def __call__(self, name: str) -> None:
        if name not in self._noted:
            self._noted.add(name)
            self._unwritten.append(name)
            self.write()

    def write(self) -> None:
        """Write what could not be written before."""
        names, self._unwritten = self._unwritten, []
        if not names:
            return
        try:
            fd = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(fd, "".join(f"{name}\n" for name in names).encode())
            finally:
                os.close(fd)
        except OSError:
            self._unwritten += names


class _Loader(SourceFileLoader):
    """Compiles marked code, which is cached apart from the other."""

    code_folder = ""

    def source_to_code(self, data: Any, path: Any, **options: Any) -> Any:
        import ast

        tree = marked(ast.parse(data), module_of(Path(os.fsdecode(path))))
        return compile(tree, path, "exec", dont_inherit=True)

    def get_code(self, fullname: str) -> Any:
        before = sys.pycache_prefix, sys.dont_write_bytecode
        sys.pycache_prefix, sys.dont_write_bytecode = self.code_folder, False
        try:
            return super().get_code(fullname)
        finally:
            sys.pycache_prefix, sys.dont_write_bytecode = before


class _Finder:
    """Finds product modules that lie in this repository."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in PRODUCT:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None or ROOT not in Path(spec.origin).parents:
            return None
        spec.loader = _Loader(name, spec.origin)
        return spec
