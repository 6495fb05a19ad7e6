"""A keeper of the log that joins after the log was cut gets the newest snapshot, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from dfs.errors import Corrupt, DfsError, StorageFault, Unavailable
from dfs.events import Action, Send, Work, WorkDone
from dfs.limits import FRAME_BYTES, KEEPER_BROKEN_NS, KEEPER_LOOK_NS, KEEPER_PAUSE_MAX_NS
from dfs.manifest import Manifest, render
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.keepers import Keepers
from dfs.namenode.log import Log
from dfs.namenode.module import LogCopies
from dfs.namenode.snapshots import ReadSnapshot
from dfs.testing.disk import MemoryDisk
from dfs.wire.common import Failed
from dfs.wire.keeper import AppendLog, BeginLog, GetKeptLog, KeepSnapshot, KeptLog, LogKept
from tests.metadata.counting import CLUSTER, MODULES, SEGMENT_BYTES
from tests.metadata.test_keepers import BETA, DELTA, GAMMA, HERE, Stage, checksum_of


def manifest(index: int, size: int = 5) -> Manifest:
    return Manifest("c-test", index, "rows", size, "ab" * 32)


@dataclass
class Held:
    """Snapshots of which the newest is told."""

    newest: Manifest | None
    doubted: list[int] = field(default_factory=list)

    def doubt(self, index: int) -> list[Action]:
        self.doubted.append(index)
        return []


class CutStage(Stage):
    """The log begins with record 11, behind a snapshot; ``reads`` are the pieces asked for."""

    def __init__(self, *nodes: str) -> None:
        super().__init__(*nodes)
        self.log = Log.begin(MemoryDisk(), CommandCodec(MODULES), CLUSTER, 11, SEGMENT_BYTES)
        self.keepers = Keepers(HERE, None, self.nodes, self.table, self.log)
        self.held = Held(manifest(10))
        self.keepers.send_newest_of(self.held)
        self.reads: list[Work] = []

    def _take(self, actions: Sequence[object]) -> list[Send]:
        self.reads += [a for a in actions if isinstance(a, Work)]
        return super()._take(actions)

    def read(self, data: bytes = b"", error: Exception | None = None) -> list[Send]:
        """The piece that is waited for was read."""
        work = self.reads.pop(0)
        event = WorkDone(work.token, data, error)
        assert self.keepers.takes(event)
        return self._take(self.keepers.handle(event, self.now)) + self.run()

    def begin(self) -> Send:
        """The keeper holds nothing; it has begun a copy and was sent all records."""
        (ask,) = self.run()
        (begin,) = self.answer(ask, KeptLog(0, 0, 0, 0))
        assert begin.message == BeginLog(3, 11, 0)
        (records,) = self.answer(begin, LogKept(10))
        return records


def test_a_keeper_that_joins_after_a_cut_counts_once_it_has_the_snapshot_too() -> None:
    stage = CutStage("datanode-1", BETA)
    stage.write(5)
    records = stage.begin()
    assert records.message == AppendLog(3, 11, False)
    assert stage.answer(records, LogKept(15)) == []
    assert stage.keepers.copies == LogCopies(2, 1)
    assert [work.task for work in stage.reads] == [ReadSnapshot(10, 0, FRAME_BYTES)]
    (first,) = stage.read(b"abc")
    assert first.message == KeepSnapshot(3, 0, render(manifest(10)))
    assert first.payload == b"abc"
    assert stage.answer(first, LogKept(15)) == []
    assert [work.task for work in stage.reads] == [ReadSnapshot(10, 3, FRAME_BYTES)]
    (second,) = stage.read(b"de")
    assert second.message == KeepSnapshot(3, 3, render(manifest(10)))
    (end,) = stage.answer(second, LogKept(15))
    assert (end.message, end.payload) == (AppendLog(3, 16, True), b"")
    stage.answer(end, LogKept(15))
    assert stage.keepers.copies == LogCopies(2, 2)
    assert stage.keepers.agreed_index == 15
    assert f"{BETA} keeps the snapshot of record 10" in stage.notes
    assert stage.reads == []


def test_a_newer_snapshot_goes_to_a_keeper_in_step_beside_the_records() -> None:
    stage = CutStage("datanode-1", BETA)
    stage.write(5)
    (ask,) = stage.run()
    (end,) = stage.answer(ask, KeptLog(3, 11, 15, stage.log.checksum, 10))
    stage.answer(end, LogKept(15))
    assert stage.reads == []
    stage.held.newest = manifest(14)
    assert stage.run() == []
    stage.write()
    (records,) = stage.run()
    stage.answer(records, LogKept(16))
    (piece,) = stage.read(b"abcde")
    stage.answer(piece, LogKept(16))
    assert stage.keepers.copies == LogCopies(2, 2)
    assert stage.notes[-1] == f"{BETA} keeps the snapshot of record 14"


def test_a_snapshot_that_made_way_for_a_newer_one_on_its_way_is_followed_by_that() -> None:
    stage = CutStage("datanode-1", BETA)
    stage.write(5)
    stage.answer(stage.begin(), LogKept(15))
    stage.held.newest = manifest(14)
    assert stage.read(error=FileNotFoundError("gone")) == []
    assert [work.task for work in stage.reads] == [ReadSnapshot(14, 0, FRAME_BYTES)]
    assert stage.notes == []


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [(b"", StorageFault("a bad sector"), "a bad sector"), (b"", None, "its data end early")],
)
def test_a_snapshot_that_cannot_be_read_is_read_again_after_a_while(
    data: bytes, error: Exception | None, said: str
) -> None:
    stage = CutStage("datanode-1", BETA)
    stage.write(5)
    stage.answer(stage.begin(), LogKept(15))
    assert stage.read(data, error) == []
    assert stage.notes[-1] == f"{BETA} does not keep the snapshot of record 10: {said}"
    assert stage.keepers.copies == LogCopies(2, 1)
    assert stage.held.doubted == [10]
    stage.wait(KEEPER_BROKEN_NS - 1)
    assert stage.reads == []
    stage.wait(1)
    assert len(stage.reads) == 1


@pytest.mark.parametrize("error", [StorageFault("its disk is full"), Corrupt("another hash")])
def test_a_newer_snapshot_that_is_not_kept_leaves_a_keeper_in_step(error: DfsError) -> None:
    stage = CutStage("datanode-1", BETA)
    stage.write(5)
    (ask,) = stage.run()
    (end,) = stage.answer(ask, KeptLog(3, 11, 15, stage.log.checksum, 10))
    stage.answer(end, LogKept(15))
    stage.held.newest = manifest(14)
    stage.run()
    (piece,) = stage.read(b"abc")
    stage.answer(piece, Failed.of(error))
    assert stage.notes[-1] == f"{BETA} does not keep the snapshot of record 14: {error.message}"
    assert stage.held.doubted == ([14] if isinstance(error, Corrupt) else [])
    stage.write()
    (records,) = stage.run()
    stage.answer(records, LogKept(16))
    assert stage.keepers.copies == LogCopies(2, 2)
    assert stage.keepers.agreed_index == 16
    assert stage.reads == []
    stage.wait(KEEPER_BROKEN_NS)
    assert [work.task for work in stage.reads] == [ReadSnapshot(14, 0, FRAME_BYTES)]


def test_for_a_keeper_that_cannot_keep_its_beginning_another_is_taken() -> None:
    stage = CutStage("datanode-1", BETA, GAMMA, DELTA)
    stage.write(5)
    for ask in stage.run():
        (begin,) = stage.answer(ask, KeptLog(0, 0, 0, 0))
        (records,) = stage.answer(begin, LogKept(10))
        stage.answer(records, LogKept(15))
    assert [work.token.node for work in stage.reads] == [BETA, GAMMA]
    (piece,) = stage.read(b"abcde")
    stage.answer(piece, Failed.of(StorageFault("its disk is full")))
    stage.wait(KEEPER_LOOK_NS)
    assert DELTA in {send.to.name for send in stage.sent}


def test_a_datanode_that_has_yet_to_register_is_asked_again() -> None:
    stage = CutStage("datanode-1", BETA)
    stage.write(5)
    stage.answer(stage.begin(), LogKept(15))
    (piece,) = stage.read(b"abcde")
    stage.answer(piece, Failed.of(Unavailable("not registered")))
    assert stage.notes[-1] == f"{BETA} does not keep the log: not registered"
    (ask,) = stage.wait(KEEPER_PAUSE_MAX_NS)
    assert ask.message == GetKeptLog()


def test_a_snapshot_is_sent_behind_the_records_that_it_stands_for() -> None:
    stage = CutStage("datanode-1", BETA)
    stage.write(5)
    stage.held.newest = manifest(14)
    records = stage.begin()
    assert stage.reads == []
    stage.answer(records, LogKept(15))
    assert [work.task for work in stage.reads] == [ReadSnapshot(14, 0, FRAME_BYTES)]


def test_a_copy_whose_snapshot_reaches_beyond_its_records_is_begun_anew() -> None:
    """Nobody can tell whether such a snapshot is of this history."""
    stage = CutStage("datanode-1", BETA)
    stage.write(5)
    (ask,) = stage.run()
    found = KeptLog(3, 11, 12, checksum_of(stage.log, 12), 14)
    (begin,) = stage.answer(ask, found)
    assert begin.message == BeginLog(3, 11, 0)


def test_what_was_read_for_a_keeper_that_is_gone_is_dropped() -> None:
    stage = CutStage("datanode-1", BETA)
    stage.write(5)
    stage.answer(stage.begin(), LogKept(15))
    stage.lose(BETA)
    assert stage.read(b"abcde") == []
