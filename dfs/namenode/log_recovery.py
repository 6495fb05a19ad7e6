"""Where does the log end? Telling a write that was torn from a record that was damaged.

A crash may tear what was written but not yet synced: any part of it, in any order of
sectors. Nothing of it was ever acknowledged, so it is cut. Anything that was synced and
does not read back is damage: acknowledged changes are lost, and the namenode must not
start as if they had never been. What separates the two:

* a segment is synced whole before the next one is begun, so only the last one can have
  a torn end;
* each record names the highest index known to be synced when it was written (``durable``),
  so a bad record at index i is damage when any later record says that i was durable;
* the view is committed only behind the synced log, so whatever it has applied was durable.

A bad record that none of this speaks for belongs to the last batch, and so does all behind
it. The records of that batch which do read back are kept: their callers got no answer and
may find them done or not. They may however stand in the page cache only, after a sync that
failed (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020),
so they are written again, with zeros behind them, and synced before anything is served.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dfs.disk import Disk
from dfs.errors import Corrupt, DfsError, NotSupported, Refused, StorageFault
from dfs.log_format import (
    FORMAT,
    HEADER_BYTES,
    Header,
    Record,
    read_record,
    search_records,
    segment_number,
    unpack_header,
)

_REMEDY = "restore the namenode's folder from a backup; nothing was changed in it"


class Segment(NamedTuple):
    """A segment that was begun."""

    name: str
    header: Header


class LogEnd(NamedTuple):
    """Where a log ends, in its last segment, and what must be written before it goes on.

    ``checksum`` is that of the last record. ``unused`` are segments prepared and not begun.
    ``rewrite`` belongs at offset ``rewrite_at`` and reaches over all that is to be cut.
    """

    segments: tuple[Segment, ...]
    unused: tuple[str, ...]
    next_index: int
    checksum: int
    offset: int
    rewrite_at: int
    rewrite: bytes


@contextmanager
def storage_faults(doing: str) -> Iterator[None]:
    """Turn errors of the operating system into ``StorageFault``; ``doing`` begins the text."""
    try:
        yield
    except DfsError:
        raise
    except OSError as error:
        raise StorageFault(f"{doing}: {error.strerror or error}") from error


def read_segment(disk: Disk, name: str) -> bytes:
    """All bytes of a segment."""
    return read_piece(disk, name, 0, None)


def read_piece(disk: Disk, name: str, offset: int, length: int | None) -> bytes:
    """Some bytes of a segment; without a length all from the offset on."""
    with storage_faults(f"cannot read {name}"):
        file = disk.open(name)
        try:
            return file.read_at(offset, file.size() - offset if length is None else length)
        finally:
            file.close()


def records(segment: Segment, data: bytes) -> Iterator[Record]:
    """The records of a segment, in order, up to the first place where no sound one stands."""
    offset, index, previous = HEADER_BYTES, segment.header.first_index, segment.header.previous
    while (record := read_record(data, offset)) is not None:
        if (record.index, record.previous) != (index, previous):
            text = f"holds a sound record {record.index} that does not follow the one before"
            raise damaged(segment.name, offset, index, text)
        yield record
        offset, index, previous = record.end, index + 1, record.checksum


def find_end(disk: Disk, folder: str, cluster: str, applied_index: int) -> LogEnd:
    """Where the log in ``folder`` ends; without segments when it was never begun.

    ``applied_index`` is the last record in the committed view. Reads all headers, but records
    only from the segment of that one on. Changes nothing. Raises ``Corrupt`` for damage,
    ``Refused`` for a log of another cluster and ``NotSupported`` for a newer format.
    """
    segments, unused = _find_segments(disk, folder, cluster)
    if not segments:
        if applied_index:
            raise Corrupt(f"{folder} holds no log and the view is of record {applied_index}")
        return LogEnd((), unused, 1, 0, 0, 0, b"")
    first = segments[0]
    if first.header.first_index > applied_index + 1:
        text = f"begins the log and the view ends before it, with record {applied_index}"
        raise damaged(first.name, HEADER_BYTES, first.header.first_index, text)
    tail = [s for s in segments if s.header.first_index <= applied_index] or segments[:1]
    start = segments.index(tail[-1])
    for segment, after in zip(segments[start:], segments[start + 1 :], strict=False):
        _check_whole(segment, read_segment(disk, segment.name), after)
    data = read_segment(disk, segments[-1].name)
    return _end_of(segments, unused, data, applied_index)


def first_index(disk: Disk, folder: str, cluster: str) -> int:
    """The index of the first record that the log still has, or will have; 0 without a log.

    Raises as ``find_end`` does.
    """
    segments, _ = _find_segments(disk, folder, cluster)
    return segments[0].header.first_index if segments else 0


def damaged(name: str, offset: int, index: int, text: str) -> Corrupt:
    """What to raise for a segment in which a record is not as it was written."""
    return Corrupt(f"{name} {text} (offset {offset}, record {index}): {_REMEDY}")


def _find_segments(
    disk: Disk, folder: str, cluster: str
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    segments: list[Segment] = []
    unused: list[str] = []
    with storage_faults(f"cannot read {folder}"):
        names = disk.names(folder) if disk.exists(folder) else []
    for name, number in ((name, segment_number(name)) for name in names):
        if number is None:
            continue
        path = f"{folder}/{name}"
        segment = _begun_segment(disk, path, number, cluster)
        if segment is None:
            unused.append(path)
        elif unused or (segments and segments[-1].header.segment != number - 1):
            raise Corrupt(f"the segment before {path} is missing: {_REMEDY}")
        else:
            segments.append(segment)
    return tuple(segments), tuple(unused)


def _begun_segment(disk: Disk, path: str, number: int, cluster: str) -> Segment | None:
    """The segment in a file, checked; None when it was only prepared."""
    with storage_faults(f"cannot read {path}"):
        file = disk.open(path)
        try:
            head = file.read_at(0, HEADER_BYTES)
        finally:
            file.close()
    header = unpack_header(head)
    if header is None:
        if read_segment(disk, path).strip(b"\0"):
            raise Corrupt(f"the header of {path} is damaged: {_REMEDY}")
        return None
    if header.format > FORMAT:
        raise NotSupported(
            f"{path} has format {header.format} and this program knows {FORMAT}: "
            "start the newer version that wrote it; nothing was changed"
        )
    if header.cluster != cluster:
        raise Refused(
            f"{path} is the log of cluster {header.cluster!r} and this is cluster {cluster!r}: "
            "correct [namenode] dir or [cluster] id in the configuration"
        )
    if header.segment != number:
        raise Corrupt(f"{path} calls itself segment {header.segment}: {_REMEDY}")
    return Segment(path, header)


def _check_whole(segment: Segment, data: bytes, after: Segment) -> None:
    """A segment behind which another was begun must hold all records up to that one."""
    end, index, checksum = HEADER_BYTES, segment.header.first_index - 1, segment.header.previous
    for record in records(segment, data):
        end, index, checksum = record.end, record.index, record.checksum
    if (index + 1, checksum) != (after.header.first_index, after.header.previous):
        raise damaged(segment.name, end, index + 1, "holds a damaged record")
    if data[end:].strip(b"\0"):
        raise damaged(segment.name, end, index, "holds bytes behind its last record")


def _end_of(
    segments: tuple[Segment, ...], unused: tuple[str, ...], data: bytes, applied_index: int
) -> LogEnd:
    last = segments[-1]
    header = last.header
    ends = [HEADER_BYTES]
    durable, checksum = header.first_index - 1, header.previous
    for record in records(last, data):
        ends.append(record.end)
        durable, checksum = max(durable, record.durable), record.checksum
    end, next_index = ends[-1], header.first_index + len(ends) - 1
    used_bytes = max(end, len(data.rstrip(b"\0")))
    if used_bytes > end:
        _check_torn(last, data, end, next_index, applied_index)
    if applied_index >= next_index:
        text = f"ends the log and the view is ahead of it, with record {applied_index}"
        raise damaged(last.name, end, next_index - 1, text)
    synced = max(durable, applied_index)
    rewrite_at = ends[max(0, synced - header.first_index + 1)]
    rewrite = data[rewrite_at:end] + bytes(used_bytes - end)
    return LogEnd(segments, unused, next_index, checksum, end, rewrite_at, rewrite)


def _check_torn(segment: Segment, data: bytes, offset: int, index: int, applied_index: int) -> None:
    """The bytes at ``offset`` are no record: refuse, if one that was synced stood there."""
    proof = max((r.durable for r in search_records(data, offset)), default=0)
    if index <= max(proof, applied_index):
        raise damaged(segment.name, offset, index, "holds a damaged record")
