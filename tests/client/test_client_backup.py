"""The client's part of a backup: ask until a snapshot is whole, then read it in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from dfs.client.backup import prepare, read_piece
from dfs.client.effects import CurrentTime, Operation, Sleep
from dfs.client.namenode import Namenode
from dfs.errors import DeadlineExceeded, NoRoom, ProtocolError
from dfs.events import Payload
from dfs.limits import RETRY_PAUSE_NS, SNAPSHOT_DEADLINE_NS
from dfs.wire.backup import BackupPiece, BackupState, PrepareBackup, ReadBackup
from dfs.wire.codec import Message


class Answer:
    """What ``ask_for_bytes`` gives."""

    def __init__(self, message: Message, payload: Payload) -> None:
        self.message, self.payload = message, payload


class PlayedNamenode:
    """A namenode that gives prepared answers, the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Message] = []

    def ask(self, question: Message) -> Iterator[Any]:
        self.asked.append(question)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer
        yield

    ask_for_bytes = ask


def play(operation: Operation[Any]) -> tuple[Any, int]:
    """Run an operation that only sleeps: its result, and how long it slept."""
    now_ns, value = 1000, None
    while True:
        try:
            effect = operation.send(value)
        except StopIteration as end:
            return end.value, now_ns - 1000
        match effect:
            case CurrentTime():
                value = now_ns
            case Sleep():
                now_ns, value = now_ns + effect.duration_ns, None
            case _:
                raise AssertionError(f"nobody answers {effect}")


def test_a_snapshot_is_asked_for_again_by_its_number_until_it_is_whole() -> None:
    whole = BackupState(41, b"manifest")
    namenode = PlayedNamenode(BackupState(40), BackupState(41), whole)
    state, slept_ns = play(prepare(cast(Namenode, namenode)))
    assert state == whole
    assert namenode.asked == [PrepareBackup(0), PrepareBackup(40), PrepareBackup(41)]
    assert slept_ns == 2 * RETRY_PAUSE_NS


def test_a_snapshot_that_is_there_is_not_waited_for() -> None:
    assert play(prepare(cast(Namenode, PlayedNamenode(BackupState(7, b"m")))))[1] == 0


def test_a_snapshot_that_never_gets_whole_is_given_up() -> None:
    namenode = PlayedNamenode(BackupState(40))
    with pytest.raises(DeadlineExceeded, match="no snapshot within 600 s"):
        play(prepare(cast(Namenode, namenode)))
    assert len(namenode.asked) == SNAPSHOT_DEADLINE_NS // RETRY_PAUSE_NS + 1


def test_why_no_snapshot_can_be_taken_is_told_at_once() -> None:
    namenode = PlayedNamenode(NoRoom("no room for a snapshot"))
    with pytest.raises(NoRoom):
        play(prepare(cast(Namenode, namenode)))
    assert namenode.asked == [PrepareBackup(0)]


def test_a_piece_is_what_came_and_an_empty_one_is_refused() -> None:
    namenode = PlayedNamenode(
        Answer(BackupPiece(5), memoryview(b"abc")), Answer(BackupPiece(8), b"")
    )
    data, _ = play(read_piece(cast(Namenode, namenode), 41, 5))
    assert data == b"abc"
    with pytest.raises(ProtocolError, match="record 41 ends at 8 bytes, too early"):
        play(read_piece(cast(Namenode, namenode), 41, 8))
    assert namenode.asked == [ReadBackup(41, 5), ReadBackup(41, 8)]
