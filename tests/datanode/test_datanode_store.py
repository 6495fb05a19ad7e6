"""The chunk store over both disks: what it keeps, what a crash leaves, what damage does."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.checksum import chunk_digest, slice_hashes
from dfs.datanode import tasks
from dfs.datanode.chunkfile import Footer, ReplicaKey, file_bytes, sealed_path, unfinished_path
from dfs.datanode.store import ChunkStore
from dfs.disk import Disk, LocalDisk, read_whole
from dfs.errors import Corrupt, DfsError, NotFound, StorageFault
from dfs.limits import FRAME_BYTES, SLICE_BYTES
from dfs.testing.disk import Halted, MemoryDisk
from tests import damage

CLUSTER = "c-demo"
KEY = ReplicaKey(0xABC, 1)
SIZES = [1, SLICE_BYTES - 1, SLICE_BYTES, SLICE_BYTES + 1, FRAME_BYTES, 2 * FRAME_BYTES + 77]


def content(length: int) -> bytes:
    return Random(length).randbytes(length)


def footer_of(key: ReplicaKey, data: bytes) -> Footer:
    hashes = slice_hashes(data)
    return Footer(key, len(data), chunk_digest(CLUSTER, *key, len(data), hashes), hashes)


def fill(store: ChunkStore, key: ReplicaKey, data: bytes, size_hint: int = 0) -> None:
    store.execute(tasks.OpenFile(key, 7, 0, "/a/b", size_hint))
    for at in range(0, len(data), FRAME_BYTES):
        store.execute(tasks.WriteSlices(key, at, data[at : at + FRAME_BYTES]))


def put(store: ChunkStore, key: ReplicaKey, data: bytes, size_hint: int = 0) -> None:
    fill(store, key, data, size_hint)
    store.execute(tasks.SealFile(footer_of(key, data)))


def get(store: ChunkStore, key: ReplicaKey, length: int) -> bytes:
    frames = range(0, length, FRAME_BYTES)
    parts = [
        store.execute(tasks.ReadSlices(key, at, min(FRAME_BYTES, length - at))) for at in frames
    ]
    return b"".join(part.data for part in parts)


@pytest.fixture(params=["local", "memory"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return LocalDisk(tmp_path) if request.param == "local" else MemoryDisk()


@pytest.mark.parametrize("length", SIZES)
@pytest.mark.parametrize("hint", [0, 4 * FRAME_BYTES])
def test_what_was_sealed_is_read(disk: Disk, length: int, hint: int) -> None:
    store, data = ChunkStore(disk, CLUSTER), content(length)
    put(store, KEY, data, hint)
    assert get(store, KEY, length) == data
    store.execute(tasks.CheckFile(KEY))
    assert store.execute(tasks.ReadFooter(KEY)) == footer_of(KEY, data)
    file = disk.open(sealed_path(KEY))
    assert file.size() == file_bytes(length)
    file.close()
    assert not disk.exists(unfinished_path(KEY))


def test_a_new_store_finds_what_the_old_one_sealed(disk: Disk) -> None:
    store = ChunkStore(disk, CLUSTER)
    keys = [ReplicaKey(n * 0x81, n) for n in range(1, 6)]
    for key in keys:
        put(store, key, content(key.chunk))
    fill(store, KEY, content(1000))
    store.execute(tasks.TrashFiles((keys[4],)))
    store.execute(tasks.SaveEpoch(3))
    store.execute(tasks.SaveEpoch(4))

    scan = ChunkStore(disk, CLUSTER).scan()
    assert sorted(scan.replicas) == [(key, key.chunk) for key in keys[:4]]
    assert scan.trash == [keys[4]]
    assert scan.highest_chunk == keys[4].chunk
    assert scan.epoch == 4
    assert scan.remarks == []
    assert not disk.exists(unfinished_path(KEY))


def test_an_empty_store_holds_nothing(disk: Disk) -> None:
    assert ChunkStore(disk, CLUSTER).scan() == tasks.Scan([], [], 0, 0, [])


def test_odd_files_are_named_and_one_of_wrong_size_is_quarantined(disk: Disk) -> None:
    store = ChunkStore(disk, CLUSTER)
    put(store, KEY, content(100))
    disk.create("chunks/bc/notes.txt").close()
    file = disk.open(sealed_path(KEY), write=True)
    file.truncate(4100)
    file.close()
    scan = store.scan()
    assert scan.replicas == []
    assert scan.highest_chunk == KEY.chunk
    assert len(scan.remarks) == 2
    assert disk.names("quarantine") == [sealed_path(KEY).rpartition("/")[2]]
    assert disk.names("chunks/bc") == ["notes.txt"]


def test_a_damaged_epoch_is_never_taken_for_another(disk: Disk) -> None:
    store = ChunkStore(disk, CLUSTER)
    store.execute(tasks.SaveEpoch(17))
    for damaged in damage.every_damage(read_whole(disk, "EPOCH")):
        damage.put(disk, "EPOCH", damaged)
        with pytest.raises(Corrupt, match=r"^EPOCH is damaged: remove it once no older namenode"):
            store.scan()
    disk.unlink("EPOCH")
    assert store.scan().epoch == 0


@pytest.mark.parametrize(
    "task", [tasks.MeasureSpace(), tasks.SaveEpoch(3), tasks.OpenFile(KEY, 7, 0, "/a/b", 9)]
)
def test_where_another_folder_has_the_place_of_the_volume_nothing_is_written(
    tmp_path: Path, task: tasks.Task
) -> None:
    place = tmp_path / "volume"
    store = ChunkStore(LocalDisk(place), CLUSTER)
    place.rename(tmp_path / "unmounted")
    place.mkdir()
    with pytest.raises(tasks.VolumeFailed, match="the folder that was opened is not there"):
        store.execute(task)
    with pytest.raises(tasks.VolumeFailed, match=r"failed earlier|is not there any more"):
        store.execute(task)
    assert list(place.iterdir()) == []
    place.rmdir()
    with pytest.raises(tasks.VolumeFailed):
        store.execute(task)


def test_deleting_and_setting_aside_can_be_repeated(disk: Disk) -> None:
    store = ChunkStore(disk, CLUSTER)
    put(store, KEY, content(10))
    for _ in range(2):
        store.execute(tasks.TrashFiles((KEY,)))
        assert len(disk.names("trash")) == 1
    for _ in range(2):
        store.execute(tasks.EmptyTrash((KEY,)))
        assert disk.names("trash") == []
    for _ in range(2):
        store.execute(tasks.QuarantineFile(KEY))
        store.execute(tasks.DropFile(KEY))
    with pytest.raises(NotFound):
        store.execute(tasks.ReadSlices(KEY, 0, 10))


def test_a_dropped_file_can_be_begun_again(disk: Disk) -> None:
    store, data = ChunkStore(disk, CLUSTER), content(3000)
    fill(store, KEY, content(4000))
    store.execute(tasks.DropFile(KEY))
    with pytest.raises(StorageFault, match="given up"):
        store.execute(tasks.WriteSlices(KEY, 0, data))
    put(store, KEY, data)
    assert get(store, KEY, 3000) == data


def test_space_is_that_of_the_disk(disk: Disk) -> None:
    space = ChunkStore(disk, CLUSTER).execute(tasks.MeasureSpace())
    assert 0 < space.free_bytes <= space.capacity_bytes


@settings(max_examples=60, deadline=None)
@given(st.integers(0, file_bytes(70_000) - 1), st.integers(0, 7))
def test_no_flipped_bit_is_ever_served(at: int, bit: int) -> None:
    disk, data = MemoryDisk(), content(70_000)
    put(ChunkStore(disk, CLUSTER), KEY, data)
    disk.flip_bit(sealed_path(KEY), at, bit)
    store = ChunkStore(disk, CLUSTER)
    with pytest.raises(DfsError):
        store.execute(tasks.CheckFile(KEY))
    try:
        read = get(store, KEY, len(data))
    except DfsError:
        read = data  # an error is as good as the truth
    assert read == data


def test_swapped_files_are_found() -> None:
    disk = MemoryDisk()
    other = ReplicaKey(KEY.chunk + 256, 1)
    store = ChunkStore(disk, CLUSTER)
    put(store, KEY, content(10))
    put(store, other, content(10))
    disk.rename(sealed_path(KEY), "chunks/x")
    disk.rename(sealed_path(other), sealed_path(KEY))
    with pytest.raises(Corrupt, match="holds"):
        ChunkStore(disk, CLUSTER).execute(tasks.ReadSlices(KEY, 0, 10))


def test_a_replica_of_another_cluster_is_found() -> None:
    disk = MemoryDisk()
    put(ChunkStore(disk, CLUSTER), KEY, content(10))
    with pytest.raises(Corrupt, match="c-demo"):
        ChunkStore(disk, "c-other").execute(tasks.CheckFile(KEY))


def test_a_medium_that_cannot_be_read_counts_as_corrupt() -> None:
    disk = MemoryDisk()
    store = ChunkStore(disk, CLUSTER)
    put(store, KEY, content(10))
    disk.fail("read_at")
    with pytest.raises(Corrupt, match="cannot be read"):
        store.execute(tasks.ReadSlices(KEY, 0, 10))
    disk.fail("open", number=errno.EMFILE)
    with pytest.raises(StorageFault):
        store.execute(tasks.ReadSlices(KEY, 0, 10))
    assert get(store, KEY, 10) == content(10)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_after_a_fault_of_any_call_nothing_is_left_and_nothing_counts(number: int) -> None:
    data = content(9 * FRAME_BYTES)  # enough for early write-back
    clean = MemoryDisk()
    store = ChunkStore(clean, CLUSTER)
    before = clean.calls.total()
    put(store, KEY, data)
    for nth in range(1, clean.calls.total() - before + 1):
        disk = MemoryDisk()
        store = ChunkStore(disk, CLUSTER)
        disk.fail("*", nth, number)
        try:
            put(store, KEY, data)
        except StorageFault:
            with pytest.raises(StorageFault):
                store.execute(tasks.WriteSlices(KEY, 0, b"more"))
            assert disk.all_names() == []
            store = ChunkStore(disk, CLUSTER)  # after EIO only a new process writes again
            put(store, KEY, data)
        disk.crash()
        assert get(ChunkStore(disk, CLUSTER), KEY, len(data)) == data


def test_what_a_killed_process_sealed_counts_only_once_its_name_is_durable() -> None:
    disk = MemoryDisk()
    store = ChunkStore(disk, CLUSTER)
    fill(store, KEY, content(100))
    disk.halt("sync_folder")
    with pytest.raises(Halted):
        store.execute(tasks.SealFile(footer_of(KEY, content(100))))
    disk.gone()  # the process is, and what it wrote is still in the page cache
    assert ChunkStore(disk, CLUSTER).scan().replicas == [(KEY, 100)]
    disk.crash()
    store = ChunkStore(disk, CLUSTER)
    assert store.scan().replicas == [(KEY, 100)]
    assert get(store, KEY, 100) == content(100)


def test_a_full_disk_gives_its_room_back() -> None:
    disk = MemoryDisk(capacity_bytes=3 * FRAME_BYTES)
    store = ChunkStore(disk, CLUSTER)
    with pytest.raises(StorageFault, match="No space"):
        fill(store, KEY, content(3 * FRAME_BYTES))
    assert disk.space() == (3 * FRAME_BYTES, 3 * FRAME_BYTES)
    with pytest.raises(StorageFault, match="No space"):
        fill(store, KEY, b"x", size_hint=3 * FRAME_BYTES)
    assert disk.all_names() == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.randoms(use_true_random=False))
def test_a_crash_keeps_what_was_sealed_and_serves_nothing_else(steps: int, rng: Random) -> None:
    """Cut the power after any number of tasks: replicas whose seal returned are all there."""
    disk = MemoryDisk()
    store = ChunkStore(disk, CLUSTER)
    keys = [ReplicaKey(n, 1) for n in (1, 2, 3)]
    plan: list[tasks.Task] = []
    for key in keys:
        data = content(key.chunk * 1000)
        plan += [
            tasks.OpenFile(key, 7, 0, "/a", 5000),
            tasks.WriteSlices(key, 0, data),
            tasks.SealFile(footer_of(key, data)),
        ]
    plan += [tasks.TrashFiles((keys[0],)), tasks.EmptyTrash((keys[0],)), tasks.SaveEpoch(9)]
    for task in plan[:steps]:
        store.execute(task)
    disk.crash(rng)

    store = ChunkStore(disk, CLUSTER)
    scan = store.scan()
    done = plan[:steps]
    sealed = {task.footer.key for task in done if isinstance(task, tasks.SealFile)}
    deleted = {keys[0]} if plan[9] in done else set()
    assert sealed - deleted <= {key for key, _ in scan.replicas}
    assert not deleted & {key for key, _ in scan.replicas}
    assert scan.epoch == (9 if plan[11] in done else 0)
    for key, length in scan.replicas:
        assert get(store, key, length) == content(key.chunk * 1000)
