"""Whom the watch ends: tasks beyond their memory, and the one that fills a full disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dfs.config import Reserve
from dfs.limits import GIB, MIB
from mapreduce.wire import FailureKind
from mapreduce.worker.scratch import ScratchDisk, remove_tree, used_bytes
from mapreduce.worker.task_watch import TaskWatch, default_limits, show


class Room:
    """A disk with so much room."""

    device = 1

    def __init__(self, room: int) -> None:
        self.room = room
        self.broken = False

    def room_bytes(self) -> int:
        if self.broken:
            raise OSError("it is gone")
        return self.room


class Attempt:
    """An attempt that holds so much memory and scratch, and what it was ended for."""

    def __init__(self, memory: int = 0, scratch: int = 0, waiting: int = 0) -> None:
        self.memory, self.scratch, self.waiting = memory, scratch, waiting
        self.group = self.cut = 0
        self.ends: list[tuple[FailureKind, str]] = []

    def group_bytes(self) -> int:
        return self.group

    def cut_at_bytes(self) -> int:
        return self.cut

    def memory_bytes(self, enough_bytes: int) -> int:
        return self.memory

    def scratch_bytes(self, device: int) -> int:
        return self.scratch

    def waiting_bytes(self) -> int:
        return self.waiting

    def fail(self, kind: FailureKind, text: str) -> None:
        self.ends.append((kind, text))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def watch(stack: ExitStack, disk: Room, *attempts: Attempt) -> TaskWatch:
    """A watch that looks only when it is asked to."""
    made = TaskWatch(disk, 2, 100 * MIB)
    made.close()
    for attempt in attempts:
        stack.enter_context(made.watching(attempt, made.limit_bytes(0)))
    return made


def test_a_task_beyond_its_memory_is_ended_and_no_other(stack: ExitStack) -> None:
    fat, thin = Attempt(100 * MIB + 1), Attempt(100 * MIB)
    watch(stack, Room(GIB), fat, thin).look_at_memory()
    assert fat.ends == [(FailureKind.MEMORY, "memory limit of 100 MiB exceeded: 101 MiB")]
    assert thin.ends == []


def test_a_group_that_counts_much_is_a_reason_to_look(stack: ExitStack) -> None:
    fat, caching, unseen = (Attempt(mib * MIB) for mib in (101, 1, 101))
    fat.group = caching.group = 101 * MIB
    watch(stack, Room(GIB), fat, caching, unseen).glance_at_groups()
    assert fat.ends == [(FailureKind.MEMORY, "memory limit of 100 MiB exceeded: 101 MiB")]
    assert (caching.ends, unseen.ends) == ([], []), "the cache is nobody's, and no group is fine"


def test_a_task_of_which_the_kernel_killed_a_part_is_ended(stack: ExitStack) -> None:
    cut = Attempt(MIB)
    cut.cut = 164 * MIB
    watch(stack, Room(GIB), cut).look_at_memory()
    assert cut.ends == [(FailureKind.MEMORY, "memory limit of 100 MiB exceeded: 164 MiB")]


def test_the_limit_of_the_job_goes_before_that_of_the_worker(stack: ExitStack) -> None:
    assert watch(stack, Room(GIB)).limit_bytes(5) == 5
    assert watch(stack, Room(GIB)).limit_bytes(0) == 100 * MIB


def test_nobody_is_held_back_while_the_disk_has_room(stack: ExitStack) -> None:
    hog = Attempt(scratch=GIB)
    made = watch(stack, Room(0), hog)
    made.look_at_disk()
    assert (hog.ends, made.lacks_room()) == ([], "")


def test_on_a_full_disk_the_task_with_more_than_its_share_is_ended(stack: ExitStack) -> None:
    """Two slots, and 100 MiB of room when they began."""
    hog, other = Attempt(scratch=60 * MIB), Attempt(scratch=40 * MIB)
    disk = Room(100 * MIB)
    made = watch(stack, disk, hog, other)
    disk.room = -MIB
    made.look_at_disk()
    text = "scratch limit exceeded: 60 MiB, with a share of 50 MiB on a disk that is full"
    assert (hog.ends, other.ends) == ([(FailureKind.SCRATCH, text)], [])
    assert made.blame(hog) == (FailureKind.SCRATCH, text)
    assert made.blame(other) == (FailureKind.NODE, "the scratch disk is full")


def test_nobody_is_ended_for_what_others_put_on_the_disk(stack: ExitStack) -> None:
    fair = Attempt(scratch=50 * MIB), Attempt(scratch=10 * MIB)
    disk = Room(100 * MIB)
    made = watch(stack, disk, *fair)
    disk.room = -MIB
    made.look_at_disk()
    assert [attempt.ends for attempt in fair] == [[], []]
    assert made.lacks_room() == "the scratch disk is full: 1 MiB of the reserve are in use"


def test_what_waits_gives_up_its_room_only_when_something_could_not_begin(
    stack: ExitStack,
) -> None:
    small, large = Attempt(waiting=MIB), Attempt(waiting=2 * MIB)
    busy, disk = Attempt(scratch=MIB), Room(100 * MIB)
    made = watch(stack, disk, small, large, busy)
    assert made.refusal() == ""
    disk.room = -MIB
    made.look_at_disk()
    assert large.ends == []
    assert made.refusal() == "the scratch disk is full: 1 MiB of the reserve are in use"
    made.look_at_disk()
    assert [kind for kind, _ in large.ends] == [FailureKind.NODE]
    made.look_at_disk()
    assert (len(large.ends), small.ends, busy.ends) == (1, [], [])


def test_nobody_is_ended_when_nobody_waits(stack: ExitStack) -> None:
    busy, disk = Attempt(scratch=MIB), Room(100 * MIB)
    made = watch(stack, disk, busy)
    disk.room = -MIB
    made.refusal()
    made.look_at_disk()
    assert busy.ends == []


def test_a_disk_that_cannot_be_asked_has_no_room_and_blames_nobody(stack: ExitStack) -> None:
    disk, task = Room(GIB), Attempt(scratch=MIB)
    made = watch(stack, disk, task)
    disk.broken = True
    made.look_at_disk()
    assert task.ends == []
    assert made.lacks_room().startswith("the scratch disk is full")
    assert made.blame(task)[0] is FailureKind.NODE


def test_the_reserve_is_at_most_a_gibibyte_and_a_tenth_of_the_disk(tmp_path: Path) -> None:
    greedy = ScratchDisk(tmp_path, Reserve(1 << 50, 90))
    modest = ScratchDisk(tmp_path, Reserve(0, 0))
    assert 0 <= modest.room_bytes() - greedy.room_bytes() <= GIB + 64 * MIB
    assert default_limits().memory_bytes == GIB


def test_sizes_count_files_once_and_follow_no_links(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file").write_bytes(bytes(MIB))
    (folder / "again").hardlink_to(folder / "below" / "file")
    (tmp_path / "elsewhere").write_bytes(bytes(8 * MIB))
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "to-folder").symlink_to(tmp_path)
    assert MIB <= used_bytes(folder) < 2 * MIB
    assert used_bytes(tmp_path / "nowhere") == 0
    remove_tree(folder)
    remove_tree(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere"]


def test_sizes_are_rounded_up() -> None:
    assert [show(size) for size in (0, 1, MIB, MIB + 1)] == ["0 MiB", "1 MiB", "1 MiB", "2 MiB"]
