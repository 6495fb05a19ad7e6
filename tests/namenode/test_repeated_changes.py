"""Each kind of change, repeated and with restarts in between: made once, answered alike."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.errors import DfsError
from dfs.events import Origin, Received, Reply
from dfs.namenode.keys import TABLES
from dfs.wire import namespace as m
from dfs.wire.appending import Append, SyncFile
from dfs.wire.codec import Message
from dfs.wire.common import Failed

from .conftest import ANNA, Namenode

NODES = ("datanode-1", "datanode-2", "datanode-3")


class Script:
    """One client's changes, one after the other, each sent as often as ``plan`` says.

    ``plan`` holds for each change how often it is sent, and behind which of these the
    namenode restarts.
    """

    def __init__(self, plan: list[tuple[int, int]]) -> None:
        self.namenode = Namenode()
        self.namenode.join(*NODES)
        self.plan = plan
        self.answers: list[Message] = []
        self.session = self.namenode.ask(m.OpenSession()).session

    def change(self, cls: type[m.Change], **fields: Any) -> Any:
        sequence = len(self.answers) + 1
        sends, restart_behind = self.plan[len(self.answers) % len(self.plan)]
        request = cls(self.session, sequence, sequence, **fields)
        found = []
        for number in range(1, sends + 1):
            found.append(self.send(request))
            if number == restart_behind:
                self.namenode.restart()
                self.namenode.join(*NODES)
        assert found == [found[0]] * sends
        self.answers.append(found[0])
        return found[0]

    def send(self, request: Message) -> Message:
        try:
            answer = self.namenode.ask(request)
        except DfsError as error:
            answer = Failed.of(error)
        assert isinstance(answer, Message)
        return answer

    def sealed(self, targets: m.ChunkTargets, start: int, length: int) -> m.SealedChunk:
        nodes = tuple(target.node for target in targets.chain)
        return m.SealedChunk(targets.chunk, 1, start, length, b"d" * 16, nodes)

    def run(self) -> None:
        change = self.change
        change(m.Mkdir, path="/d")
        created = change(m.Create, path="/d/f")
        first = change(m.AddChunk, inode=created.inode, start=0)
        sealed = self.sealed(first, 0, 4096)
        second = change(m.AddChunk, inode=created.inode, start=4096, sealed=sealed)
        sealed = self.sealed(second, 4096, 10)
        change(m.CloseFile, inode=created.inode, size=4106, digest=b"", sealed=sealed)
        change(m.PutInline, path="/d/g", content=b"small", digest=b"")
        change(m.Rename, source="/d", target="/e")
        appended = change(Append, path="/e/f")
        third = change(m.AddChunk, inode=appended.inode, start=4106)
        sealed = self.sealed(third, 4106, 5)
        change(SyncFile, inode=appended.inode, size=4111, digest=b"", sealed=sealed)
        change(m.CloseFile, inode=appended.inode, size=4111, digest=b"")
        dropped = change(m.Create, path="/e/g", overwrite=True)
        change(m.AbandonFile, inode=dropped.inode)
        change(m.Remove, path="/e/g")
        change(m.Mkdir, path="/d")

    def outcome(self) -> dict[str, list[tuple[bytes, bytes]]]:
        """All tables but the log's positions and times in them."""
        return {name: self.namenode.table.scan(name, b"\0", 1000) for name in TABLES}


def shape(outcome: dict[str, list[tuple[bytes, bytes]]]) -> dict[str, list[bytes]]:
    return {name: [key for key, _ in rows] for name, rows in outcome.items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=15))
def test_a_change_is_made_once_however_often_it_is_sent(plan: list[tuple[int, int]]) -> None:
    plain, script = Script([(1, 0)]), Script(plan)
    plain.run()
    script.run()
    assert [type(a) for a in script.answers] == [type(a) for a in plain.answers]
    assert not any(isinstance(a, Failed) for a in script.answers)
    assert shape(script.outcome()) == shape(plain.outcome())


def test_an_answer_that_was_stored_is_given_without_any_change() -> None:
    script = Script([(1, 0)])
    script.run()
    namenode = script.namenode
    last = m.Mkdir(script.session, len(script.answers), len(script.answers), "/d")
    before = namenode.index
    namenode.restart()
    namenode.join(*NODES)
    event = Received(Origin(ANNA, 2, 9), last)
    decision = namenode.core.handle(namenode._view(), event, namenode.now)
    replies = [a.message for a in decision.actions if isinstance(a, Reply)]
    assert (decision.commands, replies) == ([], [script.answers[-1]])
    assert namenode.index == before
