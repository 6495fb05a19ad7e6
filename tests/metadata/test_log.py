"""Appending, group commit, segments, and what the log does when its disk fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dfs.disk import LocalDisk
from dfs.errors import StorageFault
from dfs.limits import LOG_SEGMENT_BYTES
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.log import Log
from dfs.testing.disk import ANY_CALL, MemoryDisk
from tests.metadata.counting import (
    CLUSTER,
    MODULES,
    SEGMENT_BYTES,
    Said,
    Set,
    numbers_in,
    open_log,
)


def test_a_new_log_is_empty() -> None:
    log = open_log(MemoryDisk())
    assert (log.first_index, log.next_index, log.durable_index) == (1, 1, 0)
    assert list(log.replay(1)) == []


def test_records_come_back_with_their_commands_together() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    first = [Set(b"a", 1), Said("both in one record")]
    assert (log.append(first), log.append([Set(b"b", 2)])) == (1, 2)
    log.sync()
    for again in (log, open_log(disk)):
        assert list(again.replay(1)) == [(1, first), (2, [Set(b"b", 2)])]
        assert list(again.replay(2)) == [(2, [Set(b"b", 2)])]
        assert list(again.replay(3)) == []


def test_one_write_and_one_sync_for_all_that_was_appended() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    before = dict(disk.calls)
    for number in range(10):
        log.append([Set(b"w", number)])
    assert (log.next_index, log.durable_index) == (11, 0)
    log.sync()
    assert log.durable_index == 10
    assert disk.calls["write_at"] - before["write_at"] == 1
    assert disk.calls["sync"] - before["sync"] == 1


def test_nothing_to_sync_costs_nothing() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    before = disk.calls.copy()
    log.sync()
    assert disk.calls == before


def test_what_was_not_synced_is_not_in_the_log() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    log.append([Set(b"a", 1)])
    log.sync()
    log.append([Set(b"b", 2)])
    log.close()
    assert numbers_in(open_log(disk)) == [1]


def test_the_log_goes_on_in_the_next_segment() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    for number in range(1, 101):
        log.append([Set(b"word", number)])
        if number % 7 == 0:
            log.sync()
    log.sync()
    names = disk.names("log")
    assert len(names) > 3
    assert all(len(disk.content(f"log/{name}")) == SEGMENT_BYTES for name in names)
    assert numbers_in(log) == list(range(1, 101))
    disk.crash()
    log = open_log(disk)
    assert numbers_in(log) == list(range(1, 101))
    assert numbers_in(log, 60) == list(range(60, 101))
    assert (log.first_index, log.next_index) == (1, 101)


def test_a_segment_prepared_ahead_is_used_without_another_allocation() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    assert not log.wants_segment
    while not log.wants_segment:
        log.append([Set(b"word", log.next_index)])
        log.sync()
    log.prepare_segment()
    assert not log.wants_segment
    created = disk.calls["create"]
    while disk.content("log/00000002.log").strip(b"\0") == b"":
        log.append([Set(b"word", log.next_index)])
        log.sync()
    assert disk.calls["create"] == created
    assert numbers_in(log) == list(range(1, log.next_index))


def test_a_segment_prepared_and_not_begun_is_made_anew_at_the_next_start() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    log.append([Set(b"a", 1)])
    log.sync()
    log.prepare_segment()
    log = open_log(disk)
    assert disk.names("log") == ["00000001.log"]
    log.prepare_segment()
    assert numbers_in(log) == [1]


def test_a_record_that_cannot_fit_is_a_mistake_of_the_program() -> None:
    log = open_log(MemoryDisk())
    with pytest.raises(AssertionError, match="record 1 would have"):
        log.append([Said("x" * SEGMENT_BYTES)])


@pytest.mark.parametrize("call", ["write_at", "sync"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_after_an_error_the_log_takes_and_tells_nothing_more(call: str, number: int) -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    log.append([Set(b"a", 1)])
    disk.fail(call, 1, number)
    named = f"the log cannot be written: log/.+: {os.strerror(number)}"
    with pytest.raises(StorageFault, match=named):
        log.sync()
    for action in (log.sync, log.prepare_segment, lambda: log.append([Set(b"b", 2)])):
        with pytest.raises(StorageFault, match="failed earlier"):
            action()
    assert log.durable_index == 0


@pytest.mark.parametrize("call", ["create", "sync", "sync_folder"])
def test_a_segment_that_cannot_be_prepared_ends_the_log(call: str) -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    disk.fail(call, 1, errno.EIO)
    with pytest.raises(StorageFault, match="no space can be reserved"):
        log.prepare_segment()
    with pytest.raises(StorageFault, match="failed earlier"):
        log.append([Set(b"a", 1)])
    assert numbers_in(open_log(disk)) == []


def test_on_a_full_disk_a_segment_is_not_prepared_until_there_is_room() -> None:
    disk = MemoryDisk()
    log = open_log(disk)
    disk.capacity_bytes = disk.used_bytes
    assert not log.prepare_segment()
    log.append([Set(b"word", 1)])
    log.sync()
    disk.capacity_bytes += SEGMENT_BYTES
    assert log.prepare_segment()
    assert log.durable_index == 1


def test_a_full_disk_ends_the_log_before_anything_of_the_next_segment_is_acknowledged() -> None:
    disk = MemoryDisk(capacity_bytes=2 * SEGMENT_BYTES + 100)
    log = open_log(disk)
    full = ""
    while not full:
        durable = log.durable_index
        try:
            log.append([Set(b"word", log.next_index)])
            log.sync()
        except StorageFault as error:
            full = str(error)
    assert "No space left" in full
    disk.crash()
    assert numbers_in(open_log(disk)) == list(range(1, durable + 1))


def test_each_call_of_the_disk_may_fail_and_nothing_synced_is_lost() -> None:
    """The n-th call fails, for each n; then power is cut; then the log is opened again."""
    for nth in range(1, 1000):
        disk = MemoryDisk()
        disk.fail(ANY_CALL, nth)
        synced = 0
        try:
            log = open_log(disk)
            for number in range(1, 41):
                log.append([Set(b"word", number)])
                if number % 3 == 0:
                    log.sync()
                    synced = number
                if log.wants_segment:
                    log.prepare_segment()
            log.close()
        except StorageFault:
            disk.crash()
            found = numbers_in(open_log(disk))
            assert found[:synced] == list(range(1, synced + 1))
            assert len(found) <= synced + 3
        else:
            break
    assert nth > 50
    assert synced == 39


def test_it_runs_on_the_real_disk(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path)
    log = Log.open(disk, CommandCodec(MODULES), CLUSTER)
    for number in range(1, 4):
        log.append([Set(b"word", number)])
        log.sync()
    log.prepare_segment()
    log.close()
    assert (tmp_path / "log/00000001.log").stat().st_size == LOG_SEGMENT_BYTES
    log = Log.open(disk, CommandCodec(MODULES), CLUSTER, applied_index=2)
    assert numbers_in(log) == [1, 2, 3]
    log.close()
