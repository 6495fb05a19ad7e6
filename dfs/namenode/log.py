"""The log: every change of the metadata, in order, durable before anyone hears of it.

Records are appended to a buffer and written by ``sync``: one write and one sync for
all of them (group commit), into segments whose space was reserved before. The next
segment is prepared ahead, when nobody waits, and the one before it is synced whole before
it is begun. Bytes: ``dfs.log_format``. What a crash may leave, and how the end is
found again: ``dfs.namenode.log_recovery``.

A log begins with record 1, or behind a snapshot with any other. Segments that nobody needs any
more leave it from the front: ``detach`` forgets them, and who called it unlinks the files.

Invariants: ``durable_index < next_index``; what lies between them is in the buffer and in
nobody's hands. An error of the disk is final: after it nothing is known about what was
written, the log refuses everything, and the process must end. Only for a full disk there is a
warning: while the next segment cannot be prepared, half of this one is left for deletions.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dfs.disk import Disk, File
from dfs.errors import NotFound, StorageFault
from dfs.limits import LOG_PLACES_MAX, LOG_RECORD_MAX_BYTES, LOG_SEGMENT_BYTES
from dfs.log_format import (
    FORMAT,
    HEADER_BYTES,
    Header,
    pack_header,
    pack_record,
    read_record,
    record_bytes,
    segment_name,
)
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.log_recovery import (
    LogEnd,
    Segment,
    damaged,
    find_end,
    read_piece,
    read_segment,
    records,
    storage_faults,
)
from dfs.namenode.module import Command

FOLDER = "log"


class Log:
    """An open log, made by ``Log.open``; one writer, no threads."""

    def __init__(self, disk: Disk, codec: CommandCodec, cluster: str, segment_bytes: int) -> None:
        self._disk = disk
        self._codec = codec
        self._cluster = cluster
        self._segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._file: File | None = None
        self._spare: File | None = None
        self._offset = 0
        self._checksum = 0
        self._next_index = 1
        self._durable_index = 0
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._appended_bytes = 0
        self._places: dict[int, tuple[str, int]] = {}
        self._failed = False

    @classmethod
    def open(
        cls,
        disk: Disk,
        codec: CommandCodec,
        cluster: str,
        applied_index: int = 0,
        segment_bytes: int = LOG_SEGMENT_BYTES,
    ) -> Log:
        """The log on this disk, its end found and made durable; a new one where there is none.

        ``applied_index`` is the last record in the committed view. Raises as ``find_end``
        does, before anything was changed, and ``StorageFault``.
        """
        end = find_end(disk, FOLDER, cluster, applied_index)
        if not end.segments:
            return cls.begin(disk, codec, cluster, 1, segment_bytes)
        log = cls(disk, codec, cluster, segment_bytes)
        log._clear(end.unused)
        log._go_on(end)
        return log

    @classmethod
    def begin(
        cls,
        disk: Disk,
        codec: CommandCodec,
        cluster: str,
        first_index: int,
        segment_bytes: int = LOG_SEGMENT_BYTES,
    ) -> Log:
        """A new log whose first record will have this index; the disk holds none.

        Raises ``StorageFault``.
        """
        unused = find_end(disk, FOLDER, cluster, 0)
        assert not unused.segments, f"there is a log, it begins with {unused.segments[0]}"
        log = cls(disk, codec, cluster, segment_bytes)
        log._next_index, log._durable_index = first_index, first_index - 1
        log._clear(unused.unused)
        log._begin_segment()
        return log

    @property
    def first_index(self) -> int:
        """The index of the first record that is still there."""
        return self._segments[0].header.first_index

    @property
    def next_index(self) -> int:
        """The index that the next record will get."""
        return self._next_index

    @property
    def durable_index(self) -> int:
        """The index of the last record that is synced; that before the first if there is none."""
        return self._durable_index

    @property
    def checksum(self) -> int:
        """The checksum of the last record appended, to which the next one will refer."""
        return self._checksum

    @property
    def appended_bytes(self) -> int:
        """How much was appended since the log was opened."""
        return self._appended_bytes

    @property
    def kept_bytes(self) -> int:
        """How long the log is, from its first segment to its synced end."""
        return (len(self._segments) - 1) * self._segment_bytes + self._offset

    @property
    def wants_segment(self) -> bool:
        """Is it time for ``prepare_segment``? From the middle of a segment on."""
        return self._spare is None and self._offset * 2 > self._segment_bytes

    def append(self, commands: Sequence[Command]) -> int:
        """Put commands that belong together behind the last record; returns their index.

        They are durable only after ``sync``.
        """
        self._check_usable()
        payload = self._codec.encode(commands)
        size = record_bytes(len(payload))
        index = self._next_index
        room = self._segment_bytes - HEADER_BYTES
        assert len(payload) <= LOG_RECORD_MAX_BYTES and size <= room, (
            f"record {index} would have {size} bytes: {type(commands[0]).__name__}, …"
        )
        if self._offset + self._buffered_bytes + size > self._segment_bytes:
            self.sync()
            self._begin_segment()
        record, self._checksum = pack_record(index, self._durable_index, self._checksum, payload)
        self._buffer.append(record)
        self._buffered_bytes += size
        self._appended_bytes += size
        self._next_index = index + 1
        return index

    def sync(self) -> None:
        """Make everything appended durable; ``StorageFault`` means that it may not be."""
        self._check_usable()
        if not self._buffer:
            return
        assert self._file is not None
        with self._final(f"the log cannot be written: {self._segments[-1].name}"):
            self._file.write_at(self._offset, b"".join(self._buffer))
            self._file.sync()
        self._offset += self._buffered_bytes
        self._durable_index = self._next_index - 1
        self._buffer.clear()
        self._buffered_bytes = 0

    def prepare_segment(self) -> bool:
        """Reserve the space of the next segment, so that nobody has to wait for it later.

        False when the disk is full: nothing has changed, and it may be tried again.
        """
        self._check_usable()
        name = f"{FOLDER}/{segment_name(self._next_segment())}"
        with self._final("no space can be reserved for the log"):
            try:
                self._spare = self._disk.create(name, self._segment_bytes)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return False
            self._spare.sync()
            self._disk.sync_folder(FOLDER)
        return True

    def replay(self, from_index: int) -> Iterator[tuple[int, list[Command]]]:
        """Every synced record from an index on: (index, commands)."""
        starts = [s.header.first_index for s in self._segments]
        for segment, after in zip(self._segments, [*starts[1:], self._next_index], strict=True):
            if after <= from_index:
                continue
            for record in records(segment, read_segment(self._disk, segment.name)):
                if record.index >= from_index:
                    place = f"record {record.index} in {segment.name}"
                    yield record.index, self._codec.decode(record.payload, place)

    def raw(self, from_index: int, max_bytes: int) -> tuple[bytes, int]:
        """Synced records from an index on as they stand in the log, and the index behind them.

        For whoever keeps a copy of the log. Whole records of one segment, at most ``max_bytes``
        unless the first alone is longer; none when ``from_index`` is the next to be synced.
        Going on from the index returned costs no search. Raises ``NotFound`` for a record that
        was cut off, ``StorageFault``, and ``Corrupt`` where a synced record does not read back.
        """
        if from_index < self.first_index:
            raise NotFound(
                f"record {from_index} was cut off the log, which begins with record "
                f"{self.first_index}: take the newest snapshot first"
            )
        assert from_index <= self._durable_index + 1, f"record {from_index} is not synced"
        if from_index > self._durable_index:
            return b"", from_index
        segment = [s for s in self._segments if s.header.first_index <= from_index][-1]
        offset = self._place(segment, from_index)
        stop = self._offset if segment is self._segments[-1] else self._segment_bytes
        length = min(stop - offset, max(max_bytes, record_bytes(LOG_RECORD_MAX_BYTES)))
        data = read_piece(self._disk, segment.name, offset, length)
        end, index = 0, from_index
        while (record := read_record(data, end)) is not None:
            if index > from_index and record.end > max_bytes:
                break
            end, index = record.end, record.index + 1
        if not end:
            raise damaged(segment.name, offset, from_index, "holds a damaged record")
        self._remember(index, segment.name, offset + end)
        return data[:end], index

    def _place(self, segment: Segment, index: int) -> int:
        """Where in its segment a synced record begins."""
        name, offset = self._places.get(index, ("", 0))
        if name == segment.name:
            return offset
        offset = HEADER_BYTES
        if index > segment.header.first_index:
            for record in records(segment, read_segment(self._disk, segment.name)):
                offset = record.end
                if record.index + 1 == index:
                    break
        return offset

    def _remember(self, index: int, name: str, offset: int) -> None:
        """Keep the place where a reader will go on; the oldest is forgotten."""
        self._places.pop(index, None)
        self._places[index] = (name, offset)
        if len(self._places) > LOG_PLACES_MAX:
            del self._places[next(iter(self._places))]

    def detach(self, below_index: int) -> list[str]:
        """Forget the segments in which every record is below an index, never the last one.

        Returns the names of their files, oldest first, for the caller to unlink **in this
        order**, each durably before the next: the log must never have a gap.
        """
        starts = [segment.header.first_index for segment in self._segments]
        count = sum(after <= below_index for after in starts[1:])
        gone, self._segments = self._segments[:count], self._segments[count:]
        return [segment.name for segment in gone]

    def close(self) -> None:
        """Let go of the files. What was not synced is not written any more."""
        self._failed = True
        with storage_faults("the log cannot be closed"):
            for file in (self._file, self._spare):
                if file is not None:
                    file.close()

    def _clear(self, unused: Sequence[str]) -> None:
        """Make the folder, without the segments that were prepared and not begun."""
        with self._final("the log cannot be opened"):
            self._disk.make_folder(FOLDER)
            for name in unused:
                self._disk.unlink(name)
            self._disk.sync_folder(FOLDER)

    def _go_on(self, end: LogEnd) -> None:
        """Write behind the end that was found."""
        self._segments = list(end.segments)
        self._next_index = end.next_index
        self._durable_index = end.next_index - 1
        self._checksum = end.checksum
        self._offset = end.offset
        with self._final("the end of the log cannot be written"):
            last = end.segments[-1]
            self._file = self._disk.open(last.name, write=True)
            rewrite_at, rewrite = end.rewrite_at, end.rewrite
            if rewrite_at == HEADER_BYTES:  # no record proves that the header was synced
                rewrite_at, rewrite = 0, pack_header(last.header) + rewrite
            if rewrite:
                self._file.write_at(rewrite_at, rewrite)
                self._file.sync()

    def _begin_segment(self) -> None:
        if self._spare is None and not self.prepare_segment():
            self._failed = True
            raise StorageFault("no space can be reserved for the log: No space left on the disk")
        spare = self._spare
        assert spare is not None
        number = self._next_segment()
        header = Header(FORMAT, number, self._next_index, self._checksum, self._cluster)
        with self._final("no new segment of the log can be begun"):
            spare.write_at(0, pack_header(header))
            spare.sync()
            if self._file is not None:
                self._file.close()
        self._file, self._spare = spare, None
        self._offset = HEADER_BYTES
        self._segments.append(Segment(f"{FOLDER}/{segment_name(number)}", header))

    def _next_segment(self) -> int:
        return self._segments[-1].header.segment + 1 if self._segments else 1

    @contextmanager
    def _final(self, doing: str) -> Iterator[None]:
        """Around calls of the disk: any error out of there is the end of this log."""
        self._failed = True
        with storage_faults(doing):
            yield
        self._failed = False

    def _check_usable(self) -> None:
        if self._failed:
            raise StorageFault("the log was closed, or failed earlier: start the namenode again")
