"""Both ends of the log: it begins behind a snapshot, is cut in front, and is copied raw."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.errors import Corrupt, NotFound, StorageFault
from dfs.limits import LOG_PLACES_MAX
from dfs.log_format import read_record
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.log import Log
from dfs.testing.disk import MemoryDisk
from tests.metadata.counting import (
    CLUSTER,
    MODULES,
    SEGMENT_BYTES,
    Set,
    numbers_in,
    open_log,
    write_records,
)


def unlink(disk: MemoryDisk, names: list[str]) -> None:
    for name in names:
        disk.unlink(name)
        disk.sync_folder("log")


def indexes(raw: bytes) -> list[int]:
    """The indexes of the records in a piece of the log, which must be whole."""
    found, at = [], 0
    while at < len(raw):
        record = read_record(raw, at)
        assert record is not None
        found.append(record.index)
        at = record.end
    return found


class TestBegin:
    """A log may begin at any index."""

    def test_behind_a_snapshot(self) -> None:
        disk = MemoryDisk()
        log = Log.begin(disk, CommandCodec(MODULES), CLUSTER, 501, SEGMENT_BYTES)
        assert (log.first_index, log.next_index, log.durable_index) == (501, 501, 500)
        assert log.append([Set(b"a", 1)]) == 501
        log.sync()
        disk.crash()
        log = open_log(disk, applied_index=500)
        assert (log.first_index, log.durable_index, numbers_in(log, 501)) == (501, 501, [1])

    def test_it_is_durable_before_its_first_record(self) -> None:
        disk = MemoryDisk()
        Log.begin(disk, CommandCodec(MODULES), CLUSTER, 501, SEGMENT_BYTES)
        disk.crash()
        assert open_log(disk, applied_index=500).next_index == 501

    def test_a_header_that_is_in_the_page_cache_only_is_made_durable(self) -> None:
        """Its sync failed: it reads back, and no later sync would bring it to the disk."""
        disk = MemoryDisk()
        disk.fail("sync", 2)
        with pytest.raises(StorageFault, match="no new segment"):
            Log.begin(disk, CommandCodec(MODULES), CLUSTER, 501, SEGMENT_BYTES)
        log = open_log(disk, applied_index=500)
        log.append([Set(b"a", 1)])
        log.sync()
        disk.crash()
        assert open_log(disk, applied_index=500).durable_index == 501

    @pytest.mark.parametrize("applied_index", [0, 499])
    def test_a_view_that_ends_before_it_is_refused(self, applied_index: int) -> None:
        disk = MemoryDisk()
        Log.begin(disk, CommandCodec(MODULES), CLUSTER, 501, SEGMENT_BYTES)
        with pytest.raises(Corrupt, match="begins the log and the view ends before it"):
            open_log(disk, applied_index)

    def test_a_view_ahead_of_it_is_refused(self) -> None:
        disk = MemoryDisk()
        Log.begin(disk, CommandCodec(MODULES), CLUSTER, 501, SEGMENT_BYTES)
        with pytest.raises(Corrupt, match="the view is ahead of it"):
            open_log(disk, applied_index=501)

    def test_never_where_a_log_is(self) -> None:
        disk = MemoryDisk()
        write_records(disk, 1)
        with pytest.raises(AssertionError, match="there is a log"):
            Log.begin(disk, CommandCodec(MODULES), CLUSTER, 501, SEGMENT_BYTES)


class TestDetach:
    """Whole segments leave from the front."""

    def test_only_those_below_the_index(self) -> None:
        disk = MemoryDisk()
        write_records(disk, 60)
        log = open_log(disk)
        names = [f"log/{name}" for name in disk.names("log")]
        second = log.raw(1, SEGMENT_BYTES)[1]
        assert log.detach(second - 1) == []
        assert log.detach(second) == names[:1]
        assert log.first_index == second
        unlink(disk, names[:1])
        assert numbers_in(log, second) == list(range(second, 61))

    def test_never_the_last_one(self) -> None:
        disk = MemoryDisk()
        write_records(disk, 60)
        log = open_log(disk)
        names = [f"log/{name}" for name in disk.names("log")]
        assert log.detach(10_000) == names[:-1]
        assert log.detach(10_000) == []
        unlink(disk, names[:-1])
        log.append([Set(b"a", 61)])
        log.sync()
        disk.crash()
        log = open_log(disk, applied_index=60)
        assert log.first_index > 1
        assert numbers_in(log, 61) == [61]
        with pytest.raises(Corrupt, match="the view ends before it"):
            open_log(disk)

    def test_a_log_tells_how_long_it_is(self) -> None:
        disk = MemoryDisk()
        write_records(disk, 60)
        log = open_log(disk)
        whole = log.kept_bytes
        assert len(disk.names("log")) * SEGMENT_BYTES > whole > SEGMENT_BYTES
        gone = log.detach(10_000)
        assert log.kept_bytes == whole - len(gone) * SEGMENT_BYTES

    def test_what_was_left_behind_is_found_again(self) -> None:
        """Nothing was unlinked before the crash, or only the oldest."""
        disk = MemoryDisk()
        write_records(disk, 60)
        log = open_log(disk)
        gone = log.detach(10_000)
        assert open_log(disk, applied_index=60).first_index == 1
        unlink(disk, gone[:1])
        log = open_log(disk, applied_index=60)
        assert log.detach(10_000) == gone[1:]


class TestRaw:
    """The bytes of whole records, for whoever keeps a copy."""

    @settings(deadline=None, max_examples=50)
    @given(steps=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 3000)), max_size=12))
    def test_a_reader_gets_every_record_once_and_in_order(
        self, steps: list[tuple[int, int]]
    ) -> None:
        disk = MemoryDisk()
        log = open_log(disk)
        got: list[int] = []
        at = 1
        for count, max_bytes in steps:
            for _ in range(count):
                log.append([Set(b"w", log.next_index)])
            log.sync()
            raw, after = log.raw(at, max_bytes)
            assert indexes(raw) == list(range(at, after))
            assert after > at or at == log.next_index
            assert len(raw) <= max_bytes or after == at + 1
            got += indexes(raw)
            at = after
        while at < log.next_index:
            raw, at = log.raw(at, 10_000)
            got += indexes(raw)
        assert got == list(range(1, log.next_index))

    def test_only_what_is_synced(self) -> None:
        log = open_log(MemoryDisk())
        assert log.raw(1, 1000) == (b"", 1)
        log.append([Set(b"a", 1)])
        assert log.raw(1, 1000) == (b"", 1)
        with pytest.raises(AssertionError, match="record 2 is not synced"):
            log.raw(2, 1000)
        log.sync()
        assert log.raw(1, 1000)[1] == 2

    def test_a_record_is_whole_even_if_it_is_longer_than_asked_for(self) -> None:
        disk = MemoryDisk()
        write_records(disk, 3)
        raw, after = open_log(disk).raw(2, 1)
        assert (indexes(raw), after) == ([2], 3)

    def test_going_on_searches_nothing(self) -> None:
        disk = MemoryDisk()
        log = open_log(disk)
        at = 1
        for number in range(30):
            log.append([Set(b"w", number)])
            log.sync()
            before = disk.calls.copy()
            _, at = log.raw(at, 1000)
            assert (disk.calls - before)["read_at"] == 1

    def test_few_places_are_remembered(self) -> None:
        disk = MemoryDisk()
        write_records(disk, 60)
        log = open_log(disk)
        for index in range(1, 61):
            log.raw(index, 1)
        assert len(log._places) == LOG_PLACES_MAX

    def test_what_was_cut_off_is_named(self) -> None:
        disk = MemoryDisk()
        write_records(disk, 60)
        log = open_log(disk)
        log.detach(10_000)
        with pytest.raises(NotFound, match=r"record 1 was cut off the log, which begins with"):
            log.raw(1, 1000)

    def test_damage_is_not_passed_on(self) -> None:
        disk = MemoryDisk()
        write_records(disk, 3)
        log = open_log(disk)
        first = len(log.raw(1, 1)[0])
        disk.flip_bit("log/00000001.log", 104 + first + 40)
        assert indexes(log.raw(1, 10_000)[0]) == [1]
        with pytest.raises(Corrupt, match=r"holds a damaged record .* record 2"):
            log.raw(2, 1000)
