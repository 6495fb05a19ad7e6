"""The segments that a reduce attempt merges, as they arrive in its folder.

What one fetch brings is stored in one file, named after its first map: whole segments one behind
the other, each of which the task reads from where it begins; or a piece of a large one, which the
next ones are appended to. A segment is handed to the task when it is whole and what brought it
had the checksum that its sender computed. One of a run on this machine may also be read where it
lies. The task waits for one map after the other; what arrives earlier lies there until it is
asked for. The blocks inside carry checksums of their own, which the task verifies when it reads
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Condition
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from mapreduce.errors import RunCorrupt
from mapreduce.wire import AttemptId
from mapreduce.worker.work import StoreSegments


class Place(NamedTuple):
    """Where a whole segment begins, in a local file."""

    path: Path
    offset: int


class Segments:
    """The segments of one attempt; stored by some threads, waited for by another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._whole: dict[int, tuple[AttemptId, Place]] = {}
        self._changed = Condition()
        self._closed = False
        self.awaited = False
        """Does the task wait for a segment?"""

    def store(self, brought: StoreSegments) -> None:
        """Add what a fetch brought. Raises RunCorrupt when it is damaged or not the next piece."""
        first, offset = brought.runs[0].index, brought.offset
        if xxh3_64_intdigest(brought.payload) != brought.check:
            raise RunCorrupt("a segment was damaged on its way", first)
        path = self._folder / f"segment-{first:05d}"
        with path.open("wb" if offset == 0 else "ab") as file:
            if file.tell() != offset:
                raise RunCorrupt(f"a piece is missing before byte {offset}", first)
            file.write(brought.payload)
        whole = {}
        begin, end = 0, offset
        for run, piece in zip(brought.runs, brought.pieces, strict=True):
            end += piece.piece_bytes
            if end - begin == piece.size_bytes:
                whole[run] = Place(path, begin)
            begin = end
        self.lie_at(whole)

    def lie_at(self, places: Mapping[AttemptId, Place]) -> None:
        """The segments of these runs are whole and lie there."""
        with self._changed:
            self._whole |= {run.index: (run, place) for run, place in places.items()}
            self._changed.notify_all()

    def wait(self, map_index: int) -> Place | None:
        """Where a whole segment lies; waits for it. None when the attempt is stopped."""
        with self._changed:
            self.awaited = True
            self._changed.wait_for(lambda: self._closed or map_index in self._whole)
            self.awaited = False
            return None if self._closed else self._whole[map_index][1]

    def source_of(self, map_index: int) -> AttemptId | None:
        """The run that the segment of a map came from, None without such a segment."""
        with self._changed:
            whole = self._whole.get(map_index)
            return whole and whole[0]

    def close(self) -> None:
        """Nobody gets any more segments."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
