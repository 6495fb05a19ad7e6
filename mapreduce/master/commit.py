"""Commits: the one record in which a task is done, and the one in which a job is.

An attempt writes below ``/.jobs/JOB/attempts/ATTEMPT/``, where nobody looks. The record that
commits its task links its parts into ``/.jobs/JOB/output/``, or ``/.jobs/JOB/steps/STEP/`` for
the next step, and its side outputs into ``/.jobs/JOB/output/NAME/``; the record that commits the
job gives the output its public name. What is discarded goes in the same record as the reason. So
readers see nothing or everything, and a late attempt changes nothing.

Totals count committed attempts only. When a task runs again because its output was lost, what
it counted the first time is taken back, and its new parts replace the old ones; a side output
that it does not write again goes.
"""

from __future__ import annotations

from collections.abc import Sequence

from dfs.errors import NotFound
from dfs.events import Now
from dfs.namenode.module import Command, View
from mapreduce.commands import JobEnded, TaskDone
from mapreduce.conservation import check_steps_conserved
from mapreduce.job import Counters
from mapreduce.master.actions import EndJob
from mapreduce.master.policy import NODE_LOCAL, RACK_LOCAL
from mapreduce.master.rows import must_job
from mapreduce.master.storage import Storage
from mapreduce.master.task import Attempt
from mapreduce.plan import StepPlan
from mapreduce.side_output import OUTPUTS, name_flaw, side_part
from mapreduce.tables import JobRow, TaskRow, get_task
from mapreduce.wire import (
    AttemptId,
    AttemptSucceeded,
    JobState,
    Locality,
    TaskKind,
    files_folder,
)

JOBS_FOLDER = "/.jobs"


def job_folder(job: str) -> str:
    """Everything hidden that belongs to a job."""
    return f"{JOBS_FOLDER}/{job}"


def output_folder(job: str) -> str:
    """Where the parts of committed tasks are linked until the job is committed."""
    return f"{JOBS_FOLDER}/{job}/output"


def steps_folder(job: str) -> str:
    """Where the parts lie that one step leaves to the next."""
    return f"{JOBS_FOLDER}/{job}/steps"


def parts_folder(row: JobRow, step: int) -> str:
    """Where the parts of a step are linked."""
    if step == len(row.spec.steps) - 1:
        return output_folder(row.job)
    return f"{steps_folder(row.job)}/{step + 1}"


def attempts_folder(job: str) -> str:
    """Where the attempts' folders lie."""
    return f"{JOBS_FOLDER}/{job}/attempts"


def attempt_folder(attempt: AttemptId) -> str:
    """Where an attempt creates its parts."""
    return f"{attempts_folder(attempt.job)}/{attempt}"


class Totals:
    """Sums over the committed tasks of a running job."""

    def __init__(self) -> None:
        self._counters: Counters = {}
        self._local = 0
        self._in_rack = 0
        self._remote = 0
        self._moved: dict[tuple[int, str], tuple[int, int]] = {}

    def add(self, step: int, kind: TaskKind, row: TaskRow | TaskDone, sign: int = 1) -> None:
        """Count a committed task of a step, or with ``sign`` -1 take it back."""
        for group, counts in row.counters.items():
            sums = self._counters.setdefault(group, {})
            for name, count in counts.items():
                sums[name] = sums.get(name, 0) + sign * count
        if kind is TaskKind.MAP:
            self._local += sign * (row.locality == NODE_LOCAL)
            self._in_rack += sign * (row.locality == RACK_LOCAL)
            self._remote += sign * (row.locality not in (NODE_LOCAL, RACK_LOCAL))
        read, written = self._moved.get((step, kind), (0, 0))
        moved = read + sign * row.records_in, written + sign * row.records_out
        self._moved[step, kind] = moved

    @property
    def counters(self) -> Counters:
        """Group, name, count, all in order."""
        return {group: dict(sorted(c.items())) for group, c in sorted(self._counters.items())}

    @property
    def locality(self) -> Locality:
        """Where the maps ran."""
        return Locality(self._local, self._in_rack, self._remote)

    def check_conserved(self, plan: Sequence[StepPlan]) -> None:
        """Raise ``RecordsLost`` unless every record that a task wrote was read by another once."""
        check_steps_conserved(plan, self._moved)


def commit_task(
    storage: Storage, view: View, word: AttemptSucceeded, attempt: Attempt, now: Now
) -> tuple[TaskDone, list[Command]]:
    """The record that commits a task to an attempt. Raises the errors of ``Storage.link``, and
    NotFound when side outputs have no place: each move would make it for itself."""
    ident = word.attempt
    number, row = must_job(view.table, ident.job)
    folder = parts_folder(row, ident.step)
    output = output_folder(row.job)
    if any("/" in name for name in word.files) and not storage.exists(view, output):
        raise NotFound(f"{output} was removed", output)
    moves = [
        (f"{attempt_folder(ident)}/{name}", f"{output if '/' in name else folder}/{name}")
        for name in word.files
    ]
    commands = storage.link(view, moves, now)
    for path in _not_again(view, number, row, word):
        commands += storage.discard(view, path, now)
    done = TaskDone(
        number,
        ident.kind,
        ident.index,
        ident.attempt,
        attempt.worker,
        attempt.locality,
        attempt.miss,
        word.records_in,
        word.records_out,
        word.output_bytes,
        word.counters,
        now.wall_ns,
        ident.step,
    )
    return done, [*commands, done]


def _not_again(view: View, number: int, row: JobRow, word: AttemptSucceeded) -> list[str]:
    """The files in side outputs that the task was committed with before, and is not now."""
    ident = word.attempt
    before = get_task(view.table, number, ident.step, ident.kind, ident.index)
    if not before.done:
        return []
    is_last = ident.step == len(row.spec.steps) - 1
    part = side_part(ident.kind[0], ident.step, ident.index, is_last)
    names = (f"{name}/{part}" for name in before.counters.get(OUTPUTS, {}) if not name_flaw(name))
    return [f"{output_folder(row.job)}/{name}" for name in names if name not in word.files]


def count_task(totals: Totals, view: View, done: TaskDone) -> None:
    """Add a task that is being committed; what it counted before is taken back."""
    before = get_task(view.table, done.number, done.step, done.kind, done.index)
    if before.done:
        totals.add(done.step, done.kind, before, -1)
    totals.add(done.step, done.kind, done)


def publish(storage: Storage, view: View, row: JobRow, totals: Totals, now: Now) -> list[Command]:
    """The commands that give the output its name; none for a job that keeps it hidden.

    Raises ``RecordsLost`` when records were lost on the way, and the errors of ``Storage.publish``.
    """
    totals.check_conserved(row.plan)
    if not row.output:
        return []
    return storage.publish(view, output_folder(row.job), row.output, row.overwrite, now)


def end_job(
    storage: Storage, view: View, number: int, end: EndJob, totals: Totals, now: Now
) -> list[Command]:
    """The end of a job, and what is discarded with it: all that is hidden, or all but the
    parts while the caller still has to read them."""
    _, row = must_job(view.table, end.job)
    keeps = end.state is JobState.SUCCEEDED and not row.output
    hidden = attempts_folder(row.job), steps_folder(row.job), files_folder(row.job)
    paths = hidden if keeps else (job_folder(row.job),)
    ended = JobEnded(
        number,
        end.state,
        end.error,
        end.failure,
        totals.counters,
        totals.locality,
        row.tasks_before(end.step, TaskKind.MAP) + end.done[TaskKind.MAP],
        row.tasks_before(end.step, TaskKind.REDUCE) + end.done[TaskKind.REDUCE],
        now.wall_ns,
        end.failed[TaskKind.MAP],
        end.failed[TaskKind.REDUCE],
    )
    return [ended, *(command for path in paths for command in storage.discard(view, path, now))]
