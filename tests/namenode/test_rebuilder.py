"""Who is asked what when a namenode is rebuilt, and whose copy of the log is taken."""

from __future__ import annotations

import pytest

from dfs.errors import Corrupt, DfsError, NotFound, StorageFault, Unavailable
from dfs.events import (
    Action,
    LinkLost,
    Note,
    Now,
    Origin,
    Peer,
    Received,
    Reply,
    Role,
    Send,
    Work,
    WorkDone,
)
from dfs.limits import REBUILD_STALL_NS, SECOND_NS
from dfs.log_format import pack_record, read_record
from dfs.namenode.copy_reader import BeginCopy, WriteRecords, WriteSnapshot
from dfs.namenode.rebuilder import BUSY, Outcome, Rebuilder, Wanted
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ping
from dfs.wire.keeper import (
    ChunkList,
    FoundChunk,
    GetKeptLog,
    KeptLog,
    KeptRecords,
    KeptSnapshot,
    ListChunks,
    ReadKeptLog,
    ReadKeptSnapshot,
)
from dfs.wire.node import Register

QUIET_NS = 10 * SECOND_NS
ONE, TWO, THREE = "datanode-1", "datanode-2", "datanode-3"
CHUNK = FoundChunk(5, 1, 100, b"d" * 16, 2, 0, "/a")


def records(first: int, last: int) -> bytes:
    """Records of one history, behind checksum 0 of record ``first`` - 1."""
    data, previous = b"", 0
    for index in range(first, last + 1):
        record, previous = pack_record(index, index - 1, previous, b"x" * 8)
        data += record
    return data


def piece(first: int, last: int) -> bytes:
    """Those of the history that begins with record 1."""
    return records(1, last)[len(records(1, first - 1)) :]


def last_checksum(last: int) -> int:
    """That of record ``last`` of the same history."""
    record = read_record(piece(last, last), 0)
    assert record is not None
    return record.checksum


class Stage:
    """A rebuilder, and datanodes that are played by hand."""

    def __init__(self, nodes: int = 0, *, from_chunks: bool = False) -> None:
        self.now_ns = SECOND_NS
        self.core = Rebuilder(Wanted(nodes, QUIET_NS, from_chunks), self.now)
        self.notes: list[str] = []

    @property
    def now(self) -> Now:
        return Now(self.now_ns, 0)

    def tell(
        self, node: str, message: Message, request: int = 1, payload: bytes = b""
    ) -> list[Action]:
        origin = Origin(Peer(Role.DATANODE, node), 1, request)
        return self.take(self.core.handle(Received(origin, message, payload), self.now))

    def take(self, actions: list[Action]) -> list[Action]:
        self.notes += [a.text for a in actions if isinstance(a, Note)]
        return [a for a in actions if not isinstance(a, Note)]

    def register(self, node: str, epoch: int = 3) -> Send | None:
        reply, *asked = self.tell(
            node, Register(("x",), f"host-of-{node}:b", "r", 1, 1, 1, 9, epoch)
        )
        assert isinstance(reply, Reply)
        assert reply.message == Failed.of(Unavailable(BUSY))
        if not asked:
            return None
        (send,) = asked
        assert isinstance(send, Send)
        return send

    def answer(self, send: Send, message: Message, payload: bytes = b"") -> list[Action]:
        return self.tell(send.to.name, message, send.request, payload)

    def keep(self, node: str, kept: KeptLog) -> list[Action]:
        """A node comes and says what it keeps."""
        asked = self.register(node)
        assert asked is not None
        assert asked.message == GetKeptLog()
        return self.answer(asked, kept)

    def wait(self, duration_ns: int = QUIET_NS) -> list[Action]:
        self.now_ns += duration_ns
        due_ns = self.core.next_deadline()
        assert due_ns is not None
        return self.take(self.core.on_deadline(self.now)) if due_ns <= self.now_ns else []

    def done(self, *works: Action, error: Exception | None = None) -> list[Action]:
        """All of these were carried out, or failed; what came of the last one."""
        actions: list[Action] = []
        for work in works:
            assert isinstance(work, Work)
            assert actions == []
            actions = self.take(self.core.handle(WorkDone(work.token, None, error), self.now))
        return actions


def only(actions: list[Action]) -> Send:
    (send,) = actions
    assert isinstance(send, Send)
    return send


def test_the_furthest_copy_of_the_highest_epoch_is_read_to_its_end() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(2, 1, 90, 7))
    stage.keep(TWO, KeptLog(3, 1, 4, 7))
    stage.keep(THREE, KeptLog(3, 1, 3, 7))
    ask = only(stage.wait())
    assert (ask.to.name, ask.message) == (TWO, ReadKeptLog(1))
    begin, write = stage.answer(ask, KeptRecords(3), piece(1, 2))
    assert begin == Work(BeginCopy(1, 0), BeginCopy(1, 0))
    assert isinstance(write, Work)
    assert write.task == WriteRecords(1, piece(1, 2))
    assert stage.done(begin) == []
    ask = only(stage.done(write))
    assert ask.message == ReadKeptLog(3)
    (write,) = stage.answer(ask, KeptRecords(5), piece(3, 4))
    assert stage.core.outcome is None
    stage.done(write)
    assert stage.core.outcome == Outcome(3, (ONE, TWO, THREE), TWO, KeptLog(3, 1, 4, 7))
    assert stage.core.next_deadline() is None


def test_a_copy_without_the_first_record_or_a_snapshot_is_not_taken() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(3, 50, 90, 7, 48))
    stage.keep(TWO, KeptLog(3, 1, 80, 7))
    assert only(stage.wait()).to.name == TWO


def test_a_copy_behind_a_cut_is_read_from_its_snapshot_on() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(3, 3, 5, 7, 3))
    assert stage.notes[-1].endswith("records 3 to 5 of epoch 3 and the snapshot of record 3")
    ask = only(stage.wait())
    assert (ask.to.name, ask.message) == (ONE, ReadKeptSnapshot(3, 0))
    part = KeptSnapshot(3, 0, 5, b"m")
    begin, write = stage.answer(ask, part, b"abc")
    assert begin == Work(BeginCopy(4, 0), BeginCopy(4, 0))
    assert write == Work(WriteSnapshot(part, b"abc"), WriteSnapshot(part, b"abc"))
    assert stage.done(begin) == []
    ask = only(stage.done(write))
    assert ask.message == ReadKeptSnapshot(3, 3)
    (write,) = stage.answer(ask, KeptSnapshot(3, 3, 5, b"m"), b"de")
    ask = only(stage.done(write))
    assert ask.message == ReadKeptLog(4)
    begin, write = stage.answer(ask, KeptRecords(6), piece(4, 5))
    assert isinstance(begin, Work)
    assert begin.task == BeginCopy(4, last_checksum(3))
    stage.done(begin, write)
    assert stage.core.outcome == Outcome(3, (ONE,), ONE, KeptLog(3, 3, 5, 7, 3), 3)


@pytest.mark.parametrize("last", [3, 2])
def test_a_snapshot_without_records_behind_it_is_enough(last: int) -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(3, 2, last, 7, 3))
    works = stage.answer(only(stage.wait()), KeptSnapshot(3, 0, 3, b"m"), b"abc")
    assert stage.done(*works) == []
    assert stage.core.outcome is not None
    assert stage.core.outcome.base == 3


def test_a_damaged_snapshot_is_left_for_all_records_and_then_for_the_next_best() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(3, 1, 5, 7, 3))
    stage.keep(TWO, KeptLog(3, 4, 4, 7, 3))
    ask = only(stage.wait())
    assert (ask.to.name, ask.message) == (ONE, ReadKeptSnapshot(3, 0))
    begin, write = stage.answer(ask, KeptSnapshot(3, 0, 3, b"m"), b"abc")
    assert stage.done(begin) == []
    ask = only(stage.done(write, error=Corrupt("another hash")))
    assert stage.notes[-1] == f"{ONE}: another hash"
    assert (ask.to.name, ask.message) == (ONE, ReadKeptLog(1))
    ask = only(stage.answer(ask, Failed.of(StorageFault("its disk failed"))))
    assert (ask.to.name, ask.message) == (TWO, ReadKeptSnapshot(3, 0))


@pytest.mark.parametrize(
    ("answer", "data"),
    [
        (KeptSnapshot(3, 0, 3, b"m"), b""),
        (KeptSnapshot(2, 0, 3, b"m"), b"abc"),
        (KeptSnapshot(3, 1, 3, b"m"), b"bc"),
    ],
)
def test_a_piece_that_was_not_asked_for_is_not_written(answer: KeptSnapshot, data: bytes) -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(3, 3, 5, 7, 3))
    assert stage.answer(only(stage.wait()), answer, data) == []
    assert f"{ONE}: the snapshot of record 3 cannot be read" in stage.notes
    assert isinstance(stage.core.error, NotFound)


def test_it_begins_as_soon_as_the_named_number_is_there() -> None:
    stage = Stage(2)
    assert stage.keep(ONE, KeptLog(1, 1, 2, 7)) == []
    (ask,) = stage.keep(TWO, KeptLog(0, 0, 0, 0))
    assert isinstance(ask, Send)
    assert ask.to.name == ONE


def test_each_node_that_comes_prolongs_the_wait() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(1, 1, 2, 7))
    assert stage.wait(QUIET_NS - 1) == []
    stage.keep(TWO, KeptLog(1, 1, 3, 7))
    assert stage.wait(QUIET_NS - 1) == []
    assert only(stage.wait(1)).to.name == TWO


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (piece(1, 2)[:-1] + b"?", "record 2 of its log cannot be read"),
        (piece(1, 1) + piece(3, 3), "record 2 of its log cannot be read"),
        (piece(1, 1) + records(2, 2), "record 2 of its log does not follow"),
        (b"", "record 1 of its log cannot be read"),
    ],
)
def test_a_copy_that_does_not_verify_is_left_for_the_next_best(payload: bytes, said: str) -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(1, 1, 3, 7))
    stage.keep(TWO, KeptLog(1, 1, 2, 7))
    ask = only(stage.wait())
    ask = only(stage.answer(ask, KeptRecords(3), payload))
    assert said in stage.notes[-1]
    assert (ask.to.name, ask.message) == (TWO, ReadKeptLog(1))
    stage.done(*stage.answer(ask, KeptRecords(3), piece(1, 2)))
    assert stage.core.outcome is not None
    assert stage.core.outcome.node == TWO


def test_a_node_that_cannot_read_its_copy_is_left_and_without_another_it_ends() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(1, 1, 3, 7))
    ask = only(stage.wait())
    stage.answer(ask, Failed.of(StorageFault("its disk failed")))
    assert isinstance(stage.core.error, NotFound)
    assert "admin restore DIR" in stage.core.error.message
    assert "--from-chunks" in stage.core.error.message


def test_a_node_that_went_away_is_asked_again_when_it_is_back() -> None:
    stage = Stage()
    ask = stage.register(ONE)
    assert ask is not None
    assert stage.register(ONE) is None
    stage.take(stage.core.handle(LinkLost(ask.to, 1, "it broke"), stage.now))
    stage.keep(ONE, KeptLog(1, 1, 2, 7))
    read = only(stage.wait())
    stage.take(stage.core.handle(LinkLost(ask.to, 1, "it broke"), stage.now))
    assert stage.answer(read, KeptRecords(3), piece(1, 2)) == []  # too late
    again = stage.register(ONE)
    assert again is not None
    assert again.message == ReadKeptLog(1)


def test_when_nobody_answers_any_more_it_ends() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(1, 1, 3, 7))
    stage.wait()
    assert stage.wait(REBUILD_STALL_NS) == []
    assert isinstance(stage.core.error, Unavailable)
    assert ONE in stage.core.error.message


def test_what_was_read_is_written_before_it_is_over_whoever_registers_meanwhile() -> None:
    """A datanode that is refused registers again and again, and checking a snapshot takes long."""
    stage = Stage()
    stage.keep(ONE, KeptLog(3, 3, 5, 7, 3))
    begin, write = stage.answer(only(stage.wait()), KeptSnapshot(3, 0, 3, b"m"), b"abc")
    assert stage.register(ONE) is None
    assert stage.core.next_deadline() is None
    stage.done(begin)
    assert stage.register(ONE) is None
    begin, write = stage.answer(only(stage.done(write)), KeptRecords(6), piece(4, 5))
    assert stage.register(ONE) is None
    assert stage.done(begin) == []
    assert stage.core.outcome is None
    stage.done(write)
    assert stage.core.outcome is not None


def test_what_is_still_written_of_a_damaged_copy_is_not_taken_for_the_next_best() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(3, 1, 5, 7))
    stage.keep(TWO, KeptLog(3, 1, 4, 7))
    begin, write = stage.answer(only(stage.wait()), KeptRecords(6), piece(1, 5))
    assert stage.done(begin, error=Corrupt("it does not follow")) == []
    ask = only(stage.done(write, error=Corrupt("it has no beginning")))
    assert stage.notes[-1] == f"{ONE}: it does not follow"
    assert ask.to.name == TWO
    stage.done(*stage.answer(ask, KeptRecords(5), piece(1, 4)))
    assert stage.core.outcome is not None
    assert stage.core.outcome.node == TWO


def test_whoever_checks_a_long_copy_is_waited_for() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(1, 1, 3, 7))
    slow = stage.register(TWO)
    assert slow is not None
    assert stage.wait() == []
    assert stage.notes[-1] == f"{TWO} has yet to say what it keeps: waiting for it"
    stage.answer(slow, KeptLog(1, 1, 5, 7))
    assert only(stage.wait()).to.name == TWO


def test_whoever_never_says_what_it_keeps_ends_it() -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(1, 1, 3, 7))
    stage.register(TWO)
    stage.wait()
    assert stage.wait(REBUILD_STALL_NS) == []
    assert isinstance(stage.core.error, Unavailable)
    assert f"{TWO} did not answer any more" in stage.core.error.message


def test_when_nobody_comes_it_ends() -> None:
    stage = Stage()
    stage.wait()
    assert isinstance(stage.core.error, Unavailable)
    assert "no datanode came" in stage.core.error.message


@pytest.mark.parametrize("error", [StorageFault("full"), ValueError("odd")])
def test_when_the_new_log_cannot_be_written_it_ends(error: Exception) -> None:
    stage = Stage()
    stage.keep(ONE, KeptLog(1, 1, 3, 7))
    begin, _ = stage.answer(only(stage.wait()), KeptRecords(3), piece(1, 2))
    stage.done(begin, error=error)
    assert isinstance(stage.core.error, DfsError)
    assert str(error) in stage.core.error.message


def test_others_are_told_to_wait() -> None:
    stage = Stage()
    (reply,) = stage.tell(ONE, Ping())
    assert isinstance(reply, Reply)
    assert reply.message == Failed.of(Unavailable(BUSY))


def test_chunks_are_listed_page_by_page_on_all_nodes() -> None:
    stage = Stage(from_chunks=True)
    stage.keep(ONE, KeptLog(1, 1, 3, 7))
    refused = stage.register(TWO)
    assert refused is not None
    stage.answer(refused, Failed.of(StorageFault("no log here")))
    first, second = stage.wait()
    assert isinstance(first, Send)
    assert isinstance(second, Send)
    assert first.message == second.message == ListChunks()
    following = ListChunks(0, 5, 1)
    more = only(stage.answer(first, ChunkList((CHUNK,), following)))
    assert more.message == following
    stage.answer(more, ChunkList(()))
    assert stage.core.outcome is None
    stage.take(stage.core.handle(LinkLost(second.to, 1, "it broke"), stage.now))
    again = stage.register(TWO)
    assert again is not None
    stage.answer(again, ChunkList((CHUNK,)))
    assert stage.core.outcome == Outcome(3, (ONE, TWO), chunks=(CHUNK, CHUNK))


def test_a_node_that_cannot_list_its_chunks_ends_it() -> None:
    stage = Stage(from_chunks=True)
    stage.keep(ONE, KeptLog(1, 1, 3, 7))
    stage.answer(only(stage.wait()), Failed.of(StorageFault("its disk failed")))
    assert isinstance(stage.core.error, StorageFault)
