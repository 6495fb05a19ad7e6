"""Runs, segments, logs and bundles on a worker's disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import pytest
from xxhash import xxh3_64_intdigest

from dfs.errors import NotFound
from mapreduce.errors import RunCorrupt
from mapreduce.shuffle.run_index import PartitionEntry, encode_index
from mapreduce.wire import BUNDLE_FOLDER, AttemptId, RunHeld, TaskKind
from mapreduce.worker.attempt_log import LOG_LEAST_BYTES, LOG_MAX_BYTES, AttemptLog
from mapreduce.worker.job_files import BUNDLES_KEPT, JOB_LOGS_MAX_BYTES, JOBS_LOGGED, JobFiles
from mapreduce.worker.runs import RunStore
from mapreduce.worker.segments import Place, Segments
from mapreduce.worker.serving import OutputFile
from mapreduce.worker.work import RUN_PIECE_BYTES, StoreSegment

RUN = AttemptId("j-1", 0, TaskKind.MAP, 3, 2)
REDUCE = AttemptId("j-1", 0, TaskKind.REDUCE, 0, 1)


def run_file(folder: Path, *partitions: bytes) -> Path:
    """A run file with these bytes as its partitions."""
    entries, offset = [], 0
    for data in partitions:
        entries.append(PartitionEntry(offset, len(data), 7))
        offset += len(data)
    index = encode_index(RUN.index, entries)
    path = folder / "new"
    path.write_bytes(b"".join(partitions) + index)
    return path


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "runs")
    made.add(RUN, run_file(tmp_path, b"abc", b"", b"x" * (RUN_PIECE_BYTES + 5)))
    return made


def test_partitions_are_read_in_pieces(store: RunStore) -> None:
    whole = store.read(RUN, 0, 0)
    assert (whole.payload, whole.size_bytes, whole.records) == (b"abc", 3, 7)
    assert whole.check == xxh3_64_intdigest(b"abc")
    assert store.read(RUN, 1, 0).payload == b""
    assert len(store.read(RUN, 2, 0).payload) == RUN_PIECE_BYTES
    assert store.read(RUN, 2, RUN_PIECE_BYTES).payload == b"xxxxx"


@pytest.mark.parametrize(("partition", "offset"), [(3, 0), (-1, 0), (0, 4), (0, -1)])
def test_places_that_a_run_does_not_have(store: RunStore, partition: int, offset: int) -> None:
    with pytest.raises(RunCorrupt):
        store.read(RUN, partition, offset)


def test_a_run_that_was_cut_or_removed(store: RunStore, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "j-1" / "0-m-00003.2.run"
    store.read(RUN, 2, 0)
    path.write_bytes(b"ab")
    with pytest.raises(RunCorrupt, match="no footer"):
        store.read(RUN, 0, 0)
    path.write_bytes(encode_index(RUN.index, [PartitionEntry(90, 40, 1)]))
    with pytest.raises(RunCorrupt, match="cut short"):
        store.read(RUN, 0, 0)
    path.unlink()
    with pytest.raises(RunCorrupt, match="cannot be read"):
        store.read(RUN, 0, 0)


def test_a_new_worker_finds_whole_runs_and_removes_the_rest(
    store: RunStore, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    (folder / "j-1" / "0-m-00004.1.run").write_bytes(b"torn")
    (folder / "j-1" / "stranger").write_bytes(b"")
    (folder / "j-2").mkdir()
    again = RunStore(folder)
    assert again.find() == (RunHeld(RUN, 3 + RUN_PIECE_BYTES + 5),)
    assert [path.name for path in folder.rglob("*")] == ["j-1", "0-m-00003.2.run"]
    assert again.read(RUN, 0, 0).payload == b"abc"


def test_dropped_runs_are_gone(store: RunStore, tmp_path: Path) -> None:
    store.drop(RUN)
    store.drop(RUN)
    with pytest.raises(RunCorrupt):
        store.read(RUN, 0, 0)
    store.add(RUN, run_file(tmp_path, b"abc"))
    store.drop_job("j-1")
    assert store.find() == ()


def piece(data: bytes, offset: int, size_bytes: int) -> StoreSegment:
    return StoreSegment(REDUCE, RUN, offset, size_bytes, xxh3_64_intdigest(data), data)


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


def test_an_empty_segment_is_whole_at_once(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.store(piece(b"", 0, 0))
    place = segments.wait(RUN.index)
    assert place is not None
    assert place.offset == 0
    assert place.path.read_bytes() == b""


def test_a_segment_of_a_run_on_this_machine_is_read_where_it_lies(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.lies_at(RUN, Place(tmp_path / "run", 37))
    assert segments.wait(RUN.index) == (tmp_path / "run", 37)
    assert segments.source_of(RUN.index) == RUN


def test_damaged_and_missing_pieces_are_refused(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.store(piece(b"abc", 0, 9))
    with pytest.raises(RunCorrupt, match="missing before byte 5"):
        segments.store(piece(b"fg", 5, 9))
    with pytest.raises(RunCorrupt, match="damaged"):
        segments.store(StoreSegment(REDUCE, RUN, 3, 9, 1, b"def"))


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

    def open_input(self, path: str, inode: int, offset: int) -> BinaryIO:
        return io.BytesIO()

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
