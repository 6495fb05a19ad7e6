"""How the copy of the log that a keeper has goes together with the log here.

One whose last record is a record of ours is of the same history, as far as it goes. One of an
older epoch is of a history that was left on purpose, by a restore or a rebuild, and another is
made in its place; so it is where nobody can compare, since our log was cut behind its end.

One of *our* epoch that reaches beyond our end, or has another record there, is another matter:
what it has was acknowledged, and we do not know it. Then an older copy of the namenode's folder
was put back, or the log lost its end. Going on would write over the only copy of what is
missing here, so the namenode ends instead and a person decides.
"""

from __future__ import annotations

from typing import Protocol

from dfs.errors import OlderMetadata
from dfs.log_format import read_record
from dfs.wire.keeper import KeptLog


class SyncedLog(Protocol):
    """What is needed of the log."""

    @property
    def first_index(self) -> int:
        """The index of the first record that is still there."""

    @property
    def durable_index(self) -> int:
        """The index of the last record that is synced."""

    @property
    def checksum(self) -> int:
        """The checksum of the last record."""

    def raw(self, from_index: int, max_bytes: int) -> tuple[bytes, int]:
        """Bytes of whole records, and the index behind them."""


def is_of(log: SyncedLog, found: KeptLog) -> bool:
    """Is the end of that copy a record of this log? Then all of it is of this history.

    But for a snapshot beyond its end: the records between were lost to damage.
    """
    return found.snapshot <= found.last and _is_comparable(log, found) and _is_same(log, found)


def check_none_is_lost(log: SyncedLog, epoch: int, node: str, found: KeptLog) -> None:
    """Raise ``OlderMetadata`` when that copy has records of this epoch that the log does not."""
    is_beyond = found.last > log.durable_index
    differs = _is_comparable(log, found) and not _is_same(log, found)
    if found.epoch >= epoch and (is_beyond or differs):
        raise OlderMetadata(
            f"the log here ends with record {log.durable_index} of epoch {epoch}, and {node} keeps"
            f" one to record {found.last} of epoch {found.epoch} that this one does not lead to:"
            " an older copy of the namenode's folder was put back, or its log lost its end:"
            " move the folder away and run 'minidfs admin rebuild', which takes what was kept"
        )


def checksum_before(log: SyncedLog, first: int) -> int:
    """The checksum of the record before that one, which is in the log or comes next."""
    if first > log.durable_index:
        return log.checksum
    data, _ = log.raw(first, 1)
    record = read_record(data, 0)
    assert record is not None, f"record {first} of the log does not read back"
    return record.previous


def _is_comparable(log: SyncedLog, found: KeptLog) -> bool:
    return max(1, log.first_index) <= found.last <= log.durable_index


def _is_same(log: SyncedLog, found: KeptLog) -> bool:
    data, _ = log.raw(found.last, 1)
    record = read_record(data, 0)
    assert record is not None, f"record {found.last} of the log does not read back"
    return record.checksum == found.checksum
