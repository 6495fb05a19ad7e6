"""One copy of the namenode's log: segments of the same format, in a folder of a datanode.

Bytes: ``dfs.log_format``. A copy is read once when it is opened: its records count up to the
first place where no sound one follows, and what lies behind is cut. So a torn write loses only
what was not confirmed; after damage the namenode sends what is missing again. What counts is
written again and synced before anybody hears of it, since it may stand in the page cache only.

An error while records are written or dropped leaves their fate unknown, and the copy refuses
every change until it is opened again. Only a segment that cannot be created changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dfs.disk import Disk, File, read_whole, write_whole
from dfs.epoch_file import parse_epoch, render_epoch
from dfs.errors import Corrupt, NotFound, StorageFault
from dfs.events import Payload
from dfs.limits import LOG_PIECE_BYTES
from dfs.log_format import (
    FORMAT,
    HEADER_BYTES,
    Header,
    Record,
    pack_header,
    read_record,
    search_records,
    segment_name,
    segment_number,
    unpack_header,
)
from dfs.snapshot_copy import SnapshotCopy

_EPOCH = "EPOCH"


@dataclass(slots=True)
class _Segment:
    """``ends``: the offset behind each of its records."""

    name: str
    header: Header
    ends: list[int]

    @property
    def end(self) -> int:
        return self.ends[-1] if self.ends else HEADER_BYTES

    @property
    def last(self) -> int:
        return self.header.first_index + len(self.ends) - 1


class LogCopy:
    """The copy in ``folder``, known after ``load`` or ``begin``. One thread at a time.

    ``first``, ``last``, ``checksum``, ``epoch`` and ``remark`` are as in ``KeptLog``.
    """

    def __init__(self, disk: Disk, folder: str, cluster: str, segment_bytes: int) -> None:
        self.epoch = 0
        self.first = 0
        self.last = 0
        self.checksum = 0
        self.remark = ""
        self._disk = disk
        self._folder = folder
        self._cluster = cluster
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._file: File | None = None
        self._pending: list[bytes] = []
        self._failed = False
        self.snapshot = SnapshotCopy(disk, folder)

    @property
    def is_based(self) -> bool:
        """Does it begin with the first record, or a snapshot stand for those before its first?"""
        return self.first == 1 or self.snapshot.index >= self.first - 1 > 0

    def begin(self, first: int, previous: int) -> None:
        """Make it a new copy without any record; ``previous`` is the checksum before ``first``."""
        self.remove()
        self._disk.make_folder(self._folder)
        self.snapshot = SnapshotCopy(self._disk, self._folder)
        self.epoch, self.remark, self._segments, self._failed = 0, "", [], False
        self.first, self.last, self.checksum = first, first - 1, previous

    def load(self) -> None:
        """Find out what there is, and make it durable. Raises ``Corrupt`` for a damaged epoch."""
        if not self._disk.exists(self._folder):
            return
        self.epoch = self._load_epoch()
        self.snapshot.load()
        names = [n for n in self._disk.names(self._folder) if segment_number(n) is not None]
        for position, name in enumerate(names):
            if not self._load_segment(f"{self._folder}/{name}"):
                self._cut(names[position:])
                break

    def append(self, first: int, data: Payload) -> int:
        """Keep these records; the index of the last one that is kept and synced.

        Raises ``Corrupt`` when they do not follow what is kept, ``StorageFault``.
        """
        self._check_sound()
        content = bytes(data)
        for record, start in list(self._new_records(first, content)):
            if record.index > self.last:
                self._put(record, content[start : record.end])
        self._sync()
        return self.last

    def raise_epoch(self, epoch: int) -> None:
        """It has, synced, whatever the namenode of this epoch had: from now on it is of that."""
        if epoch > self.epoch:
            write_whole(self._disk, f"{self._folder}/{_EPOCH}", render_epoch(epoch))
            self.epoch = epoch

    def read(self, first: int) -> tuple[bytes, int]:
        """Whole records from ``first`` on, about ``LOG_PIECE_BYTES``, and the index behind them."""
        for segment in self._segments:
            if segment.header.first_index <= first <= segment.last:
                at = first - segment.header.first_index
                begin = segment.ends[at - 1] if at else HEADER_BYTES
                upto = at + 1
                while upto < len(segment.ends) and segment.ends[upto] - begin <= LOG_PIECE_BYTES:
                    upto += 1
                return self._read(segment, begin, segment.ends[upto - 1]), first + upto - at
        raise NotFound(f"record {first} is not kept here: there are {self.first} to {self.last}")

    def cut(self) -> None:
        """Drop the segments in which the snapshot has every record, the oldest first."""
        self._check_sound()
        while len(self._segments) > 1 and self._segments[0].last <= self.snapshot.index:
            self._failed = True
            self._disk.unlink(self._segments[0].name)
            self._disk.sync_folder(self._folder)
            self._failed = False
            del self._segments[0]
            self.first = self._segments[0].header.first_index

    def remove(self) -> None:
        """Throw the copy away, its end first, so that a crash leaves a shorter one."""
        self.close()
        if not self._disk.exists(self._folder):
            return
        for name in reversed(self._disk.names(self._folder)):
            self._disk.unlink(f"{self._folder}/{name}")
        self._disk.sync_folder(self._folder)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    # -- reading what is there

    def _load_segment(self, name: str) -> bool:
        """Take a segment's records; False when it does not follow the one before."""
        file = self._disk.open(name, write=True)
        try:
            data = file.read_at(0, file.size())
            header = unpack_header(data)
            if header is None or not self._follows(header):
                return False
            segment = _Segment(name, header, [])
            self._segments.append(segment)
            self.first = self._segments[0].header.first_index
            self.last, self.checksum = header.first_index - 1, header.previous
            for record in _chained(data, self.last + 1, self.checksum):
                segment.ends.append(record.end)
                self.last, self.checksum = record.index, record.checksum
            if any(search_records(data, segment.end)):
                self.remark = f"record {self.last + 1} is damaged"
            used_bytes = max(segment.end, len(data.rstrip(b"\0")))
            file.write_at(0, data[: segment.end] + bytes(used_bytes - segment.end))
            file.sync()
        finally:
            file.close()
        return True

    def _follows(self, header: Header) -> bool:
        if (header.format, header.cluster) != (FORMAT, self._cluster):
            return False
        before = (self.last + 1, self.checksum)
        return not self._segments or (header.first_index, header.previous) == before

    def _cut(self, names: list[str]) -> None:
        """Drop segments that follow nothing; one that was only just created means no harm."""
        if len(names) > 1 or self._segments:
            self.remark = self.remark or f"what followed record {self.last} is missing or damaged"
        for name in reversed(names):
            self._disk.unlink(f"{self._folder}/{name}")
        self._disk.sync_folder(self._folder)

    def _read(self, segment: _Segment, begin: int, end: int) -> bytes:
        file = self._disk.open(segment.name)
        try:
            return file.read_at(begin, end - begin)
        finally:
            file.close()

    # -- writing

    def _new_records(self, first: int, data: bytes) -> Iterator[tuple[Record, int]]:
        """The records that are not kept yet, with their offsets, checked to follow the others."""
        at, index, checksum = 0, first, None
        while at < len(data):
            record = read_record(data, at)
            if record is None or record.index != index:
                raise Corrupt(f"record {index} of the log arrived damaged")
            if record.index > self.last:
                before = self.checksum if checksum is None else checksum
                if record.previous != before or (checksum is None and index != self.last + 1):
                    raise Corrupt(f"record {index} does not follow record {self.last}")
                checksum = record.checksum
            elif record.index == self.last and record.checksum != self.checksum:
                raise Corrupt(f"record {index} is another one than the one that is kept")
            yield record, at
            at, index = record.end, index + 1

    def _put(self, record: Record, raw: bytes) -> None:
        """Take a record; it is written by ``_sync``."""
        if not self._segments or self._segments[-1].end + len(raw) > self._segment_bytes:
            self._sync()
            self._begin_segment()
        segment = self._segments[-1]
        self._pending.append(raw)
        segment.ends.append(segment.end + len(raw))
        self.last, self.checksum = record.index, record.checksum

    def _begin_segment(self) -> None:
        number = self._segments[-1].header.segment + 1 if self._segments else 1
        name = f"{self._folder}/{segment_name(number)}"
        header = Header(FORMAT, number, self.last + 1, self.checksum, self._cluster)
        file = self._disk.create(name, self._segment_bytes)
        self.close()
        self._file, self._failed = file, True
        file.write_at(0, pack_header(header))
        file.sync()
        self._disk.sync_folder(self._folder)
        self._failed = False
        self._segments.append(_Segment(name, header, []))

    def _sync(self) -> None:
        """Write what was taken, durably."""
        if not self._pending:
            return
        data, segment = b"".join(self._pending), self._segments[-1]
        self._pending.clear()
        self._failed = True
        if self._file is None:
            self._file = self._disk.open(segment.name, write=True)
        self._file.write_at(segment.end - len(data), data)
        self._file.sync()
        self._failed = False

    def _check_sound(self) -> None:
        if self._failed:
            raise StorageFault("the copy of the log failed earlier: start the datanode again")

    def _load_epoch(self) -> int:
        name = f"{self._folder}/{_EPOCH}"
        if not self._disk.exists(name):
            return 0
        return parse_epoch(read_whole(self._disk, name), name)


def _chained(data: bytes, index: int, previous: int) -> Iterator[Record]:
    """The records of a segment, as long as each follows the one before."""
    offset = HEADER_BYTES
    while (record := read_record(data, offset)) is not None:
        if (record.index, record.previous) != (index, previous):
            return
        yield record
        offset, index, previous = record.end, index + 1, record.checksum
