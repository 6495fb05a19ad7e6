"""Reading slices of a replica; what cannot be read is never served."""

from __future__ import annotations

import errno
from random import Random

import pytest

from dfs.checksum import slice_hashes
from dfs.datanode.chunkfile import ReplicaKey, sealed_path
from dfs.errors import BadArgument, ReplicaFault, Unavailable
from dfs.events import LinkLost
from dfs.limits import FRAME_BYTES, READS_RUNNING_MAX, READS_WAITING_MAX, SLICE_BYTES
from dfs.wire.data import ChunkSlices, ReadChunk
from dfs.wire.node import LostReplica, ReplicaId, ReplicaNews
from tests.datanode.hand_driven import READER, Node, delete, error_of, read

KEY = ReplicaKey(5, 1)
DATA = Random(5).randbytes(5 * FRAME_BYTES + 777)


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def holder(node: Node) -> Node:
    """A registered node that holds ``DATA``."""
    node.hold(KEY, DATA)
    node.register()
    return node


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, FRAME_BYTES),
        (SLICE_BYTES, SLICE_BYTES),
        (5 * FRAME_BYTES, 777),
        (5 * FRAME_BYTES, FRAME_BYTES),
    ],
)
def test_whole_slices_are_served(holder: Node, offset: int, length: int) -> None:
    reply = read(holder, KEY, offset, length)
    assert reply.message == ChunkSlices(offset)
    assert reply.payload == DATA[offset : offset + length]
    assert read(holder, KEY, offset, length, with_hashes=True).message.hashes == slice_hashes(DATA)


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (1, SLICE_BYTES),
        (0, 100),
        (0, 0),
        (0, -SLICE_BYTES),
        (-SLICE_BYTES, SLICE_BYTES),
        (0, FRAME_BYTES + SLICE_BYTES),
    ],
)
def test_other_ranges_are_refused(holder: Node, offset: int, length: int) -> None:
    assert isinstance(error_of(read(holder, KEY, offset, length).message), BadArgument)


def test_what_a_replica_should_have_and_has_not_is_the_fault_of_that_replica(
    holder: Node,
) -> None:
    fault = error_of(read(holder, KEY, 6 * FRAME_BYTES, SLICE_BYTES).message)
    assert isinstance(fault, ReplicaFault)
    assert f"ends at {len(DATA)} bytes" in fault.message


@pytest.mark.parametrize("key", [(5, 2), (6, 1), (-5, 1)])
def test_what_is_not_here_is_the_fault_of_one_replica(holder: Node, key: tuple[int, int]) -> None:
    holder.receive(READER, ReadChunk(*key, 0, SLICE_BYTES))
    assert isinstance(error_of(holder.said()[0]), ReplicaFault)


def test_a_damaged_replica_is_never_served_and_goes_to_quarantine(holder: Node) -> None:
    holder.disk.flip_bit(sealed_path(KEY), 4096 + FRAME_BYTES)
    assert read(holder, KEY, 0, FRAME_BYTES).payload == DATA[:FRAME_BYTES]
    holder.receive(READER, ReadChunk(*KEY, FRAME_BYTES, FRAME_BYTES))
    holder.run_work()
    failed, news = holder.said()
    assert isinstance(error_of(failed), ReplicaFault)
    lost = LostReplica(ReplicaId(*KEY, len(DATA)), "corrupt")
    assert news == ReplicaNews(2, lost=(lost,))
    assert holder.files() == []
    assert len(holder.disk.names("quarantine")) == 1
    assert isinstance(error_of(read(holder, KEY, 0, FRAME_BYTES).message), ReplicaFault)


def test_a_file_that_vanished_is_reported_as_missing(holder: Node) -> None:
    holder.disk.unlink(sealed_path(KEY))
    holder.receive(READER, ReadChunk(*KEY, 0, FRAME_BYTES))
    holder.run_work()
    lost = LostReplica(ReplicaId(*KEY, len(DATA)), "missing")
    assert ReplicaNews(2, lost=(lost,)) in holder.said()


def test_a_fault_that_proves_nothing_costs_no_replica(holder: Node) -> None:
    holder.disk.fail("open", number=errno.EMFILE)
    assert isinstance(error_of(read(holder, KEY, 0, FRAME_BYTES).message), ReplicaFault)
    assert read(holder, KEY, 0, FRAME_BYTES).payload == DATA[:FRAME_BYTES]


def test_reads_wait_for_their_turn_within_a_bound(holder: Node) -> None:
    for number in range(READS_RUNNING_MAX + READS_WAITING_MAX + 1):
        origin = READER._replace(request=number)
        holder.receive(origin, ReadChunk(*KEY, 0, SLICE_BYTES))
    assert len(holder.work) == READS_RUNNING_MAX
    (refused,) = holder.said()
    assert isinstance(error_of(refused), Unavailable)
    holder.run_work()
    replies = holder.take_out()
    assert [reply.origin.request for reply in replies] == list(
        range(READS_RUNNING_MAX + READS_WAITING_MAX)
    )


def test_nobody_reads_for_a_lost_connection(holder: Node) -> None:
    for number in range(READS_RUNNING_MAX + 5):
        holder.receive(READER._replace(request=number), ReadChunk(*KEY, 0, SLICE_BYTES))
    holder.event(LinkLost(READER.peer, READER.link, "gone"))
    holder.run_work()
    assert len(holder.take_out()) == READS_RUNNING_MAX


def test_a_read_that_waited_for_a_deleted_replica_is_told_so(holder: Node) -> None:
    for number in range(READS_RUNNING_MAX + 1):
        holder.receive(READER._replace(request=number), ReadChunk(*KEY, 0, SLICE_BYTES))
    delete(holder, KEY)
    holder.run_work()
    answers = {reply.origin.request: reply.message for reply in holder.take_out()}
    assert isinstance(error_of(answers[READS_RUNNING_MAX]), ReplicaFault)
