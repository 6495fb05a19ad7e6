"""Runs, segments, logs and bundles on a worker's disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from xxhash import xxh3_64_intdigest

from dfs.errors import NotFound
from mapreduce.errors import RunCorrupt
from mapreduce.limits import FETCH_MAX_BYTES
from mapreduce.shuffle.run_index import PartitionEntry, encode_index
from mapreduce.wire import BUNDLE_FOLDER, AttemptId, RunHeld, SegmentPiece, TaskKind
from mapreduce.worker.attempt_log import LOG_LEAST_BYTES, LOG_MAX_BYTES, AttemptLog
from mapreduce.worker.job_files import BUNDLES_KEPT, JOB_LOGS_MAX_BYTES, JOBS_LOGGED, JobFiles
from mapreduce.worker.runs import RunStore
from mapreduce.worker.segments import Place, Segments
from mapreduce.worker.serving import OutputFile
from mapreduce.worker.work import ReadRuns, RunPack, StoreSegments
from tests.worker.map_inputs import BytesInput

RUN = AttemptId("j-1", 0, TaskKind.MAP, 3, 2)
REDUCE = AttemptId("j-1", 0, TaskKind.REDUCE, 0, 1)
NEVER_NS = 1 << 62


def run_file(folder: Path, *partitions: bytes, of_map: int = RUN.index) -> Path:
    """A run file with these bytes as its partitions."""
    entries, offset = [], 0
    for data in partitions:
        entries.append(PartitionEntry(offset, len(data), 7))
        offset += len(data)
    index = encode_index(of_map, entries)
    path = folder / "new"
    path.write_bytes(b"".join(partitions) + index)
    return path


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "runs")
    made.add(RUN, run_file(tmp_path, b"abc", b"", b"x" * (FETCH_MAX_BYTES + 5)))
    return made


def read(
    store: RunStore, partition: int, offset: int = 0, runs: tuple[AttemptId, ...] = (RUN,)
) -> RunPack:
    return store.read(ReadRuns(runs, partition, offset), NEVER_NS)


def test_a_large_partition_is_read_in_pieces(store: RunStore) -> None:
    pack = read(store, 0)
    assert (pack.pieces, pack.payload) == ((SegmentPiece(RUN.index, 3, 3),), b"abc")
    assert pack.check == xxh3_64_intdigest(b"abc")
    assert read(store, 1).payload == b""
    assert len(read(store, 2).payload) == FETCH_MAX_BYTES
    rest = read(store, 2, FETCH_MAX_BYTES)
    assert rest.pieces == (SegmentPiece(RUN.index, 5, FETCH_MAX_BYTES + 5),)
    assert rest.payload == b"xxxxx"


def other(index: int) -> AttemptId:
    return AttemptId("j-1", 0, TaskKind.MAP, index, 1)


def add(store: RunStore, folder: Path, sizes: dict[int, int]) -> tuple[AttemptId, ...]:
    """Runs of one partition, of so many bytes for each map."""
    for index, size in sizes.items():
        store.add(other(index), run_file(folder, bytes([index]) * size, of_map=index))
    return tuple(map(other, sizes))


def test_small_partitions_are_read_together(store: RunStore, tmp_path: Path) -> None:
    runs = add(store, tmp_path, {1: 3, 2: 0, 5: 2})
    pack = read(store, 0, runs=runs)
    assert pack.pieces == (SegmentPiece(1, 3, 3), SegmentPiece(2, 0, 0), SegmentPiece(5, 2, 2))
    assert pack.payload == b"\x01\x01\x01\x05\x05"
    assert pack.check == xxh3_64_intdigest(pack.payload)


def test_what_has_no_room_is_left_out(store: RunStore, tmp_path: Path) -> None:
    half = FETCH_MAX_BYTES // 2
    runs = add(store, tmp_path, {1: half, 2: half, 3: 1, 4: half + 1})
    assert [piece.map for piece in read(store, 0, runs=runs).pieces] == [1, 2]
    assert [piece.map for piece in read(store, 0, runs=runs[1:]).pieces] == [2, 3]
    assert [piece.map for piece in read(store, 0, 4, runs=runs[2:]).pieces] == [4]
    assert read(store, 0, runs=(RUN, *runs)).pieces[0] == SegmentPiece(RUN.index, 3, 3)
    assert [piece.map for piece in read(store, 2, runs=(RUN, *runs)).pieces] == [RUN.index]


def test_a_slow_disk_is_not_read_for_longer_than_allowed(store: RunStore, tmp_path: Path) -> None:
    runs = add(store, tmp_path, {1: 3, 2: 3})
    assert [piece.map for piece in store.read(ReadRuns(runs, 0, 0), 0).pieces] == [1]
    lost = store.read(ReadRuns((other(9), *runs), 0, 0), 0)
    assert (lost.pieces, list(lost.unreadable)) == ((), [other(9)])


def test_an_unreadable_run_is_named_and_the_others_are_read(
    store: RunStore, tmp_path: Path
) -> None:
    runs = add(store, tmp_path, {1: 3, 2: 2})
    pack = read(store, 0, 7, runs=(other(9), *runs))
    assert [piece.map for piece in pack.pieces] == [1, 2]
    assert "No such file" in pack.unreadable[other(9)]


@pytest.mark.parametrize(("partition", "offset"), [(3, 0), (-1, 0), (0, 4), (0, -1)])
def test_places_that_a_run_does_not_have(store: RunStore, partition: int, offset: int) -> None:
    pack = read(store, partition, offset)
    assert (pack.pieces, list(pack.unreadable)) == ((), [RUN])


def test_a_run_that_was_cut_or_removed(store: RunStore, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "j-1" / "0-m-00003.2.run"
    assert read(store, 2).pieces
    path.write_bytes(b"ab")
    assert "no footer" in read(store, 0).unreadable[RUN]
    path.write_bytes(encode_index(RUN.index, [PartitionEntry(90, 40, 1)]))
    assert "cut short" in read(store, 0).unreadable[RUN]
    path.unlink()
    assert "No such file" in read(store, 0).unreadable[RUN]


def test_a_new_worker_finds_whole_runs_and_removes_the_rest(
    store: RunStore, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    (folder / "j-1" / "0-m-00004.1.run").write_bytes(b"torn")
    (folder / "j-1" / "stranger").write_bytes(b"")
    (folder / "j-2").mkdir()
    again = RunStore(folder)
    assert again.find() == (RunHeld(RUN, 3 + FETCH_MAX_BYTES + 5),)
    assert [path.name for path in folder.rglob("*")] == ["j-1", "0-m-00003.2.run"]
    assert read(again, 0).payload == b"abc"


def test_dropped_runs_are_gone(store: RunStore, tmp_path: Path) -> None:
    store.drop(RUN)
    store.drop(RUN)
    assert list(read(store, 0).unreadable) == [RUN]
    store.add(RUN, run_file(tmp_path, b"abc"))
    store.drop_job("j-1")
    assert store.find() == ()


def piece(data: bytes, offset: int, size_bytes: int, run: AttemptId = RUN) -> StoreSegments:
    pieces = (SegmentPiece(run.index, len(data), size_bytes),)
    return StoreSegments(REDUCE, (run,), pieces, offset, xxh3_64_intdigest(data), data)


def test_a_segment_is_there_when_it_is_whole(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.store(piece(b"lost", 0, 9))
    segments.store(piece(b"abc", 0, 5))
    assert segments.source_of(RUN.index) is None
    segments.store(piece(b"de", 3, 5))
    place = segments.wait(RUN.index)
    assert place is not None
    assert place.offset == 0
    assert place.path.read_bytes() == b"abcde"
    assert segments.source_of(RUN.index) == RUN


def test_segments_that_came_together_lie_in_one_file(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    runs = (other(4), other(2), other(7))
    sizes = (SegmentPiece(4, 2, 2), SegmentPiece(2, 0, 0), SegmentPiece(7, 3, 3))
    segments.store(StoreSegments(REDUCE, runs, sizes, 0, xxh3_64_intdigest(b"abcde"), b"abcde"))
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == b"abcde"
    assert [segments.wait(run.index) for run in runs] == [(path, 0), (path, 2), (path, 2)]
    assert [segments.source_of(run.index) for run in runs] == list(runs)


def test_segments_that_came_apart_do_not_disturb_each_other(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.store(piece(b"abc", 0, 5))
    segments.store(piece(b"fgh", 0, 3, other(8)))
    segments.store(piece(b"de", 3, 5))
    places = [segments.wait(index) for index in (RUN.index, 8)]
    assert [place and place.path.read_bytes() for place in places] == [b"abcde", b"fgh"]


def test_an_empty_segment_is_whole_at_once(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.store(piece(b"", 0, 0))
    place = segments.wait(RUN.index)
    assert place is not None
    assert place.offset == 0
    assert place.path.read_bytes() == b""


def test_a_segment_of_a_run_on_this_machine_is_read_where_it_lies(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.lie_at({RUN: Place(tmp_path / "run", 37)})
    assert segments.wait(RUN.index) == (tmp_path / "run", 37)
    assert segments.source_of(RUN.index) == RUN


def test_damaged_and_missing_pieces_are_refused(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.store(piece(b"abc", 0, 9))
    with pytest.raises(RunCorrupt, match="missing before byte 5"):
        segments.store(piece(b"fg", 5, 9))
    with pytest.raises(RunCorrupt, match="damaged"):
        segments.store(replace(piece(b"def", 3, 9), check=1))


def test_nobody_waits_for_segments_of_a_stopped_attempt(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.close()
    assert segments.wait(0) is None


def test_a_log_is_cut_and_says_so(tmp_path: Path) -> None:
    log = AttemptLog(tmp_path / "log")
    for _ in range(LOG_MAX_BYTES // (1 << 20) + 3):
        log.write(b"x" * (1 << 20))
    assert log.tail().endswith(f"[cut here: over {LOG_MAX_BYTES} bytes]")
    log.close()
    assert (tmp_path / "log").stat().st_size < LOG_MAX_BYTES + 100


def test_a_log_that_cannot_be_written_is_lost_and_nothing_else() -> None:
    log = AttemptLog(Path("/dev/full"))
    log.write(b"words")
    log.write(b"more")
    log.close()


def test_a_run_that_comes_behind_the_end_of_its_job_leaves_no_folder(tmp_path: Path) -> None:
    runs, file = RunStore(tmp_path / "runs"), tmp_path / "file"
    runs.drop_job(RUN.job)
    file.write_bytes(b"late")
    runs.add(RUN, file)
    runs.drop(RUN)
    runs.drop(RUN)
    assert list((tmp_path / "runs").iterdir()) == []


DIGEST = "ab" * 32


class BundleStorage:
    """A DFS with bundles that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.fails = False

    def open_input(self, path: str, inode: int) -> BytesInput:
        return BytesInput(b"")

    def create_output(self, path: str, replication: int) -> OutputFile:
        raise NotFound("nothing is written here", path)

    def read(self, path: str) -> bytes:
        self.reads += 1
        if self.fails:
            raise NotFound("no such file", path)
        return path.removeprefix(f"{BUNDLE_FOLDER}/").encode()


def test_a_bundle_is_fetched_once(tmp_path: Path) -> None:
    storage = BundleStorage()
    files = JobFiles(tmp_path, storage)
    assert files.bundle(DIGEST).read_bytes() == f"{DIGEST}.zip".encode()
    assert files.bundle(DIGEST).read_bytes() == f"{DIGEST}.zip".encode()
    assert storage.reads == 1


def test_a_bundle_that_cannot_be_fetched_leaves_nothing(tmp_path: Path) -> None:
    storage = BundleStorage()
    storage.fails = True
    files = JobFiles(tmp_path, storage)
    with pytest.raises(NotFound):
        files.bundle(DIGEST)
    assert list((tmp_path / "bundles").iterdir()) == []


def test_old_bundles_and_logs_make_room(tmp_path: Path) -> None:
    files = JobFiles(tmp_path, BundleStorage())
    for number in range(BUNDLES_KEPT + 5):
        files.bundle(f"{number:064x}")
    for number in range(JOBS_LOGGED + 5):
        attempt = AttemptId(f"j-{number}", 0, TaskKind.MAP, 3, 2)
        files.close_log(attempt, files.open_log(attempt))
    assert len(list((tmp_path / "bundles").iterdir())) == BUNDLES_KEPT
    assert len(list((tmp_path / "logs").iterdir())) == JOBS_LOGGED
    assert files.log_path(RUN).name == "0-m-00003.2.log"


def test_what_one_job_prints_is_bounded_also_behind_a_restart(tmp_path: Path) -> None:
    def prints(files: JobFiles, number: int, size: int) -> int:
        attempt = AttemptId("j-1", 0, TaskKind.MAP, 3, number)
        log = files.open_log(attempt)
        for _ in range(size // (1 << 20)):
            log.write(b"x" * (1 << 20))
        files.close_log(attempt, log)
        return files.log_path(attempt).stat().st_size

    files = JobFiles(tmp_path, BundleStorage())
    for number in range(JOB_LOGS_MAX_BYTES // LOG_MAX_BYTES):
        assert prints(files, number, 11 << 20) > LOG_MAX_BYTES
    assert prints(files, 50, 1 << 20) < LOG_LEAST_BYTES + 100
    again = JobFiles(tmp_path, BundleStorage())
    assert prints(again, 51, 1 << 20) < LOG_LEAST_BYTES + 100
