"""One copy of the log, read from a keeper piece by piece: which question, and what to write.

The snapshot comes first, if the copy is read from one on, and then the records behind it, which
must follow one another. Whoever writes the pieces checks the snapshot as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfs.errors import Corrupt
from dfs.events import Payload
from dfs.log_format import read_record
from dfs.wire.keeper import KeptLog, KeptRecords, KeptSnapshot, ReadKeptLog, ReadKeptSnapshot


@dataclass(frozen=True, slots=True)
class BeginCopy:
    """Work: begin the new log with this record, behind one with this checksum.

    Nothing stays of what was written before but the snapshot of the record before ``first``.
    """

    first: int
    previous: int


@dataclass(frozen=True, slots=True)
class WriteSnapshot:
    """Work: add a piece to the snapshot; the last one makes it whole, checked and durable."""

    piece: KeptSnapshot
    data: Payload


@dataclass(frozen=True, slots=True)
class WriteRecords:
    """Work: add these records to the new log, durably."""

    first: int
    records: Payload


Task = BeginCopy | WriteSnapshot | WriteRecords


class CopyReader:
    """Reads what ``kept`` describes: from the snapshot ``base`` on, 0: from the first record."""

    def __init__(self, kept: KeptLog, base: int) -> None:
        self.base = base
        self._last = kept.last
        self._offset = 0
        self._has_base = base == 0
        self._next = base + 1
        self._previous = -1

    def question(self) -> ReadKeptSnapshot | ReadKeptLog | None:
        """What to ask next; None when everything was answered."""
        if not self._has_base:
            return ReadKeptSnapshot(self.base, self._offset)
        return ReadKeptLog(self._next) if self._next <= self._last else None

    def take(self, answer: KeptSnapshot | KeptRecords, data: Payload) -> list[Task]:
        """What to write of an answer. Raises ``Corrupt`` for one that does not fit."""
        if isinstance(answer, KeptSnapshot):
            return self._take_snapshot(answer, data)
        first, is_begun = self._next, self._previous >= 0
        before = self._check(bytes(data))
        write = WriteRecords(first, data)
        return [write] if is_begun else [BeginCopy(first, before), write]

    def _take_snapshot(self, piece: KeptSnapshot, data: Payload) -> list[Task]:
        expected = (self.base, self._offset)
        if self._has_base or (piece.index, piece.offset) != expected or not data:
            raise Corrupt(f"the snapshot of record {self.base} cannot be read")
        tasks: list[Task] = [] if self._offset else [BeginCopy(self.base + 1, 0)]
        self._offset += len(data)
        self._has_base = self._offset >= piece.size
        return [*tasks, WriteSnapshot(piece, data)]

    def _check(self, data: bytes) -> int:
        """The records follow one another; returns the checksum before the first."""
        at, before = 0, self._previous
        while at < len(data) or at == 0:
            record = read_record(data, at)
            if record is None or record.index != self._next:
                raise Corrupt(f"record {self._next} of its log cannot be read")
            if self._previous < 0:
                before = self._previous = record.previous
            if record.previous != self._previous:
                raise Corrupt(f"record {record.index} of its log does not follow the one before")
            at, self._next, self._previous = record.end, record.index + 1, record.checksum
        return before
