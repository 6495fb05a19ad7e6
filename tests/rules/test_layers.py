"""Imports point one way, and what decides neither waits, nor draws, nor touches the machine.

Values know nothing but values. Rules decide with values, cores decide with rules; none of them
has a clock, a socket, a file, a thread, an environment or a random number of its own. Servers
do input and output around cores. Tasks are what runs beside the user's code.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.rules.source_tree import ROOT, Source, imports, sources

MAY_IMPORT = {
    "values": {"values"},
    "rules": {"values", "rules"},
    "cores": {"values", "rules", "cores"},
    "tasks": {"values", "rules", "tasks"},
    "servers": {"values", "rules", "cores", "tasks", "servers"},
    "testing": {"values", "rules", "cores", "tasks", "servers", "testing"},
}
PURE = {"values", "rules", "cores"}
MACHINE_MODULES = """
    _thread asyncio concurrent ctypes fcntl io mmap multiprocessing os queue random resource secrets
    select selectors shutil signal socket subprocess tempfile threading time uuid
"""
MACHINE = set(MACHINE_MODULES.split())
CLOCKS = {"now", "utcnow", "today"}
IMPURE_CALLS = {"open", "input", "print", "hash", "id"}
UNPICKLERS = {"pickle", "marshal", "cloudpickle", "shelve", "dill"}
EVALUATORS = {"eval", "exec"}
OWNERS = {"zmq": "dfs.net.sockets", "lmdb": "dfs.namenode.lmdb_table"}
TASK_ONLY = {"polars", "cloudpickle"}

TABLE: dict[str, Any] = tomllib.loads(
    (Path(__file__).parent / "layers.toml").read_text(encoding="utf-8")
)
UPWARD: dict[str, str] = TABLE["upward"]
LAYER_OF = {name: layer for layer in MAY_IMPORT for name in TABLE[layer]}
MODULES = {source.module for source in sources()}


def rule_for(module: str) -> str | None:
    """The entry of the table that counts for a module."""
    names = [module]
    parts = module.split(".")
    names += [".".join(parts[:n]) + ".*" for n in range(len(parts) - 1, 0, -1)]
    return next((name for name in names if name in LAYER_OF), None)


def layer(module: str) -> str:
    """The layer of a module, '' if the table lacks it."""
    return LAYER_OF.get(rule_for(module) or "", "")


def imported_modules(source: Source) -> dict[str, int]:
    """Our own modules that a file imports, with the line."""
    found: dict[str, int] = {}
    for line, name in imports(source):
        module = name if name in MODULES else name.rpartition(".")[0]
        if module in MODULES and module != source.module:
            found.setdefault(module, line)
    return found


def is_bare_package(source: Source) -> bool:
    return source.path.endswith("__init__.py") and not list(imports(source))


def test_every_module_has_a_layer() -> None:
    missing = [s.path for s in sources() if not is_bare_package(s) and not layer(s.module)]
    assert not missing, f"name their layer in tests/rules/layers.toml: {missing}"


def test_the_table_names_no_module_twice_and_none_that_is_gone() -> None:
    names = [name for key in MAY_IMPORT for name in TABLE[key]]
    assert len(names) == len(set(names))
    used = {rule_for(module) for module in MODULES}
    assert set(names) - used == set(), "these fit no module"


def test_imports_point_down() -> None:
    wrong = []
    seen = set()
    for source in sources():
        allowed = MAY_IMPORT.get(layer(source.module), set(MAY_IMPORT)) | {""}
        for module, line in imported_modules(source).items():
            arrow = f"{source.module} -> {module}"
            seen.add(arrow)
            if layer(module) not in allowed and arrow not in UPWARD:
                wrong.append(f"{source.path}:{line}: {layer(source.module)} import {arrow}")
    assert not wrong, "\n".join(wrong)
    assert set(UPWARD) <= seen, "these arrows are gone"


def is_pure(source: Source) -> bool:
    return layer(source.module) in PURE


def test_pure_modules_do_not_touch_the_machine() -> None:
    wrong = [
        f"{source.path}:{line}: imports {name}"
        for source in filter(is_pure, sources())
        for line, name in imports(source)
        if name.partition(".")[0] in MACHINE
    ]
    assert not wrong, "\n".join(wrong)


def calls(source: Source) -> list[tuple[int, str, str]]:
    """Line, receiver ('' for a plain name) and name of each call of a name or an attribute."""
    found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                found.append((node.lineno, "", node.func.id))
            elif isinstance(node.func, ast.Attribute):
                found.append((node.lineno, ast.unparse(node.func.value), node.func.attr))
    return found


def test_pure_modules_read_no_clock_and_no_salted_hash() -> None:
    wrong = [
        f"{source.path}:{line}: calls {name}()"
        for source in filter(is_pure, sources())
        for line, receiver, name in calls(source)
        if (not receiver and name in IMPURE_CALLS)
        or (name in CLOCKS and receiver.split(".")[-1] in {"datetime", "date"})
    ]
    assert not wrong, "\n".join(wrong)


def test_only_task_code_unpickles_or_evaluates() -> None:
    wrong = []
    for source in sources():
        if layer(source.module) == "tasks":
            continue
        wrong += [
            f"{source.path}:{line}: imports {name}"
            for line, name in imports(source)
            if name.partition(".")[0] in UNPICKLERS
        ]
        wrong += [
            f"{source.path}:{line}: calls {name}()"
            for line, receiver, name in calls(source)
            if not receiver and name in EVALUATORS
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", OWNERS)
def test_some_libraries_stand_in_one_module(library: str) -> None:
    importers = {
        source.module
        for source in sources()
        for _, name in imports(source)
        if name.partition(".")[0] == library
    }
    assert importers <= {OWNERS[library]}


def test_columns_and_closures_are_for_task_code() -> None:
    wrong = [
        f"{source.path}:{line}: imports {name}"
        for source in sources()
        if layer(source.module) not in {"tasks", "testing"}
        for line, name in imports(source)
        if name.partition(".")[0] in TASK_ONLY
    ]
    assert not wrong, "\n".join(wrong)


def test_daemons_and_commands_start_without_the_heavy_libraries() -> None:
    light = [
        module
        for module in sorted(MODULES)
        if module.startswith(("dfs", "cli", "mapreduce.master")) or module == "mapreduce"
        if layer(module) not in {"tasks", "testing"} and not module.endswith(("fsspec", "fs_spec"))
    ]
    script = (
        "import importlib, sys\n"
        f"for name in {light!r}: importlib.import_module(name)\n"
        "print([n for n in ('polars', 'cloudpickle', 'numpy', 'rich') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
