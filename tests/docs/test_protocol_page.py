"""docs/protocol.md says what the code does: every message and every error."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dfs.errors import BY_NUMBER
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
