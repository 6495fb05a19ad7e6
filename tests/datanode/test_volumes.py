"""Several data folders: where replicas go, what a failed or full disk means, and the start."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfs.checksum import chunk_digest, slice_hashes
from dfs.config import Cluster, Config, Datanode, Reserve
from dfs.datanode import tasks
from dfs.datanode.chunkfile import ReplicaKey, sealed_path
from dfs.datanode.folders import DataFolders, open_folders
from dfs.datanode.volumes import EpochToken, SpaceToken, Volumes
from dfs.errors import ConfigError, StorageFault
from dfs.events import Note, Work, WorkDone
from dfs.limits import FRAME_BYTES, GIB, MIB, SLICE_BYTES
from dfs.testing.disk import MemoryDisk
from dfs.wire.common import Failed, Ok
from dfs.wire.data import ChunkData, ChunkOpened, ChunkSealed, ChunkSlices, OpenChunk
from dfs.wire.node import (
    CheckReplica,
    CopyReplica,
    DeleteReplicas,
    Heartbeat,
    ReplicaId,
    ReplicaNews,
)
from tests.datanode.hand_driven import READER, Node, Wire, Writer, failure, give
from tests.datanode.hand_driven import read as read_slices
from tests.datanode.test_datanode_store import CLUSTER, content, put

KEY = ReplicaKey(0xABC, 1)
HOUR_NS = 3600 * 10**9


def volume(name: str, free_bytes: int, fault: str = "") -> tasks.VolumeFound:
    space = tasks.SpaceMeasured(100 * GIB, free_bytes)
    return tasks.VolumeFound(name, tasks.Scan.empty(), space, GIB, fault)


def two_disks() -> Node:
    return Node("datanode-1", MemoryDisk(), MemoryDisk())


def open_chunk(node: Node, chunk: int, size_hint: int = MIB) -> None:
    order = OpenChunk(chunk, 1, 1, 0, "/a", size_hint)
    node.receive(READER._replace(request=chunk), order)
    node.run_work()


# Where a replica goes.


def test_a_replica_goes_where_most_room_is_and_equals_take_turns() -> None:
    volumes = Volumes([volume("a", 3 * GIB), volume("b", 5 * GIB), volume("c", 5 * GIB)])
    assert [volumes.place(GIB) for _ in range(5)] == [1, 2, 1, 2, 0]
    assert (volumes.room_bytes, volumes.largest_room_bytes) == (5 * GIB, 2 * GIB)
    assert volumes.place(3 * GIB) is None
    assert [volumes.place(2 * GIB) for _ in range(3)] == [1, 2, None]
    assert volumes.place(GIB) == 0
    assert volumes.place(1) is None
    assert volumes.room_bytes == 0


def test_a_volume_that_failed_counts_for_nothing_and_says_so_once() -> None:
    volumes = Volumes([volume("a", 3 * GIB), volume("b", 9 * GIB), volume("c", 9 * GIB, "gone")])
    assert volumes.capacity_bytes == 200 * GIB
    (note,) = volumes.work_failed(tasks.VolumeFailed("Input/output error" * 99, volume=1))
    assert isinstance(note, Note)
    assert "the volume b failed" in note.text
    assert volumes.work_failed(tasks.VolumeFailed("again", volume=1)) == []
    assert (volumes.capacity_bytes, volumes.room_bytes) == (100 * GIB, 2 * GIB)
    assert volumes.largest_room_bytes == 2 * GIB
    assert [line[:8] for line in volumes.failed] == ["b: Input", "c: gone"]
    assert volumes.place(GIB) == 0
    assert volumes.is_short(1)
    assert [work.token for work in volumes.measure() if isinstance(work, Work)] == [SpaceToken(0)]


def test_a_full_disk_is_measured_again_and_is_not_a_failed_one() -> None:
    volumes = Volumes([volume("a", 3 * GIB)])
    (work,) = volumes.work_failed(tasks.DiskFull("No space left on device"))
    assert isinstance(work, Work)
    assert volumes.measure() == []  # it is under way
    volumes.measured(SpaceToken(0), WorkDone(work.token, tasks.SpaceMeasured(GIB, GIB)))
    assert (volumes.failed, volumes.place(1)) == ((), None)
    (note,) = volumes.measured(SpaceToken(0), WorkDone(work.token, error=StorageFault("odd")))
    assert note == Note("cannot measure a: odd")


def test_the_epoch_counts_when_all_are_done_and_one_kept_it() -> None:
    volumes = Volumes([volume("a", 0), volume("b", 0), volume("c", 0, "gone")])
    works = volumes.save_epoch(7)
    assert [work.token for work in works if isinstance(work, Work)] == [
        EpochToken(0, 7),
        EpochToken(1, 7),
    ]
    fault = WorkDone(None, error=StorageFault("no"))
    assert volumes.epoch_saved(EpochToken(0, 7), WorkDone(None)) is None
    assert volumes.epoch_saved(EpochToken(0, 7), WorkDone(None)) is None
    assert volumes.epoch_saved(EpochToken(1, 7), fault) is True
    volumes.save_epoch(8)
    assert volumes.epoch_saved(EpochToken(0, 8), fault) is None
    assert volumes.epoch_saved(EpochToken(1, 8), fault) is False


# A node with two disks.


def test_chunks_spread_over_the_disks_and_each_is_read_and_deleted_where_it_lies() -> None:
    node = two_disks()
    keys = [ReplicaKey(chunk, 1) for chunk in range(1, 7)]
    wire = Wire(1)
    node.register()
    wire.nodes["datanode-1"] = node
    for key in keys:
        writer = Writer(wire, content(70_000))
        writer.key, writer.request = key, 10 * key.chunk
        writer.open("datanode-1")
        writer.send()
        assert writer.seal() == [writer.receipts("datanode-1")]
    names = [sorted(n for n in disk.all_names() if ".chunk" in n) for disk in node.disks]
    assert [len(found) for found in names] == [3, 3]
    node.boot()
    node.register()
    for key in keys:
        assert read_slices(node, key, 0, SLICE_BYTES).payload == content(70_000)[:SLICE_BYTES]
    unknown = ReplicaId(99, 1, 0)
    held = tuple(ReplicaId(*key, 70_000) for key in keys)
    give(node, DeleteReplicas(1, (*held, unknown)))
    node.run_work()
    assert node.said()[-1] == Ok()
    assert [len(disk.names("trash")) for disk in node.disks] == [3, 3]
    node.pass_time(HOUR_NS)
    assert [disk.names("trash") for disk in node.disks] == [[], []]


def test_a_disk_that_fails_takes_no_more_writes_and_is_still_read() -> None:
    node = two_disks()
    node.hold(KEY, content(70_000), volume=0)
    node.register(heartbeat_ns=10**9)
    open_chunk(node, 1)  # on the second disk, which has more room
    assert node.said() == [ChunkOpened(0)]
    node.disks[0].fail("create")
    open_chunk(node, 2)
    assert isinstance(failure(node.said()), StorageFault)
    for chunk in range(3, 6):
        open_chunk(node, chunk)
    assert node.said() == [ChunkOpened(0)] * 3
    assert [name for name in node.disks[0].all_names() if name.endswith(".tmp")] == []
    assert len([name for name in node.disks[1].all_names() if name.endswith(".tmp")]) == 4
    assert isinstance(read_slices(node, KEY, 0, SLICE_BYTES).message, ChunkSlices)

    node.pass_time(10**9)
    beats = [message for message in node.said() if isinstance(message, Heartbeat)]
    assert beats[-1].failed_volumes[0].startswith("/disk-0: OpenFile: ")
    assert beats[-1].capacity_bytes == node.disks[1].capacity_bytes
    node.disks[0].flip_bit(sealed_path(KEY), 5000)
    assert isinstance(read_slices(node, KEY, 0, SLICE_BYTES).message, Failed)
    node.pass_time(10**10)
    assert any(
        isinstance(m, ReplicaNews) and m.lost and m.lost[0].reason == "corrupt" for m in node.said()
    )


def test_a_write_under_way_ends_when_its_disk_fails() -> None:
    node = two_disks()
    node.register()
    open_chunk(node, 1)
    open_chunk(node, 2)
    open_chunk(node, 3)  # the first and the third lie on the first disk
    node.take_out()
    wire = Wire(1)
    wire.nodes["datanode-1"] = node
    node.disks[0].fail("write_at")
    writer = Writer(wire, content(1000))
    writer.first = node

    def send(chunk: int) -> list[object]:
        data = content(1000)
        origin = READER._replace(request=chunk)
        node.receive(origin, ChunkData(0, slice_hashes(data)), data)
        node.run_work()
        return node.said()

    assert isinstance(failure(send(1)), StorageFault)
    assert isinstance(failure(send(3)), StorageFault)
    assert not isinstance(send(2)[0], Failed)
    assert sum("volume /disk-0 failed" in note for note in node.notes) == 1


def test_the_epoch_is_saved_on_every_healthy_disk_and_the_highest_counts() -> None:
    node = two_disks()
    node.disks[0].fail("sync")
    node.register(epoch=5)
    assert [disk.exists("EPOCH") for disk in node.disks] == [False, True]
    assert any("/disk-0 failed" in note for note in node.notes)
    node.boot()
    assert node.core._registration.epoch == 5
    node.disks[0].fail("sync")
    node.disks[1].fail("sync")
    node.register(epoch=6)
    assert any("no volume could save the epoch" in note for note in node.notes)
    assert node.core._registration.epoch == 5
    node.pass_time(10**10)
    node.register(epoch=6)
    assert any("no volume is left to save the epoch on" in note for note in node.notes)


# The start.


def config(*dirs: Path | str) -> Config:
    return Config(
        Cluster("c-demo"), datanode=Datanode(dirs=tuple(map(str, dirs)), reserve=Reserve(0, 0))
    )


def start(home: Path, *dirs: str, node: str = "datanode-1") -> DataFolders:
    folders = open_folders(config(*dirs), node, home, 10**18)
    folders.close()
    return folders


def test_a_folder_is_found_again_and_one_that_is_added_is_taken_in(tmp_path: Path) -> None:
    first = start(tmp_path, "a")
    put(first.stores[0], KEY, content(100))
    both = start(tmp_path, "a", "b")
    assert [v.scan.replicas for v in both.volumes] == [[(KEY, 100)], []]
    assert both.remarks == []
    turned = start(tmp_path, "b", "a")
    assert [v.scan.replicas for v in turned.volumes] == [[], [(KEY, 100)]]


def test_folders_of_others_and_folders_in_use_stop_the_start(tmp_path: Path) -> None:
    start(tmp_path, "a")
    start(tmp_path, "b", node="datanode-2")
    with pytest.raises(ConfigError, match="b belongs to datanode-2"):
        start(tmp_path, "a", "b")
    other = Config(Cluster("c-2"), datanode=Datanode(dirs=(str(tmp_path / "a"),)))
    with pytest.raises(ConfigError, match="belongs to cluster c-demo and not to c-2"):
        open_folders(other, "datanode-1", tmp_path, 10**18)
    held = open_folders(config("a", "c"), "datanode-1", tmp_path, 10**18)
    with pytest.raises(ConfigError, match="c is in use by another process"):
        start(tmp_path, "d", "c")
    held.close()
    start(tmp_path, "a", "c", "d")


def test_a_folder_that_cannot_be_used_is_left_out_until_none_is_left(tmp_path: Path) -> None:
    start(tmp_path, "a", "b")
    (tmp_path / "b" / "EPOCH").write_text("?")
    folders = start(tmp_path, "a", "b")
    assert len(folders.remarks) == 1
    assert folders.remarks[0].startswith(f"left out: {tmp_path}/b cannot be used: EPOCH is damaged")
    assert list(folders.stores) == [0]
    assert [bool(v.fault) for v in folders.volumes] == [False, True]
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "a").write_text("a file")
    with pytest.raises(StorageFault, match=r"a cannot be used.*; .*b cannot be used"):
        start(tmp_path, "a", "b")


@pytest.mark.parametrize("bad", [0, 1])
def test_a_replica_on_two_volumes_is_kept_where_it_verifies(tmp_path: Path, bad: int) -> None:
    folders = start(tmp_path, "a", "b", "c")
    for number in range(3):
        put(folders.stores[number], KEY, content(100))
    path = tmp_path / "abc"[bad] / sealed_path(KEY)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = start(tmp_path, "a", "b", "c")
    held = [v.scan.replicas for v in found.volumes]
    good = 1 if bad == 0 else 0
    assert held == [[(KEY, 100)] if number == good else [] for number in range(3)]
    assert len(found.remarks) == 2
    for number in range(3):
        aside = list((tmp_path / "abc"[number] / "quarantine").iterdir())
        assert len(aside) == (number != good)


# Every call of a disk fails once.

NEW = ReplicaKey(0xDEF, 1)
HELD, FRESH = content(70_000), content(FRAME_BYTES + 5)


def stage() -> tuple[Wire, Node]:
    """A node that holds one replica, beside one that holds another; the node's disk is swept."""
    wire = Wire(2)
    wire.nodes["datanode-2"].hold(NEW, FRESH)
    wire.nodes["datanode-2"].register()
    node = wire.nodes["datanode-1"]
    node.hold(KEY, HELD)
    node.register()
    return wire, node


def write(wire: Wire) -> list[Any]:
    writer = Writer(wire, FRESH)
    writer.key = NEW
    heard = writer.open("datanode-1")
    if heard == [ChunkOpened(0)]:
        heard = writer.send()
    return heard if any(isinstance(m, Failed) for m in heard) else heard + writer.seal()


def copy(wire: Wire) -> list[Any]:
    hashes = slice_hashes(FRESH)
    digest = chunk_digest(CLUSTER, *NEW, len(FRESH), hashes)
    sources = wire.addresses("datanode-2")
    order = CopyReplica(1, *NEW, len(FRESH), digest, 1, 0, "/a", sources)
    give(wire.nodes["datanode-1"], order)
    wire.run()
    return wire.heard


def remove(wire: Wire) -> list[Any]:
    give(wire.nodes["datanode-1"], DeleteReplicas(1, (ReplicaId(*KEY, len(HELD)),)))
    wire.run()
    return wire.heard


def read(wire: Wire) -> list[Any]:
    reply = read_slices(wire.nodes["datanode-1"], KEY, 0, SLICE_BYTES)
    if isinstance(reply.message, ChunkSlices):
        assert reply.payload == HELD[:SLICE_BYTES]
    return [reply.message]


def check(wire: Wire) -> list[Any]:
    give(wire.nodes["datanode-1"], CheckReplica(1, ReplicaId(*KEY, len(HELD))))
    wire.run()
    return wire.heard


def acknowledged(heard: list[Any]) -> bool:
    return isinstance(heard[-1], Ok | ChunkSealed | ChunkSlices)


def readable(node: Node, key: ReplicaKey, data: bytes) -> bool:
    """Does the node give out the whole replica? What it gives is compared."""
    for at in range(0, len(data), FRAME_BYTES):
        length = min(FRAME_BYTES, len(data) - at)
        reply = read_slices(node, key, at, length)
        if not isinstance(reply.message, ChunkSlices):
            return False
        assert reply.payload == data[at : at + length]
    return True


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("operation", [write, copy, remove, read, check])
def test_a_fault_of_any_call_is_clean(operation: Callable[[Wire], list[Any]], number: int) -> None:
    wire, node = stage()
    before = node.disk.calls.total()
    assert acknowledged(operation(wire))
    for nth in range(1, node.disk.calls.total() - before + 1):
        wire, node = stage()
        node.disk.fail("*", nth, number)
        heard = operation(wire)
        done = acknowledged(heard)
        assert done or isinstance(heard[-1], Failed), heard
        if operation in (write, copy):
            assert readable(node, NEW, FRESH) is done
            assert done or node.files() == [sealed_path(KEY)]
        node.disk.crash()
        node.boot()
        node.register()
        if operation in (write, copy):
            assert readable(node, NEW, FRESH) or not done
            assert readable(node, KEY, HELD)
        elif operation is remove:
            assert not (done and readable(node, KEY, HELD))
        else:  # unreadable once: it was set aside and reported
            lost = node.disk.names("quarantine") != []
            assert readable(node, KEY, HELD) or (lost and number == errno.EIO)
        open_chunk(node, 1)
        assert node.said() == [ChunkOpened(0)]


@pytest.mark.parametrize("call", ["sync", "sync_folder", "rename", "close"])
def test_after_a_failed_sync_no_write_is_acknowledged(call: str) -> None:
    wire = Wire(1)
    node = wire.nodes["datanode-1"]
    before = node.disk.calls[call]
    node.disk.fail(call)
    for chunk in range(1, 5):
        writer = Writer(wire, FRESH)
        writer.key, writer.request = ReplicaKey(chunk, 1), 10 * chunk
        heard = writer.open("datanode-1")
        heard += [] if isinstance(heard[-1], Failed) else writer.send()
        heard += [] if isinstance(heard[-1], Failed) else writer.seal()
        assert isinstance(heard[-1], Failed)
    assert node.disk.calls[call] == before + 1  # nor was it tried again
    assert node.files() == []
