"""What an older copy of the metadata gives up is set aside: it may have been acknowledged."""

from __future__ import annotations

from typing import Any

import pytest

from dfs.limits import ORPHAN_KEEP_NS, SECOND_NS
from dfs.namenode.keys import EPOCH, NEXT_CHUNK, get_number
from dfs.namenode.lost_history import ID_JUMP, begin_epoch, is_doubtful
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.appending import Append
from tests.namenode.conftest import Namenode
from tests.namenode.test_replication import packed

NODE = "datanode-1"
LENGTH = 4096
DIGEST = b"d" * 16


class Writer:
    """A file that is being written, a chunk on the only datanode for each ``write``."""

    def __init__(self, namenode: Namenode, path: str, *, appends: bool = False) -> None:
        self.namenode = namenode
        created = namenode.change(Append if appends else m.Create, path=path)
        self.inode = created.inode
        self.end = created.size
        self.sealed: m.SealedChunk | None = None
        self.chunks: list[int] = []

    def write(self) -> int:
        """Have a chunk allocated, and the one before it committed; the new one."""
        got = self.namenode.change(m.AddChunk, inode=self.inode, start=self.end, sealed=self.sealed)
        self.sealed = m.SealedChunk(got.chunk, 1, self.end, LENGTH, DIGEST, (NODE,))
        self.end += LENGTH
        self.chunks.append(got.chunk)
        return int(got.chunk)

    def close(self) -> None:
        self.namenode.change(
            m.CloseFile, inode=self.inode, size=self.end, digest=b"f" * 16, sealed=self.sealed
        )


@pytest.fixture
def copy(lone_namenode: Any) -> Namenode:
    """A namenode with one datanode, that will turn out to be an older copy."""
    lone_namenode.join(NODE)
    assert isinstance(lone_namenode, Namenode)
    return lone_namenode


def put_back(namenode: Namenode, *held: int) -> None:
    """It starts again as an older copy: the node has these chunks, and one that it never made."""
    to_come = get_number(namenode.table, NEXT_CHUNK, 1)
    namenode.restart()
    rows = packed(*((chunk, 1, LENGTH) for chunk in sorted({*held, to_come})))
    namenode.join(NODE, replicas=rows, highest=to_come)
    assert get_number(namenode.table, EPOCH, 1) > 1
    namenode.advance(5, beating=(NODE,))
    assert ordered(namenode, n.QuarantineReplicas) == [to_come]


def ordered(namenode: Namenode, kind: type[Any]) -> list[int]:
    """The chunks that the node was ordered to set aside or to delete; it does it."""
    found: list[int] = []
    while orders := namenode.orders(kind):
        for order in orders:
            found += [replica.chunk for replica in order.message.replicas]
            namenode.obey(order.to.name, order)
    return sorted(found)


def until_leases_end(namenode: Namenode) -> None:
    namenode.advance(namenode.times.lease_ns / SECOND_NS + 5, beating=(NODE,))


def test_all_chunks_of_a_file_that_was_being_written_are_set_aside(copy: Namenode) -> None:
    writer = Writer(copy, "/f")
    chunks = [writer.write() for _ in range(3)]
    put_back(copy, *chunks)
    until_leases_end(copy)
    assert ordered(copy, n.QuarantineReplicas) == chunks
    assert ordered(copy, n.DeleteReplicas) == []
    assert all(is_doubtful(copy.table, chunk) for chunk in chunks)


def test_of_a_file_that_was_appended_to_the_last_chunk_is_set_aside(copy: Namenode) -> None:
    copy.write("/f", lengths=(LENGTH,))
    (kept,) = copy.ask(m.Locate("/f")).chunks
    writer = Writer(copy, "/f", appends=True)
    chunk = writer.write()
    put_back(copy, kept.chunk, chunk)
    until_leases_end(copy)
    assert ordered(copy, n.QuarantineReplicas) == [chunk]
    assert ordered(copy, n.DeleteReplicas) == []
    assert copy.ask(m.Locate("/f")).chunks[0].chunk == kept.chunk


def test_what_its_writer_gives_up_after_all_is_set_aside(copy: Namenode) -> None:
    writer = Writer(copy, "/f")
    first, second = writer.write(), writer.write()
    put_back(copy, first, second)
    writer.sealed, writer.end = None, LENGTH
    third = writer.write()
    assert ordered(copy, n.QuarantineReplicas) == [second]
    copy.change(m.AbandonFile, inode=writer.inode)
    assert ordered(copy, n.QuarantineReplicas) == [first]
    assert ordered(copy, n.DeleteReplicas) == [third]


def test_a_chunk_that_the_close_leaves_out_is_set_aside(copy: Namenode) -> None:
    writer = Writer(copy, "/f")
    first, second = writer.write(), writer.write()
    put_back(copy, first, second)
    writer.sealed, writer.end = None, LENGTH
    writer.close()
    assert ordered(copy, n.QuarantineReplicas) == [second]
    assert ordered(copy, n.DeleteReplicas) == []


def test_a_writer_that_lives_on_may_commit_and_close(copy: Namenode) -> None:
    writer = Writer(copy, "/f")
    chunks = [writer.write(), writer.write()]
    put_back(copy, *chunks)
    writer.close()
    until_leases_end(copy)
    assert [chunk.chunk for chunk in copy.ask(m.Locate("/f")).chunks] == chunks
    assert ordered(copy, n.QuarantineReplicas) == ordered(copy, n.DeleteReplicas) == []


def test_what_somebody_removes_is_deleted_but_not_what_was_being_appended(copy: Namenode) -> None:
    copy.write("/f", lengths=(LENGTH,))
    (removed,) = copy.ask(m.Locate("/f")).chunks
    appended = Writer(copy, "/f", appends=True).write()
    put_back(copy, removed.chunk, appended)
    copy.change(m.Remove, path="/f", recursive=False, files_only=False)
    copy.advance(1, beating=(NODE,))
    assert ordered(copy, n.DeleteReplicas) == [removed.chunk]
    assert ordered(copy, n.QuarantineReplicas) == [appended]


def test_writes_that_began_afterwards_are_given_up_as_ever(copy: Namenode) -> None:
    put_back(copy)
    copy.session = 0
    writer = Writer(copy, "/f")
    chunks = [writer.write(), writer.write()]
    for chunk in chunks:
        copy.core.nodes.add_replica(NODE, chunk, 1)
    until_leases_end(copy)
    assert ordered(copy, n.DeleteReplicas) == chunks
    assert ordered(copy, n.QuarantineReplicas) == []


def test_a_replica_that_is_sealed_later_is_set_aside(copy: Namenode) -> None:
    chunk = Writer(copy, "/f").write()
    put_back(copy)
    until_leases_end(copy)
    assert ordered(copy, n.QuarantineReplicas) == []
    stored = n.StoredReplica(n.ReplicaId(chunk, 1, LENGTH), DIGEST)
    copy.tell(NODE, n.ReplicaNews(2, (stored,)))
    copy.advance(1, beating=(NODE,))
    assert ordered(copy, n.QuarantineReplicas) == [chunk]
    assert ordered(copy, n.DeleteReplicas) == []


def test_a_node_that_was_away_is_told_days_later(copy: Namenode) -> None:
    writer = Writer(copy, "/f")
    chunks = [writer.write(), writer.write()]
    put_back(copy)
    until_leases_end(copy)
    copy.restart()
    rows = packed(*((chunk, 1, LENGTH) for chunk in chunks))
    set_aside: set[int] = set()
    for _ in range(4):
        copy.join(NODE, replicas=rows)
        copy.advance(10, beating=(NODE,))
        set_aside |= {*ordered(copy, n.QuarantineReplicas)}
        assert ordered(copy, n.DeleteReplicas) == []
        copy.mono_ns += ORPHAN_KEEP_NS
        copy.settle()
    assert sorted(set_aside) == chunks


def test_a_newer_generation_than_is_known_here_is_left_alone(copy: Namenode) -> None:
    copy.write("/f", lengths=(LENGTH,))
    (chunk,) = copy.ask(m.Locate("/f")).chunks
    rows = packed((chunk.chunk, 1, LENGTH), (chunk.chunk, 2, LENGTH))
    for _ in range(4):
        copy.join(NODE, replicas=rows)
        copy.advance(10, beating=(NODE,))
        copy.mono_ns += ORPHAN_KEEP_NS
        copy.settle()
    assert ordered(copy, n.QuarantineReplicas) == ordered(copy, n.DeleteReplicas) == []


def test_no_id_is_given_out_again_however_often_a_copy_is_put_back() -> None:
    first = begin_epoch(1, 100, 1_800_000_000 * SECOND_NS)
    second = begin_epoch(1, 100, 1_800_000_001 * SECOND_NS)
    assert first.next_chunk >= 100 + ID_JUMP
    assert second.next_chunk - first.next_chunk >= 1 << 20
    assert second.epoch > first.epoch > 1


def test_a_clock_that_stands_wrong_cannot_turn_ids_back() -> None:
    raised = begin_epoch(7, 1 << 60, 0)
    assert (raised.epoch, raised.next_chunk) == (8, (1 << 60) + ID_JUMP)
