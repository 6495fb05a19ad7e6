"""The segments that a reduce attempt merges, as they arrive in its folder.

A segment comes in pieces, in order, and is handed to the task when it is whole and every piece
had the checksum that its sender computed. One of a run on this machine may also be read where it
lies. The task waits for one map after the other; what arrives earlier lies there until it is
asked for. The blocks inside carry checksums of their
own, which the task verifies when it reads them.
"""

from __future__ import annotations

from pathlib import Path
from threading import Condition
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from mapreduce.errors import RunCorrupt
from mapreduce.wire import AttemptId
from mapreduce.worker.work import StoreSegment


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

    def store(self, piece: StoreSegment) -> None:
        """Add a piece. Raises RunCorrupt when it is damaged or not the next one."""
        if xxh3_64_intdigest(piece.payload) != piece.check:
            raise RunCorrupt("a segment was damaged on its way", piece.run.index)
        with self._path(piece.run.index).open("wb" if piece.offset == 0 else "ab") as file:
            if file.tell() != piece.offset:
                raise RunCorrupt(f"a piece is missing before byte {piece.offset}", piece.run.index)
            file.write(piece.payload)
        if piece.offset + len(piece.payload) == piece.size_bytes:
            self.lies_at(piece.run, Place(self._path(piece.run.index), 0))

    def lies_at(self, run: AttemptId, place: Place) -> None:
        """The segment of this run is whole and lies there."""
        with self._changed:
            self._whole[run.index] = (run, place)
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

    def _path(self, map_index: int) -> Path:
        return self._folder / f"segment-{map_index:05d}"
