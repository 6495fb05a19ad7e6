"""docs/protocol.md says what the code does: every message and every error."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from dfs.errors import BY_NUMBER
from dfs.limits import SECOND_NS
from dfs.wire.codec import encode
from dfs.wire.common import Ping

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "protocol.md").read_text()


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_messages_is_up_to_date(generate: ModuleType) -> None:
    assert generate.page_with_reference(PAGE) == PAGE, "run: python docs/generate.py"


def test_the_page_of_modules_is_up_to_date(generate: ModuleType) -> None:
    page = (DOCS / "modules.md").read_text()
    assert generate.modules_page() == page, "run: python docs/generate.py"
    assert "|  |" not in page, "a module says nothing of itself"


def test_the_page_of_commands_is_up_to_date(generate: ModuleType) -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert generate.commands_page() == page, "run: python docs/generate.py"


def test_every_message_says_who_sends_it(generate: ModuleType) -> None:
    for tag, cls in generate.known_messages().items():
        if cls.__module__.startswith(("dfs.", "mapreduce.")):
            text = " ".join((cls.__doc__ or "").split())
            assert "Sent by" in text, f"{tag} {cls.__name__} does not say who sends it"


def test_every_error_is_in_the_table() -> None:
    for number, cls in BY_NUMBER.items():
        definite = "yes" if cls.definite else "no"
        retry = cls.retry.value.replace("_", " ")
        cells = (number, cls.code, f"`{cls.__name__}`", cls.exit_code, definite, retry)
        assert f"| {' | '.join(map(str, cells))} |" in PAGE


def test_the_example_is_what_the_codec_writes() -> None:
    assert encode(Ping(), 7)[0].hex(" ") in PAGE.replace("  ", " ")


def deadlines() -> list[list[str]]:
    """The cells of each row of the table of deadlines."""
    section = PAGE.split("## Who waits, and how long")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_request_has_a_deadline(generate: ModuleType) -> None:
    rows = {name for cells in deadlines() for name in re.findall(r"`(\w+)`", cells[0])}
    requests = {
        cls.__name__
        for cls in generate.known_messages().values()
        if cls.__module__.startswith(("dfs.", "mapreduce."))
        and re.search(r"Answered\s+by|Order:", cls.__doc__ or "")
    }
    assert requests - rows == set(), "name these in the table, with who waits how long"
    assert rows - requests == set()


def test_the_deadlines_are_those_of_the_code() -> None:
    """Each time stands before the name of its limit, with the module unless that is dfs.limits."""
    section = PAGE.split("## Who waits, and how long")[1].split("\n## ")[0]
    named = re.findall(r"(\d+) s\s+\((?:`([\w/]+)\.py`, )?`(\w+_NS)`", section)
    assert len(named) > len(deadlines())
    for seconds, path, name in named:
        module = importlib.import_module(path.replace("/", ".") if path else "dfs.limits")
        assert getattr(module, name) == int(seconds) * SECOND_NS, name
    for cells in deadlines():
        waits = cells[1] != "nobody"
        assert waits == bool(cells[2]), f"{cells[0]}: who waits, and how long?"
