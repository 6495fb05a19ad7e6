"""The task processes of a worker: some warm ahead of need, used ones kept for their job.

A process is in one place: *warm* (it belongs to no job yet), *taken* (an attempt has it), *idle*
(its job may use it again), or dead. It goes warm → taken → idle → taken …, and dies after an
attempt that failed, after ``TASKS_MAX`` tasks, with its job, or when too many are idle.

Processes are started in one thread that ends only with the worker: the kernel kills them when
that thread ends, and by that when the worker is killed. A start can hang, as Python does that
lies on a disk which does not answer: whoever needs a process waits for ``TASK_START_NS``, and the
thread goes on when the disk does.

One that died while it waited, killed by the kernel for memory or by hand, is replaced before an
attempt gets it. Where all die as they start, so many are replaced as are kept warm; the next one
is handed out as it is, and its attempt tells how it died.
"""

from __future__ import annotations

import sys
from collections import deque
from itertools import count
from pathlib import Path
from threading import Condition, Thread

from dfs.errors import Unavailable
from dfs.limits import SECOND_NS
from mapreduce.limits import TASK_DEATH_NS, TASK_START_NS
from mapreduce.worker.process_tree import end_tagged
from mapreduce.worker.scratch import remove_tree
from mapreduce.worker.task_child import TaskChild
from mapreduce.worker.task_groups import NOTE, TaskGroups, clear_noted

TASKS_MAX = 32
"""A process is replaced after so many tasks, so that what user code leaks stays small."""


class ProcessPool:
    """Hands out task processes; its methods may be called from any thread."""

    def __init__(
        self, folder: Path, spares: int, idle_max: int, start_ns: int = TASK_START_NS
    ) -> None:
        """Processes live in ``folder``, which is emptied: what an earlier worker left is killed."""
        self._folder = folder.resolve()
        clear_noted(self._folder)
        end_tagged(str(self._folder))
        remove_tree(self._folder)
        self._folder.mkdir(mode=0o700, parents=True)
        self.groups = TaskGroups.of(self._folder)
        self._spares = spares
        self._idle_max = idle_max
        self._start_s = start_ns / SECOND_NS
        self._changed = Condition()
        self._warm: deque[TaskChild] = deque()
        self._idle: deque[tuple[str, TaskChild]] = deque()
        self._waiting = 0
        self._error: OSError | None = None
        self._closed = False
        self._spawner = Thread(target=self._spawn, name="spawner", daemon=True)
        self._spawner.start()

    def take(self, job_id: str) -> tuple[TaskChild, bool]:
        """A process for a task of this job, and whether it has the job open already.

        Waits while one is started. Raises Unavailable when none can be, or none is in time.
        """
        used = self._pop_idle(job_id)
        if used is not None:
            return used, True
        child = self._pop_warm()
        for _ in range(self._spares):
            if child.alive:
                break
            child.kill()
            child = self._pop_warm()
        return child, False

    def give_back(self, job_id: str, child: TaskChild) -> None:
        """An attempt ended well and its process may run another one of its job."""
        if child.tasks_begun >= TASKS_MAX or self._closed:
            child.kill()
            return
        with self._changed:
            self._idle.append((job_id, child))
            surplus = self._idle.popleft()[1] if len(self._idle) > self._idle_max else None
        if surplus is not None:
            surplus.kill()

    def drop_job(self, job_id: str) -> None:
        """The job is over: end the processes kept for it."""
        while (child := self._pop_idle(job_id)) is not None:
            child.kill()

    def close(self) -> None:
        """End every process that no attempt has; no more are started.

        A process whose start hangs dies with the thread that starts it.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._spawner.join(TASK_DEATH_NS / SECOND_NS)
        for child in [*self._warm, *(child for _, child in self._idle)]:
            child.kill()
        if self.groups.close():
            (self._folder / NOTE).unlink(missing_ok=True)

    def _pop_idle(self, job_id: str) -> TaskChild | None:
        """Take the youngest living idle process of a job."""
        while True:
            with self._changed:
                entry = next((e for e in reversed(self._idle) if e[0] == job_id), None)
                if entry is None:
                    return None
                self._idle.remove(entry)
            if entry[1].alive:
                return entry[1]
            entry[1].kill()

    def _pop_warm(self) -> TaskChild:
        """Take the oldest warm process, which may be dead, or wait for one."""
        with self._changed:
            self._waiting += 1
            self._error = None
            self._changed.notify_all()
            try:
                self._changed.wait_for(
                    lambda: self._warm or self._error or self._closed, self._start_s
                )
                if not self._warm:
                    raise Unavailable(f"no task process can be started: {self._why_none()}")
                return self._warm.popleft()
            finally:
                self._waiting -= 1
                self._changed.notify_all()

    def _spawn(self) -> None:
        for number in count(1):
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._is_short())
                if self._closed:
                    return
            try:
                child = TaskChild.start(self._folder / str(number), self.groups)
            except OSError as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                continue
            with self._changed:
                self._warm.append(child)
                self._changed.notify_all()

    def _why_none(self) -> str:
        if self._closed:
            return "the worker is closing"
        return str(self._error or f"{sys.executable} did not start in {self._start_s:g} s")

    def _is_short(self) -> bool:
        return self._error is None and len(self._warm) < self._spares + self._waiting
