"""Copies of the log on a datanode's disk: what is kept, what a crash leaves, who may change it."""

from __future__ import annotations

import errno
import hashlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.datanode.kept_log import LogCopies
from dfs.datanode.log_keeper import KeeperAnswer, KeeperRequest, KeeperWork
from dfs.epoch_file import KIND as EPOCH_KIND
from dfs.epoch_file import render_epoch
from dfs.errors import Corrupt, NotFound, StorageFault
from dfs.limits import KIB
from dfs.log_format import pack_record, read_record
from dfs.manifest import Manifest, render
from dfs.testing.disk import MemoryDisk
from dfs.wire.keeper import (
    AppendLog,
    BeginLog,
    GetKeptLog,
    KeepSnapshot,
    KeptLog,
    KeptRecords,
    KeptSnapshot,
    LogKept,
    ReadKeptLog,
    ReadKeptSnapshot,
)
from tests.damage import every_damage, put

CLUSTER = "c-test"
EPOCH_REMEDY = EPOCH_KIND.remedy
SEGMENT_BYTES = 1 * KIB


class Story:
    """A log of one history: record ``n`` says so."""

    def __init__(self, name: str, records: int) -> None:
        self.raw: list[bytes] = []
        self.checksums = [0]
        for index in range(1, records + 1):
            payload = f"{name} {index}".encode() * 3
            record, checksum = pack_record(index, index - 1, self.checksums[-1], payload)
            self.raw.append(record)
            self.checksums.append(checksum)

    def bytes_of(self, first: int, last: int) -> bytes:
        return b"".join(self.raw[first - 1 : last])


OURS, OTHER = Story("ours", 60), Story("other", 60)


def manifest_of(data: bytes, index: int) -> bytes:
    digest = hashlib.blake2b(data, digest_size=32).hexdigest()
    return render(Manifest(CLUSTER, index, "rows", len(data), digest))


class Keeper:
    """A keeper on a disk in memory; ``restart`` is a new process on the same disk."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.restart()

    def restart(self) -> None:
        self.copies = LogCopies(self.disk, CLUSTER, SEGMENT_BYTES)

    def do(self, request: KeeperRequest, payload: bytes = b"") -> KeeperAnswer:
        return self.copies.execute(KeeperWork(request, payload))

    def begin(self, story: Story, first: int = 1, epoch: int = 1) -> None:
        self.do(BeginLog(epoch, first, story.checksums[first - 1]))

    def append(
        self, story: Story, first: int, last: int, *, epoch: int = 1, whole: bool = True
    ) -> int:
        answer = self.do(AppendLog(epoch, first, whole), story.bytes_of(first, last)).message
        assert isinstance(answer, LogKept)
        return answer.through

    def keep(self, data: bytes, index: int, piece: int = 7) -> None:
        """Send a snapshot in pieces."""
        for at in range(0, len(data), piece):
            self.do(KeepSnapshot(1, at, manifest_of(data, index)), data[at : at + piece])

    def snapshot(self, index: int) -> tuple[bytes, bytes]:
        """Data and manifest of the snapshot that is kept."""
        answer = self.do(ReadKeptSnapshot(index, 0))
        assert isinstance(answer.message, KeptSnapshot)
        assert answer.message.size == len(answer.payload)
        return answer.payload, answer.message.manifest

    def found(self) -> KeptLog:
        answer = self.do(GetKeptLog()).message
        assert isinstance(answer, KeptLog)
        return answer

    def everything(self) -> bytes:
        """All bytes that are kept, piece by piece."""
        found, data = self.found(), b""
        following = found.first
        while 0 < following <= found.last:
            answer = self.do(ReadKeptLog(following))
            assert isinstance(answer.message, KeptRecords)
            data += answer.payload
            following = answer.message.next
        return data


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


def test_without_a_copy_there_is_nothing_and_nothing_can_be_appended(keeper: Keeper) -> None:
    assert keeper.found() == KeptLog(0, 0, 0, 0)
    with pytest.raises(NotFound, match="no copy of the log is kept here"):
        keeper.append(OURS, 1, 2)
    with pytest.raises(NotFound):
        keeper.do(ReadKeptLog(1))


def test_what_was_confirmed_is_there_after_a_power_loss(keeper: Keeper) -> None:
    keeper.begin(OURS)
    assert keeper.append(OURS, 1, 20, whole=False) == 20
    assert keeper.append(OURS, 21, 40) == 40
    assert keeper.append(OURS, 41, 41) == 41
    keeper.disk.crash()
    keeper.restart()
    assert keeper.found() == KeptLog(1, 1, 41, OURS.checksums[41])
    assert keeper.everything() == OURS.bytes_of(1, 41)
    assert keeper.append(OURS, 42, 60) == 60
    assert keeper.everything() == OURS.bytes_of(1, 60)


def test_a_copy_may_begin_behind_the_first_record(keeper: Keeper) -> None:
    keeper.begin(OURS, 11)
    keeper.append(OURS, 11, 29, whole=False)
    with pytest.raises(Corrupt, match="no snapshot stands for the records before 11"):
        keeper.append(OURS, 30, 30)
    keeper.keep(b"all before 11", 10)
    keeper.append(OURS, 30, 30)
    assert keeper.found() == KeptLog(1, 11, 30, OURS.checksums[30], 10)
    with pytest.raises(NotFound, match="record 10 is not kept here: there are 11 to 30"):
        keeper.do(ReadKeptLog(10))


def test_repetitions_are_skipped_and_gaps_and_strangers_are_refused(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 10)
    assert keeper.append(OURS, 5, 12) == 12
    assert keeper.append(OURS, 1, 3) == 12
    with pytest.raises(Corrupt, match="record 14 does not follow record 12"):
        keeper.append(OURS, 14, 15)
    with pytest.raises(Corrupt, match="record 12 is another one"):
        keeper.append(OTHER, 12, 13)
    with pytest.raises(Corrupt, match="record 13 does not follow"):
        keeper.append(OTHER, 13, 14)
    with pytest.raises(Corrupt, match="record 13 of the log arrived damaged"):
        keeper.do(AppendLog(1, 13, True), OURS.bytes_of(13, 13)[:-1] + b"?")
    assert keeper.everything() == OURS.bytes_of(1, 12)


def test_another_history_takes_the_place_only_when_it_is_whole(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 40)
    keeper.begin(OTHER, epoch=2)
    keeper.append(OTHER, 1, 20, epoch=2, whole=False)
    keeper.disk.crash()
    keeper.restart()
    assert keeper.everything() == OURS.bytes_of(1, 40)
    keeper.begin(OTHER, epoch=2)
    keeper.append(OTHER, 1, 20, epoch=2, whole=False)
    keeper.append(OTHER, 21, 30, epoch=2)
    keeper.disk.crash()
    keeper.restart()
    assert keeper.found() == KeptLog(2, 1, 30, OTHER.checksums[30])
    assert keeper.everything() == OTHER.bytes_of(1, 30)


def test_to_ask_what_is_kept_gives_up_a_second_copy(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 10)
    keeper.begin(OTHER)
    assert keeper.found().last == 10
    assert keeper.append(OURS, 11, 12) == 12


def test_damage_is_found_and_what_follows_it_does_not_count(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 30)
    (name, *_) = [n for n in keeper.disk.all_names() if n.endswith(".log")]
    at = keeper.disk.content(name).index(b"ours 4")
    keeper.disk.flip_bit(name, at)
    keeper.restart()
    found = keeper.found()
    assert (found.first, found.last, found.checksum) == (1, 3, OURS.checksums[3])
    assert found.remark == "record 4 is damaged"
    assert keeper.append(OURS, 4, 30) == 30
    assert keeper.everything() == OURS.bytes_of(1, 30)


def test_a_damaged_header_cuts_the_copy_there(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 30)
    names = [n for n in keeper.disk.all_names() if n.endswith(".log")]
    keeper.disk.flip_bit(names[1], 12)
    keeper.restart()
    found = keeper.found()
    assert found.remark == f"what followed record {found.last} is missing or damaged"
    assert keeper.append(OURS, found.last + 1, 30) == 30


def test_the_log_of_another_cluster_does_not_count(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 5)
    keeper.copies = LogCopies(keeper.disk, "c-else", SEGMENT_BYTES)
    assert keeper.found() == KeptLog(0, 0, 0, 0)


@pytest.mark.parametrize("name", ["keeper/CURRENT", "keeper/a/EPOCH"])
def test_a_damaged_label_hides_a_copy_or_heals(keeper: Keeper, name: str) -> None:
    """Which copy counts can be told while there is one; of which epoch it is cannot."""
    keeper.begin(OURS)
    keeper.append(OURS, 1, 9, epoch=12)
    sound, good = keeper.found(), keeper.disk.content(name)
    for damaged in every_damage(good):
        put(keeper.disk, name, damaged)
        keeper.restart()
        found = keeper.found()
        if name.endswith("EPOCH"):
            assert found == KeptLog(0, 0, 0, 0, 0, f"{name} is damaged: {EPOCH_REMEDY}")
        else:
            assert found == sound
    keeper.begin(OURS, epoch=13)
    keeper.append(OURS, 1, 10, epoch=13)
    assert keeper.found() == KeptLog(13, 1, 10, OURS.checksums[10])
    keeper.disk.crash()
    keeper.restart()
    assert keeper.found() == KeptLog(13, 1, 10, OURS.checksums[10])


@pytest.mark.parametrize("content", [b"", render_epoch(1)])
def test_of_two_copies_none_is_shown_when_nobody_says_which(keeper: Keeper, content: bytes) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 9)
    keeper.begin(OTHER)
    keeper.append(OTHER, 1, 3, whole=False)
    put(keeper.disk, "keeper/CURRENT", content)
    keeper.restart()
    found = keeper.found()
    assert (found.first, found.last) == (0, 0)
    assert found.remark.startswith("keeper/CURRENT is ")
    keeper.begin(OURS)
    keeper.append(OURS, 1, 9)
    assert keeper.found() == KeptLog(1, 1, 9, OURS.checksums[9])


@pytest.mark.parametrize("call", ["write_at", "sync"])
def test_after_an_error_of_the_disk_nothing_is_claimed_until_a_restart(
    keeper: Keeper, call: str
) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 3)
    keeper.disk.fail(call)
    with pytest.raises(StorageFault, match="Input/output error"):
        keeper.append(OURS, 4, 5)
    with pytest.raises(StorageFault, match="failed earlier"):
        keeper.append(OURS, 4, 5)
    keeper.disk.crash()
    keeper.restart()
    assert keeper.found().last == 3


def test_when_nobody_knows_which_copy_counts_nothing_is_done(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 3, whole=False)
    keeper.disk.fail("rename", 2)
    with pytest.raises(StorageFault):
        keeper.append(OURS, 4, 5, epoch=2)
    with pytest.raises(StorageFault, match="start the datanode again"):
        keeper.found()


def test_a_full_disk_refuses_and_recovers(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 5)
    keeper.disk.fail("create", number=errno.ENOSPC)
    with pytest.raises(StorageFault, match="No space left"):
        keeper.append(OURS, 6, 30)
    last = keeper.found().last
    assert 5 <= last < 30
    assert keeper.append(OURS, last + 1, 30) == 30
    keeper.disk.crash()
    keeper.restart()
    assert keeper.everything() == OURS.bytes_of(1, 30)


@given(st.data())
def test_a_crash_at_any_call_loses_nothing_that_was_confirmed(data: st.DataObject) -> None:
    keeper = Keeper()
    confirmed, story = 0, OURS
    for _ in range(data.draw(st.integers(1, 4))):
        keeper.disk.fail("*", data.draw(st.integers(1, 40)))
        try:
            found = keeper.found()
            if found.last > confirmed or not found.first:
                confirmed = found.last
            if not found.first:
                keeper.begin(story)
            while confirmed < 50:
                upto = min(50, confirmed + data.draw(st.integers(1, 12)))
                confirmed = keeper.append(story, confirmed + 1, upto)
        except StorageFault:
            pass
        keeper.disk.crash(Random(data.draw(st.integers(0, 1000))))
        keeper.restart()
        found = keeper.found()
        assert found.last >= confirmed
        assert keeper.everything() == story.bytes_of(1, found.last)
        confirmed = found.last


def test_every_record_that_is_read_is_sound(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 60)
    data, at, index = keeper.everything(), 0, 0
    while at < len(data):
        record = read_record(data, at)
        assert record is not None
        at, index = record.end, index + 1
    assert index == 60


def test_a_copy_is_of_an_epoch_once_it_has_all_that_its_namenode_had(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 10)
    keeper.append(OURS, 11, 20, epoch=2, whole=False)
    keeper.restart()
    assert keeper.found() == KeptLog(1, 1, 20, OURS.checksums[20])
    keeper.append(OURS, 21, 30, epoch=2)
    keeper.restart()
    assert keeper.found() == KeptLog(2, 1, 30, OURS.checksums[30])
