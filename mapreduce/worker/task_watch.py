"""Keeps running tasks within their memory, and the disk from being filled by one of them.

All running attempts are looked at each ``LOOK_NS``, for either by a thread of its own, since a
disk may hang:

* *Memory.* What the task process and all that it started hold together may not be more than the
  attempt's limit. Between two looks a task can go beyond it by what it fills in that time.
* *Scratch.* While the disk has room above its reserve nobody is held back. When the reserve is
  touched, the task with most in its private folder is ended if that is more than its share: of the
  room that there was when it began, an equal part for each slot. What the engine itself writes,
  runs and spills, is not counted: no job is at fault for its shuffle being larger than the disk.

Such an end is a fault of the job (``MEMORY``, ``SCRATCH``). An attempt that runs into a full disk
without being to blame fails by a fault of its node, and none is begun while there is no room. A
reduce that waits for a map gives up its segments, as such a fault, when an attempt could not begin:
the map that it waits for may be the one that needs the room.

The limit could also be a cgroup's, which would be exact. That takes a memory controller that was
delegated to the worker: nothing started from a shell or in a plain container has one, so this
look would be needed as well, and a word of where the task was cannot be had behind the kernel's
kill.
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
        for look in (self.look_at_memory, self.look_at_disk):
            Thread(target=self._look_on, args=(look,), name="watch", daemon=True).start()

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

    def _look_on(self, look: Callable[[], None]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._running or self._closed)
                self._changed.wait_for(lambda: self._closed, LOOK_NS / SECOND_NS)
                if self._closed:
                    return
            look()

    def look_at_memory(self) -> None:
        """End those that hold too much."""
        with self._changed:
            running = list(self._running.items())
        for attempt, bounds in running:
            held_bytes = attempt.memory_bytes(bounds.memory_bytes)
            if held_bytes > bounds.memory_bytes:
                limit = show(bounds.memory_bytes)
                held = f"memory limit of {limit} exceeded: {show(held_bytes)}"
                attempt.fail(FailureKind.MEMORY, held)
        end_orphans()

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


def show(size_bytes: int) -> str:
    """A size for people, in MiB."""
    return f"{-(-size_bytes // MIB)} MiB"
