"""A torn end is cut; damage is never taken for it."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.errors import Corrupt, DfsError, NotSupported, Refused, StorageFault
from dfs.log_format import HEADER_BYTES, Record, read_record
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.log import Log
from dfs.namenode.log_recovery import storage_faults
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

FIRST = "log/00000001.log"
SECOND = "log/00000002.log"


def replace(disk: MemoryDisk, name: str, content: bytes) -> None:
    """Write a file's bytes anew, durably."""
    file = disk.open(name, write=True)
    file.write_at(0, content.ljust(len(disk.content(name)), b"\0"))
    file.sync()
    file.close()


def records_of(content: bytes) -> list[tuple[int, Record]]:
    """(offset, record) of each record of a sound segment."""
    found, at = [], HEADER_BYTES
    while (record := read_record(content, at)) is not None:
        found.append((at, record))
        at = record.end
    return found


def snapshot(disk: MemoryDisk) -> dict[str, bytes]:
    return {name: disk.content(name) for name in disk.all_names()}


def refuses(disk: MemoryDisk, error: type[DfsError], match: str, applied_index: int = 0) -> None:
    """Opening fails with one line that says what, and changes nothing."""
    before = snapshot(disk)
    with pytest.raises(error, match=match) as caught:
        open_log(disk, applied_index)
    assert "\n" not in str(caught.value)
    assert snapshot(disk) == before


def test_every_prefix_of_the_last_record_is_cut() -> None:
    disk = MemoryDisk()
    write_records(disk, 3)
    whole = disk.content(FIRST)
    offset, last = records_of(whole)[-1]
    for length in range(offset, last.end):
        replace(disk, FIRST, whole[:length])
        log = open_log(disk)
        assert numbers_in(log) == [1, 2]
        assert log.append([Set(b"other", 30)]) == 3
        log.sync()
        assert numbers_in(open_log(disk)) == [1, 2, 30]


def test_every_byte_flipped_is_noticed_or_was_in_the_last_batch() -> None:
    """Four records, synced two by two: the log itself proves the first two durable."""
    disk = MemoryDisk()
    write_records(disk, 4, per_sync=2)
    whole = disk.content(FIRST)
    spots = [offset for offset, _ in records_of(whole)]
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 0x04
        replace(disk, FIRST, bytes(flipped))
        if at < spots[2]:
            with pytest.raises((Corrupt, NotSupported)):
                open_log(disk)
        else:
            kept = 2 if at < spots[3] else 3 if at < records_of(whole)[3][1].end else 4
            assert numbers_in(open_log(disk)) == [1, 2, 3, 4][:kept]


def test_every_byte_flipped_is_damage_when_the_view_has_it() -> None:
    disk = MemoryDisk()
    write_records(disk, 4, per_sync=4)
    whole = disk.content(FIRST)
    for at in range(records_of(whole)[-1][1].end):
        flipped = bytearray(whole)
        flipped[at] ^= 0x04
        replace(disk, FIRST, bytes(flipped))
        with pytest.raises((Corrupt, NotSupported)):
            open_log(disk, applied_index=4)


def test_damage_is_named_by_segment_offset_and_record() -> None:
    disk = MemoryDisk()
    write_records(disk, 3)
    offset = records_of(disk.content(FIRST))[1][0]
    disk.flip_bit(FIRST, offset + 40)
    refuses(disk, Corrupt, rf"00000001\.log holds a damaged record \(offset {offset}, record 2\)")


def test_damage_in_an_earlier_segment_is_never_a_torn_end() -> None:
    disk = MemoryDisk()
    write_records(disk, 60)
    (offset, last) = records_of(disk.content(FIRST))[-1]
    for at in (offset, last.end - 1, offset + 16):
        disk.flip_bit(FIRST, at)
        refuses(disk, Corrupt, rf"offset {offset}, record {last.index}\)")
        disk.flip_bit(FIRST, at)
    disk.flip_bit(FIRST, SEGMENT_BYTES - 1)
    refuses(disk, Corrupt, "bytes behind its last record")


def test_what_was_cut_never_comes_back() -> None:
    """Record 3 is torn, 4 and 5 of its batch are whole; then 3 is written again, as long."""
    disk = MemoryDisk()
    write_records(disk, 2)
    log = open_log(disk)
    for number in (3, 4, 5):
        log.append([Set(b"w%d" % number, number)])
    log.sync()
    disk.flip_bit(FIRST, records_of(disk.content(FIRST))[2][0] + 40)
    log = open_log(disk)
    assert numbers_in(log) == [1, 2]
    disk.crash()
    log = open_log(disk)
    log.append([Set(b"w3", 30)])
    log.sync()
    disk.crash()
    assert numbers_in(open_log(disk)) == [1, 2, 30]


def test_records_in_the_page_cache_only_are_made_durable_before_they_are_served() -> None:
    """After a failed sync the bytes read back, and syncing again would not bring them to disk."""
    disk = MemoryDisk()
    write_records(disk, 1)
    log = open_log(disk)
    log.append([Set(b"b", 2)])
    disk.fail("sync")
    with pytest.raises(StorageFault):
        log.sync()
    assert numbers_in(open_log(disk)) == [1, 2]
    disk.crash()
    assert numbers_in(open_log(disk)) == [1, 2]


def test_a_record_of_another_place_is_damage() -> None:
    disk = MemoryDisk()
    write_records(disk, 3)
    whole = disk.content(FIRST)
    (a, one), (b, _), _ = records_of(whole)
    replace(disk, FIRST, whole[:b] + whole[a : one.end] + whole[b + one.end - a :])
    refuses(disk, Corrupt, "sound record 1 that does not follow")


def test_a_log_of_another_cluster_is_refused() -> None:
    disk = MemoryDisk()
    Log.open(disk, CommandCodec(MODULES), "c-other", 0, SEGMENT_BYTES).close()
    refuses(disk, Refused, f"cluster 'c-other' and this is cluster '{CLUSTER}'")


def test_a_newer_format_is_refused_untouched() -> None:
    disk = MemoryDisk()
    write_records(disk, 1)
    content = bytearray(disk.content(FIRST))
    content[11] = 2
    replace(disk, FIRST, bytes(content))
    refuses(disk, NotSupported, "format 2 and this program knows 1")


def test_missing_segments_are_noticed() -> None:
    disk = MemoryDisk()
    write_records(disk, 90)
    disk.unlink(SECOND)
    refuses(disk, Corrupt, "before log/00000003.log is missing")
    disk.unlink(FIRST)
    refuses(disk, Corrupt, "00000003.log begins the log and the view ends before it")
    for name in disk.all_names():
        disk.unlink(name)
    refuses(disk, Corrupt, "log holds no log and the view is of record 9", applied_index=9)


def test_a_log_may_begin_behind_a_cut() -> None:
    disk = MemoryDisk()
    write_records(disk, 60)
    disk.unlink(FIRST)
    log = open_log(disk, applied_index=40)
    assert log.first_index > 1
    assert numbers_in(log, log.first_index) == list(range(log.first_index, 61))


def test_a_header_lost_from_a_used_segment_is_damage() -> None:
    disk = MemoryDisk()
    write_records(disk, 2)
    replace(disk, FIRST, bytes(HEADER_BYTES) + disk.content(FIRST)[HEADER_BYTES:])
    refuses(disk, Corrupt, "header of log/00000001.log is damaged")


def test_a_renamed_segment_is_noticed() -> None:
    disk = MemoryDisk()
    write_records(disk, 2)
    disk.rename(FIRST, SECOND)
    refuses(disk, Corrupt, "00000002.log calls itself segment 1")


def test_a_view_ahead_of_the_log_is_corruption() -> None:
    disk = MemoryDisk()
    write_records(disk, 5)
    refuses(disk, Corrupt, "the view is ahead of it, with record 6", applied_index=6)
    assert open_log(disk, 5).next_index == 6


def test_other_files_in_the_folder_are_left_alone() -> None:
    disk = MemoryDisk()
    write_records(disk, 1)
    disk.create("log/notes.txt").close()
    assert numbers_in(open_log(disk)) == [1]
    assert disk.exists("log/notes.txt")


def test_an_unreadable_log_is_a_fault_of_the_disk() -> None:
    for call in ("names", "open", "read_at"):
        disk = MemoryDisk()
        write_records(disk, 1)
        disk.fail(call)
        with pytest.raises(StorageFault, match="cannot read log"):
            open_log(disk)


@settings(deadline=None, max_examples=150)
@given(
    batches=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    crash_in=st.integers(0, 40),
    seed=st.integers(0, 2**32),
)
def test_power_cuts_at_any_call_lose_nothing_synced(
    batches: list[int], crash_in: int, seed: int
) -> None:
    """The call that fails stands for the moment of the cut; sectors reach the disk at random."""
    disk, rng = MemoryDisk(), Random(seed)
    synced, appended = 0, 0
    for batch in batches:
        disk.fail("*", crash_in + 1)
        with suppress(StorageFault):
            log = open_log(disk)
            for _ in range(3):
                appended = log.next_index - 1
                for _ in range(batch):
                    appended = log.append([Set(b"word", log.next_index)])
                log.sync()
                synced = log.durable_index
        disk.crash(rng)
        found = numbers_in(open_log(disk))
        assert found == list(range(1, len(found) + 1))
        assert synced <= len(found) <= max(synced, appended)
        synced = len(found)


def test_errors_of_the_system_become_faults_and_other_errors_stay() -> None:
    with (
        pytest.raises(StorageFault, match=r"^cannot read it: No such file"),
        storage_faults("cannot read it"),
    ):
        raise FileNotFoundError(2, "No such file")
    with pytest.raises(Corrupt), storage_faults("cannot read it"):
        raise Corrupt("a bad byte")
