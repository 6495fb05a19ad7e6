"""Keeps running tasks within their memory, and the disk from being filled by one of them.

All running attempts are looked at each ``LOOK_NS``, for either by a thread of its own, since a
disk may hang:

* *Memory.* What the task process and all that it started hold together may not be more than the
  attempt's limit. Where the kernel counts for a group of processes (``task_groups``), that number
  is read each ``GLANCE_NS``, and one that is too high is a reason to look at once. The kernel ends
  what still goes ``room_bytes`` beyond the limit. Without groups a task can go beyond it by what it
  fills between two looks.
* *Scratch.* While the disk has room above its reserve nobody is held back. When the reserve is
  touched, the task with most in its private folder is ended if that is more than its share: of the
  room that there was when it began, an equal part for each slot. What the engine itself writes,
  runs and spills, is not counted: no job is at fault for its shuffle being larger than the disk.

Such an end is a fault of the job (``MEMORY``, ``SCRATCH``). An attempt that runs into a full disk
without being to blame fails by a fault of its node, and none is begun while there is no room. A
reduce that waits for a map gives up its segments, as such a fault, when an attempt could not begin:
the map that it waits for may be the one that needs the room.

Groups do not make this look superfluous: their count has the cache in it, few machines give them to
a worker, and a word of where the task was cannot be had behind the kernel's kill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import Protocol

from dfs.config import Datanode, Reserve, Worker
from dfs.limits import MIB, MS_NS, SECOND_NS
from mapreduce.wire import FailureKind
from mapreduce.worker.process_tree import end_orphans
from mapreduce.worker.scratch import ScratchDisk

LOOK_NS = 200 * MS_NS
GLANCE_NS = 25 * MS_NS
REUSE_PERCENT = 70
"""A process that holds more of its limit than this after a task is not used again."""

Blame = tuple[FailureKind, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """What tasks may have: memory unless their job asks for another size, and the space on the
    disk that is none of theirs."""

    memory_bytes: int
    reserve: Reserve


def default_limits() -> Limits:
    """What a cluster gets that configures nothing."""
    return Limits(Worker().task_memory_bytes, Datanode().reserve)


class Disk(Protocol):
    """Where tasks write; ``device`` is its number."""

    device: int

    def room_bytes(self) -> int:
        """Bytes free above the reserve, less than 0 when it is touched. Raises OSError."""


class Watched(Protocol):
    """An attempt under way."""

    def memory_bytes(self, enough_bytes: int) -> int:
        """What its processes hold now, 0 if it has none; counted well above ``enough_bytes``."""

    def group_bytes(self) -> int:
        """What the kernel counts of them, cache with it; 0 if it does not."""

    def cut_at_bytes(self) -> int:
        """What they held when the kernel killed one of them for the limit; 0 if it did not."""

    def scratch_bytes(self, device: int) -> int:
        """What its processes have in their folder and in nameless files on this device."""

    def waiting_bytes(self) -> int:
        """What it has fetched, if it waits for more; else 0."""

    def fail(self, kind: FailureKind, text: str) -> None:
        """End it, for this reason."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What one attempt may have."""

    memory_bytes: int
    share_bytes: int


class TaskWatch:
    """See the module's text. Its methods may be called from any thread."""

    def __init__(self, disk: Disk, slots: int, memory_bytes: int) -> None:
        """Watch up to ``slots`` tasks, whose limit is ``memory_bytes`` unless they have another."""
        self._disk = disk
        self._slots = slots
        self._memory_bytes = memory_bytes
        self._running: dict[Watched, _Bounds] = {}
        self._changed = Condition()
        self._closed = False
        self._has_refused = False
        for look, every_ns in (
            (self.look_at_memory, LOOK_NS),
            (self.glance_at_groups, GLANCE_NS),
            (self.look_at_disk, LOOK_NS),
        ):
            arguments = (look, every_ns)
            Thread(target=self._look_on, args=arguments, name="watch", daemon=True).start()

    def limit_bytes(self, asked_bytes: int) -> int:
        """The memory of a task whose job asks for so much; 0: for nothing particular."""
        return asked_bytes or self._memory_bytes

    @classmethod
    def on(cls, folder: Path, slots: int, limits: Limits) -> TaskWatch:
        """A watch over tasks that write to the disk of ``folder``."""
        return cls(ScratchDisk(folder, limits.reserve), slots, limits.memory_bytes)

    @contextmanager
    def watching(self, attempt: Watched, limit_bytes: int) -> Iterator[None]:
        """Look at this attempt meanwhile."""
        share_bytes = max(self._room_bytes(), 0) // self._slots
        with self._changed:
            self._running[attempt] = _Bounds(limit_bytes, share_bytes)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                del self._running[attempt]

    def lacks_room(self) -> str:
        """Why no attempt should begin now, '' if one may."""
        room_bytes = self._room_bytes()
        if room_bytes >= 0:
            return ""
        return f"the scratch disk is full: {show(-room_bytes)} of the reserve are in use"

    def refusal(self) -> str:
        """Why this attempt does not begin now, '' if it may."""
        lacking = self.lacks_room()
        self._has_refused = self._has_refused or bool(lacking)
        return lacking

    def blame(self, attempt: Watched) -> Blame:
        """Whose fault it is that this attempt's own code ran into a full disk."""
        worst, text = self._worst()
        if worst is attempt:
            return FailureKind.SCRATCH, text
        return FailureKind.NODE, "the scratch disk is full"

    def close(self) -> None:
        """Look no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _look_on(self, look: Callable[[], None], every_ns: int) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._running or self._closed)
                self._changed.wait_for(lambda: self._closed, every_ns / SECOND_NS)
                if self._closed:
                    return
            look()

    def look_at_memory(self) -> None:
        """End those that hold too much."""
        with self._changed:
            running = list(self._running.items())
        for attempt, bounds in running:
            _judge_memory(attempt, bounds.memory_bytes)
        end_orphans()

    def glance_at_groups(self) -> None:
        """Look at the memory of those for which the kernel counts more than they may hold."""
        with self._changed:
            running = list(self._running.items())
        for attempt, bounds in running:
            if attempt.group_bytes() > bounds.memory_bytes:
                _judge_memory(attempt, bounds.memory_bytes)

    def look_at_disk(self) -> None:
        """End the one that fills it, else one that keeps others from beginning."""
        lacking = self.lacks_room()
        if not lacking:
            self._has_refused = False
            return
        worst, text = self._worst()
        if worst is not None:
            worst.fail(FailureKind.SCRATCH, text)
        elif self._has_refused:
            self._has_refused = False
            self._end_waiting(lacking)

    def _end_waiting(self, lacking: str) -> None:
        with self._changed:
            running = list(self._running)
        waiting = {attempt: attempt.waiting_bytes() for attempt in running}
        largest = max(running, key=waiting.__getitem__, default=None)
        if largest is not None and waiting[largest]:
            largest.fail(FailureKind.NODE, f"{lacking}, and it waits for other tasks")

    def _worst(self) -> tuple[Watched | None, str]:
        """The task that has most on the disk, if that is more than its share, and the words."""
        with self._changed:
            running = dict(self._running)
        used = {attempt: attempt.scratch_bytes(self._disk.device) for attempt in running}
        worst = max(running, key=used.__getitem__, default=None)
        if worst is None or used[worst] <= running[worst].share_bytes:
            return None, ""
        share = show(running[worst].share_bytes)
        return worst, (
            f"scratch limit exceeded: {show(used[worst])}, with a share of {share} on a disk that"
            " is full"
        )

    def _room_bytes(self) -> int:
        """As the disk says; a disk that cannot be asked takes nothing."""
        try:
            return self._disk.room_bytes()
        except OSError:
            return -1


def _judge_memory(attempt: Watched, limit_bytes: int) -> None:
    """End it if it holds too much, or if the kernel killed a part of it for that."""
    held_bytes = attempt.memory_bytes(limit_bytes)
    if held_bytes <= limit_bytes:
        held_bytes = attempt.cut_at_bytes()
    if held_bytes:
        attempt.fail(FailureKind.MEMORY, beyond(limit_bytes, held_bytes))


def beyond(limit_bytes: int, held_bytes: int) -> str:
    """What is said of a task that held too much."""
    return f"memory limit of {show(limit_bytes)} exceeded: {show(held_bytes)}"


def show(size_bytes: int) -> str:
    """A size for people, in MiB."""
    return f"{-(-size_bytes // MIB)} MiB"
