"""Old bytes stay readable: each message and command against the bytes written once."""

from __future__ import annotations

import json

import pytest

from dfs.namenode.command_codec import CommandCodec
from dfs.wire.codec import decode

from .samples import GOLDEN, MODULES, command_bytes, commands, message_bytes, messages

MESSAGES = json.loads((GOLDEN / "messages.json").read_text())
COMMANDS = json.loads((GOLDEN / "commands.json").read_text())


def test_every_message_and_command_has_golden_bytes() -> None:
    missing = [*(messages().keys() - MESSAGES.keys()), *(commands().keys() - COMMANDS.keys())]
    assert not missing, "run: python -m tests.wire.samples"


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_are_written_and_read_as_ever(name: str) -> None:
    assert message_bytes()[name] == MESSAGES[name]
    frame = decode([bytes.fromhex(MESSAGES[name])])
    assert (frame.message, frame.request) == (messages()[name], 9)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_written_and_read_as_ever(name: str) -> None:
    assert command_bytes()[name] == COMMANDS[name]
    assert CommandCodec(MODULES).decode(bytes.fromhex(COMMANDS[name]), "golden") == [
        commands()[name]
    ]
