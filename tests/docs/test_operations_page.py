"""The handbook's commands exist, with their options; and every verb is explained."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.lazy import LazyGroup
from cli.minidfs import minidfs
from cli.minimr import minimr

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
PROGRAMS: dict[str, click.Group] = {"minidfs": minidfs, "minimr": minimr}


def commands(text: str) -> list[str]:
    """The command lines of a page: those behind a prompt, and those between backticks."""
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    typed = [
        line.removeprefix("$ ")
        for block in blocks
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in (*typed, *re.findall(r"`([^`]+)`", plain)) if line.startswith("mini")]


def verbs(group: click.Group, before: str) -> Iterator[str]:
    """The full names of all verbs below ``group``."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, LazyGroup):
            yield from verbs(command, f"{before} {name}")
        else:
            yield f"{before} {name}"


def check(line: str) -> None:
    """Raise unless the line names a verb that there is, with options that it has."""
    program, *words = shlex.split(line, comments=True)
    if program not in PROGRAMS:
        return
    command: click.Command = PROGRAMS[program]
    for word in words:
        if word in {"|", ">", "&&", ";", "&"}:
            return
        if isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"{line!r}: there is no verb {word!r}"
            command = found
        elif word.startswith("-") and word != "-" and not word[1:].isdigit():
            options = [name for p in command.params for name in (*p.opts, *p.secondary_opts)]
            name = word.partition("=")[0]
            assert name in [*options, "--help"], f"{line!r}: there is no option {word!r}"


@pytest.mark.parametrize("line", sorted(set(commands(PAGE))))
def test_every_command_of_the_page_exists(line: str) -> None:
    check(line)


def test_the_page_has_commands_and_a_wrong_one_is_found() -> None:
    assert len(commands(PAGE)) > 20
    with pytest.raises(AssertionError, match="no verb"):
        check("minidfs fly")
    with pytest.raises(AssertionError, match="no option"):
        check("minidfs stop --gently datanode-1")


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_verb_stands_in_the_page_of_commands_with_a_sentence(program: str) -> None:
    said = dict(re.findall(r"^### `([^`]+)`\n\n(.+)$", COMMANDS, re.MULTILINE))
    for verb in verbs(PROGRAMS[program], program):
        texts = [text for heading, text in said.items() if f"{heading} ".startswith(f"{verb} ")]
        assert len(texts) == 1, verb


def test_every_section_is_in_the_table_of_contents() -> None:
    sections = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    anchors = re.findall(r"\]\(#([^)]+)\)", PAGE)
    slugs = [re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in sections]
    assert [slug for slug in slugs if slug not in anchors] == []
    assert [anchor for anchor in anchors if anchor not in slugs] == []
