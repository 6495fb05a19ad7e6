"""The run files that a worker holds: map output, kept until its job is over.

    runs/JOB/STEP-m-00017.1.run

A run appears under its name by one rename, after its map succeeded, so that a name stands for a
whole file; it is not synced, since a run that is lost is made again. A worker that starts finds
its runs by their names and announces those whose end reads well.

One read is of a partition of many runs: as many whole ones as a fetch has room for, or a piece of
the first. Where a partition lies is read from the footer each time: nothing is kept, however many
runs there are.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from xxhash import xxh3_64_intdigest

from mapreduce.errors import RunCorrupt
from mapreduce.limits import FETCH_MAX_BYTES
from mapreduce.shuffle.run_index import PartitionEntry, read_entry, segments_bytes
from mapreduce.wire import AttemptId, RunHeld, SegmentPiece, TaskKind
from mapreduce.worker.work import ReadRuns, RunPack

_NAME = re.compile(r"(\d+)-m-(\d+)\.(\d+)\.run")


class RunStore:
    """The runs in one folder. Its methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def find(self) -> tuple[RunHeld, ...]:
        """The runs that are whole; files and folders that are none are removed."""
        held = []
        for job in sorted(self._folder.iterdir()):
            for path in sorted(job.iterdir()):
                run = _run_named(job.name, path.name)
                try:
                    size_bytes = _size_of_segments(path) if run else None
                except (RunCorrupt, OSError):
                    size_bytes = None
                if run is None or size_bytes is None:
                    path.unlink()
                else:
                    held.append(RunHeld(run, size_bytes))
            if not any(job.iterdir()):
                job.rmdir()
        return tuple(held)

    def add(self, run: AttemptId, file: Path) -> None:
        """Take a finished run file over."""
        path = self._path(run)
        with self._lock:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            file.rename(path)

    def read(self, asked: ReadRuns, until_ns: int) -> RunPack:
        """What fits into a fetch, and can be read until then by the monotonic clock: at least one
        piece, or why a run has none."""
        pieces: list[SegmentPiece] = []
        parts: list[bytes] = []
        unreadable: dict[AttemptId, str] = {}
        room_bytes, offset = FETCH_MAX_BYTES, asked.offset
        for run in asked.runs:
            try:
                with self._path(run).open("rb", buffering=0) as file:
                    entry = read_entry(file, asked.partition)
                    rest_bytes = entry.size_bytes - offset
                    if parts and rest_bytes > room_bytes:
                        break
                    payload = _read(file, entry, offset, min(rest_bytes, room_bytes))
            except (RunCorrupt, OSError) as error:
                unreadable[run] = str(error)
            else:
                pieces.append(SegmentPiece(run.index, len(payload), entry.size_bytes))
                parts.append(payload)
                room_bytes -= len(payload)
            offset = 0
            if room_bytes <= 0 or time.monotonic_ns() >= until_ns:
                break
        packed = b"".join(parts)
        return RunPack(tuple(pieces), unreadable, xxh3_64_intdigest(packed), packed)

    def place(self, run: AttemptId, partition: int) -> tuple[Path, PartitionEntry]:
        """The file of a run, and where in it a partition lies. Raises RunCorrupt, OSError."""
        path = self._path(run)
        with path.open("rb") as file:
            return path, read_entry(file, partition)

    def drop(self, run: AttemptId) -> None:
        """Remove one run, and the folder of its job with the last one; fine if it is not there.

        An attempt that ends when its job is over already leaves a run behind the job's removal.
        """
        path = self._path(run)
        path.unlink(missing_ok=True)
        with self._lock, suppress(OSError):  # there are others
            path.parent.rmdir()

    def drop_job(self, job: str) -> None:
        """Remove all runs of a job."""
        shutil.rmtree(self._folder / job, ignore_errors=True)

    def _path(self, run: AttemptId) -> Path:
        return self._folder / run.job / f"{run.file_name}.run"


def _run_named(job: str, name: str) -> AttemptId | None:
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    step, index, attempt = map(int, match.groups())
    return AttemptId(job, step, TaskKind.MAP, index, attempt)


def _size_of_segments(path: Path) -> int:
    with path.open("rb") as file:
        return segments_bytes(file)


def _read(file: BinaryIO, entry: PartitionEntry, offset: int, length: int) -> bytes:
    """Bytes of a partition; raises RunCorrupt unless it has them."""
    if not 0 <= offset <= entry.size_bytes:
        raise RunCorrupt(f"byte {offset} of {entry.size_bytes} was asked for")
    payload = os.pread(file.fileno(), length, entry.offset + offset)
    if len(payload) != length:
        raise RunCorrupt("the run is cut short")
    return payload
