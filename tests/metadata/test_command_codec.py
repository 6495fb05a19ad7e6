"""What stands in the log is known by name, or the start stops with that name."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from dfs.errors import Corrupt, NotSupported
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.module import Command
from tests.metadata.counting import MODULES, SAID, WORDS, Said, Set, Unset

CODEC = CommandCodec(MODULES)
PLACE = "record 7 in log/00000001.log"


def test_commands_of_two_modules_in_one_record() -> None:
    commands: list[Command] = [Set(b"a", 1), Said("one"), Unset(b"a")]
    assert CODEC.decode(CODEC.encode(commands), PLACE) == commands


def test_an_older_version_is_read_with_the_defaults_of_what_it_lacked() -> None:
    old = msgspec.msgpack.encode([["said", 1001, 1, ["one"]]])
    assert CODEC.decode(old, PLACE) == [Said("one", False)]


@pytest.mark.parametrize(
    ("row", "match"),
    [
        (["jobs", 1, 1, []], "module 'jobs' and this program was started with words, said only"),
        (["words", 9, 1, []], "does not know, tag 9 of module 'words'"),
        (["words", 1, 2, [b"a", 1]], "Set version 2 of module 'words'"),
        (["words", 1, 0, [b"a", 1]], "Set version 0 of module 'words'"),
        (["words", 1, 1, [b"a", 1, True]], "Set of module 'words' whose fields"),
        (["words", 1, 1, [b"a"]], "Set of module 'words' whose fields"),
        (["words", 1, 1, [b"a", "one"]], "Set of module 'words' whose fields"),
    ],
)
def test_what_is_unknown_stops_the_start_by_name(row: list[object], match: str) -> None:
    with pytest.raises(NotSupported, match=match) as caught:
        CODEC.decode(msgspec.msgpack.encode([row]), PLACE)
    assert str(caught.value).startswith(PLACE)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80", msgspec.msgpack.encode([["a", 1]])])
def test_bytes_that_are_no_commands_are_corruption(payload: bytes) -> None:
    with pytest.raises(Corrupt, match=f"{PLACE} holds no commands"):
        CODEC.decode(payload, PLACE)


def test_a_command_of_no_module_is_a_mistake_of_the_program() -> None:
    with pytest.raises(KeyError):
        CommandCodec((WORDS,)).encode([Said("one")])


def test_names_and_tags_are_given_once() -> None:
    with pytest.raises(AssertionError, match="two modules are called words"):
        CommandCodec((WORDS, replace(SAID, name="words")))
    with pytest.raises(AssertionError, match="words has two commands with tag 1"):
        CommandCodec((replace(WORDS, commands=(Set, Set)),))
