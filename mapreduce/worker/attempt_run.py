"""One attempt in a task process, from its order to the report of its end.

Every way in which an attempt can end leads through ``_end``, which leaves nothing behind: the
process is idle, or dead with all it started; open files are discarded; the attempt's folder is
gone. What the end means:

====================================  =====================================
what happened                         reported as
====================================  =====================================
the task said ``Succeeded``           ``AttemptSucceeded``
the user's code raised                ``USER`` with its failure
the process died before it had work   ``NODE``, with how
the process died or talked nonsense   ``CRASH``, with how, and what it printed last
our own code in the task failed       ``CRASH``, with its traceback
the input could not be read           ``INPUT``
a segment turned out to be damaged    ``FETCH`` with the run it came from
no process starts in time             ``NODE``
its processes held too much memory    ``MEMORY``, see ``task_watch``
its processes filled the disk         ``SCRATCH``, likewise
it made no progress for too long      ``TIMEOUT``
anything else around the code failed  ``NODE``
====================================  =====================================

The last three but one are told by whoever noticed them, with ``fail``. After ``stop`` the attempt
ends soon as well; whoever stopped it knows why and drops the report.
"""

from __future__ import annotations

import errno
import signal
from contextlib import closing
from pathlib import Path
from threading import Lock

from dfs.errors import DfsError, JobFault, ProtocolError, StorageFault
from mapreduce.job import MapTask
from mapreduce.limits import TASK_START_NS
from mapreduce.wire import (
    AttemptFailed,
    AttemptId,
    AttemptProgress,
    AttemptSucceeded,
    FailureKind,
)
from mapreduce.worker.attempt_log import AttemptLog
from mapreduce.worker.channel import ChannelClosed
from mapreduce.worker.job_files import JobFiles
from mapreduce.worker.process_pool import ProcessPool
from mapreduce.worker.reports import leaves_run, success_of
from mapreduce.worker.runs import RunStore
from mapreduce.worker.scratch import remove_tree, used_bytes
from mapreduce.worker.segments import Segments
from mapreduce.worker.serving import TaskFiles, TaskService
from mapreduce.worker.task_child import TaskChild
from mapreduce.worker.task_messages import (
    End,
    EnvironmentFailed,
    OpenJob,
    Question,
    Ready,
    StartMap,
    StartReduce,
    Succeeded,
    UserFailed,
)
from mapreduce.worker.task_watch import REUSE_PERCENT, Blame, TaskWatch, beyond
from mapreduce.worker.work import RunAttempt

Report = AttemptSucceeded | AttemptFailed
RUN_FILE = "run"
OF_THE_TASK = frozenset({DfsError.number, JobFault.number})
"""Errors that the task's own code raised, and not what is around it: another attempt would most
likely raise them again, so they count."""
NO_AVX2 = (
    "task processes die with SIGILL: this CPU lacks instructions that polars needs; "
    "run pip install 'polars[rtcompat]'"
)
FULL_DISK = f"[Errno {errno.ENOSPC}]"


class AttemptRun:
    """An attempt under way. ``run`` it in one thread; the rest may be called from others."""

    def __init__(
        self, order: RunAttempt, folder: Path, storage: TaskFiles, watch: TaskWatch
    ) -> None:
        """``folder`` is made for the attempt's files; raises OSError."""
        folder.mkdir(mode=0o700, parents=True)
        self._watch = watch
        self._limit_bytes = watch.limit_bytes(order.memory_bytes)
        self._why: Blame | None = None
        self.attempt = AttemptId.of(order.task)
        self.segments = Segments(folder)
        self._order = order
        self._folder = folder
        self._service = TaskService(order, storage, self.segments)
        self._child: TaskChild | None = None
        self._has_work = False
        self._stopped = False
        self._lock = Lock()

    def run(self, pool: ProcessPool, files: JobFiles, runs: RunStore) -> Report:
        """Run it to its end."""
        try:
            if lacking := self._watch.refusal():
                raise StorageFault(lacking)
            opening = self._opening(files)
            log = files.open_log(self.attempt)
        except (DfsError, OSError) as error:
            remove_tree(self._folder)
            return self._failed(FailureKind.NODE, f"{self.attempt} cannot start: {error}")
        try:
            with self._watch.watching(self, self._limit_bytes):
                return self._run_logged(pool, opening, log, runs)
        finally:
            files.close_log(self.attempt, log)

    def stop(self) -> None:
        """Let the attempt end soon."""
        with self._lock:
            self._stopped = True
            self.segments.close()
            if self._child is not None:
                self._child.interrupt()

    def fail(self, kind: FailureKind, text: str) -> None:
        """Let the attempt end soon, for this reason; the first reason counts."""
        with self._lock:
            child, is_first = self._child, self._why is None
            if is_first:
                self._why = kind, f"{text}, {self.attempt}{self._records()}"
        if is_first and child is not None and kind is not FailureKind.NODE:
            where = child.ask_where()
            if where:
                self._why = kind, f"{text}, {self.attempt}, {where}"
        self.stop()

    def _records(self) -> str:
        """How far it said that it is."""
        records = self._service.progress.records
        return f", after {records} records" if records else ""

    def _part(self) -> str:
        """Which part of the job it is, for people, where it cannot be asked where in it it is."""
        task = self._order.task
        if isinstance(task, MapTask):
            return f"in the map of {task.split.path} from byte {task.split.start}"
        return f"in the reduce of partition {task.index}"

    def progress(self) -> AttemptProgress:
        """How far it is."""
        said = self._service.progress
        return AttemptProgress(self.attempt, said.records, said.fraction, said.status)

    def memory_bytes(self, enough_bytes: int) -> int:
        """What its processes hold."""
        child = self._child
        return child.memory_bytes(enough_bytes) if child is not None else 0

    def group_bytes(self) -> int:
        """What the kernel counts of them, at a glance."""
        child = self._child
        return child.group.used_bytes() if child is not None else 0

    def cut_at_bytes(self) -> int:
        """What they held when the kernel killed one of them for it."""
        child = self._child
        return child.group.cut_at_bytes() if child is not None else 0

    def scratch_bytes(self, device: int) -> int:
        """What its processes have on the disk."""
        child = self._child
        return child.scratch_bytes(device) if child is not None else 0

    def waiting_bytes(self) -> int:
        """What it has fetched, if it waits for more."""
        return used_bytes(self._folder) if self.segments.awaited else 0

    def _run_logged(
        self, pool: ProcessPool, opening: OpenJob, log: AttemptLog, runs: RunStore
    ) -> Report:
        try:
            child, job_is_open = pool.take(self.attempt.job)
        except DfsError as error:
            remove_tree(self._folder)
            return self._failed(FailureKind.NODE, error.message)
        end: End | None = None
        kind, trouble = FailureKind.CRASH, ""
        try:
            self._attach(child)
            end = None if job_is_open else self._open_job(child, opening, log)
            end = end or self._converse(child, log)
            if isinstance(end, Succeeded) and leaves_run(self._order.task):
                runs.add(self.attempt, self._folder / RUN_FILE)
            self._judge_full_disk(end)
        except ChannelClosed as error:
            kind, trouble = self._kind_of_death(), str(error)
        except ProtocolError as error:
            trouble = str(error)
        except OSError as error:
            end = EnvironmentFailed(StorageFault.number, str(error))
        finally:
            how = self._end(pool, child, log, keep=isinstance(end, Succeeded))
        if self._why is not None and not isinstance(end, Succeeded):
            return self._failed(*self._why)
        return self._report(end) if end else self._died(kind, how, trouble, log)

    def _judge_full_disk(self, end: End) -> None:
        """User code that finds the disk full is at fault only if it filled it."""
        if isinstance(end, UserFailed) and FULL_DISK in end.failure.error:
            kind, text = self._watch.blame(self)
            self._why = self._why or (kind, f"{text}, {self.attempt}: {end.failure.error}")

    def _judge_cut(self, child: TaskChild) -> None:
        """What ends with a kill by the kernel for the memory limit ends for that."""
        cut_bytes = child.group.cut_at_bytes()
        if cut_bytes:
            held = beyond(self._limit_bytes, cut_bytes)
            self._why = self._why or (
                FailureKind.MEMORY,
                f"{held}, {self.attempt}{self._records()}, {self._part()}",
            )

    def _attach(self, child: TaskChild) -> None:
        """From now on ``stop`` reaches the process."""
        with self._lock:
            child.tasks_begun += 1
            child.group.limit(self._limit_bytes)
            self._child = child
            if self._stopped:
                raise ChannelClosed("the attempt was stopped before it began")

    def _end(self, pool: ProcessPool, child: TaskChild, log: AttemptLog, keep: bool) -> str:
        """Clean up; says how the process ended if it did."""
        if not keep:
            self._judge_cut(child)
        with self._lock:
            self._child = None
            keep = keep and not self._stopped
        self.segments.close()
        self._service.close()
        child.drain(log)
        how = ""
        if keep and self._is_reusable(child):
            pool.give_back(self.attempt.job, child)
        else:
            how = child.kill()
        remove_tree(self._folder)
        return how

    def _is_reusable(self, child: TaskChild) -> bool:
        """May its process run another task of the job?"""
        enough_bytes = self._limit_bytes * REUSE_PERCENT // 100
        try:
            is_small = child.memory_bytes(enough_bytes) <= enough_bytes
            return is_small and child.tidy() and not child.group.cut_at_bytes()
        except OSError:  # something in its folder cannot be removed
            return False

    # The conversation.

    def _opening(self, files: JobFiles) -> OpenJob:
        """What lets a process open the job, once its files are here."""
        spec = self._order.job
        bundle = str(files.bundle(spec.bundle))
        side_files = files.side.paths(self.attempt.job, spec.files)
        return OpenJob(spec, bundle, self._order.env, self._limit_bytes, side_files)

    def _open_job(self, child: TaskChild, order: OpenJob, log: AttemptLog) -> End | None:
        """Let a warm process open the job; None when it has."""
        for send_next in (True, False):
            word, _ = child.receive(log, TASK_START_NS if send_next else None)
            if isinstance(word, UserFailed | EnvironmentFailed):
                return word
            if not isinstance(word, Ready):
                raise ProtocolError(f"{type(word).__name__} before the job is open")
            if send_next:
                child.channel.send(order)
                self._has_work = True
        child.job_is_open()
        return None

    def _converse(self, child: TaskChild, log: AttemptLog) -> End:
        """Give the task to its process and serve it until its last word."""
        task, folder = self._order.task, str(self._folder)
        if isinstance(task, MapTask):
            child.channel.send(StartMap(task, folder, str(self._folder / RUN_FILE)))
        else:
            child.channel.send(StartReduce(task, folder))
        self._has_work = True
        while True:
            word, payload = child.receive(log)
            match word:
                case Succeeded() | UserFailed() | EnvironmentFailed():
                    return word
                case Ready():
                    raise ProtocolError("a task is running and its process says it is ready")
                case question:
                    self._answer(child, question, payload)

    def _answer(self, child: TaskChild, question: Question, payload: bytearray) -> None:
        answer = self._service.answer(question, payload)
        if answer is not None:
            with closing(answer):
                child.channel.send(*answer)

    # The report.

    def _report(self, end: End) -> Report:
        match end:
            case Succeeded():
                return self._succeeded(end)
            case UserFailed():
                return AttemptFailed(self.attempt, FailureKind.USER, end.failure.error, end.failure)
            case EnvironmentFailed():
                return self._environment_failed(end)

    def _succeeded(self, end: Succeeded) -> Report:
        outcome = end.map if isinstance(self._order.task, MapTask) else end.reduce
        if outcome is None:
            return self._failed(FailureKind.CRASH, f"{self.attempt} reports another kind of task")
        return success_of(self._order.task, outcome, tuple(self._service.files))

    def _environment_failed(self, end: EnvironmentFailed) -> AttemptFailed:
        run = self.segments.source_of(end.map_index)
        if run is not None:
            return AttemptFailed(self.attempt, FailureKind.FETCH, end.text, runs=(run,))
        if self._service.input_failed:
            return self._failed(FailureKind.INPUT, end.text)
        kind = FailureKind.CRASH if end.number in OF_THE_TASK else FailureKind.NODE
        return self._failed(kind, end.text)

    def _kind_of_death(self) -> FailureKind:
        """Whose fault it is that the process is gone: without work it ran nothing of the user's."""
        return FailureKind.CRASH if self._has_work else FailureKind.NODE

    def _died(self, kind: FailureKind, how: str, trouble: str, log: AttemptLog) -> AttemptFailed:
        """The process ended without a last word, or broke off the conversation."""
        if how.endswith(signal.SIGILL.name):
            return self._failed(FailureKind.NODE, NO_AVX2)
        said = log.tail()
        printed = f"; it printed last:\n{said}" if said else ""
        happened = f"the process of {self.attempt} {how}"
        if not how:
            happened = f"{self.attempt} was ended: {trouble}"
        elif how.endswith(signal.SIGKILL.name):
            happened += ", as the kernel does when the machine has no memory left"
        return self._failed(kind, f"{happened}{printed}")

    def _failed(self, kind: FailureKind, text: str) -> AttemptFailed:
        return AttemptFailed(self.attempt, kind, text)
