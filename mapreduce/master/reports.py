"""What people see of jobs, tasks and workers: the log's rows, and what runs just now."""

from __future__ import annotations

from dfs.namenode.table import Table
from mapreduce.master.commit import Totals
from mapreduce.master.job import Job
from mapreduce.master.rows import task_rows
from mapreduce.master.state import Worker
from mapreduce.master.task import Task
from mapreduce.master.transitions import TaskState
from mapreduce.tables import JobRow, TaskRow, get_task
from mapreduce.wire import (
    ROWS_PER_PAGE,
    AttemptId,
    JobReport,
    TaskCounts,
    TaskKind,
    TaskList,
    TaskReport,
    WorkerReport,
)


def job_report(row: JobRow, job: Job | None, totals: Totals | None) -> JobReport:
    """A job; ``job`` and ``totals`` are None unless it runs."""
    if job is not None:
        maps, reduces = _counts(job, TaskKind.MAP), _counts(job, TaskKind.REDUCE)
    else:
        maps = TaskCounts(row.maps, row.maps_ended, 0, row.maps_failed)
        reduces = TaskCounts(row.reduces, row.reduces_ended, 0, row.reduces_failed)
    return JobReport(
        job=row.job,
        name=row.spec.name,
        user=row.user,
        state=row.state,
        maps=maps,
        reduces=reduces,
        counters=row.counters if totals is None else totals.counters,
        locality=row.locality if totals is None else totals.locality,
        submitted_ns=row.submitted_ns,
        started_ns=row.started_ns,
        ended_ns=row.ended_ns,
        output=row.output,
        error=row.error,
    )


def _counts(job: Job, kind: TaskKind) -> TaskCounts:
    tasks = job.tasks(kind)
    waiting = len(job.waiting[kind]) + sum(1 for paused, _ in job.paused if paused is kind)
    running = len(tasks) - job.done[kind] - waiting  # tasks: a backup is no second one
    return TaskCounts(len(tasks), job.done[kind], running, job.failed[kind])


def progress(row: JobRow, job: Job | None) -> float:
    """How much of a job is done, between 0 and 1; each task weighs the same."""
    if job is None:
        return 1.0 if row.state.is_final else 0.0
    tasks = len(job.maps) + len(job.reduces)
    if not tasks:
        return 0.0
    furthest: dict[tuple[TaskKind, int], float] = {}
    for ident, attempt in job.running.items():
        task = ident.kind, ident.index
        furthest[task] = max(furthest.get(task, 0.0), attempt.fraction)
    return (sum(job.done.values()) + sum(furthest.values())) / tasks


def task_page(
    table: Table, number: int, row: JobRow, job: Job | None, kind: TaskKind, first: int
) -> TaskList:
    """A page of a job's tasks from ``first`` on."""
    total = row.maps if kind is TaskKind.MAP else row.reduces
    indexes = range(max(first, 0), min(max(first, 0) + ROWS_PER_PAGE, total))
    reports = []
    for index in indexes:
        task = job.tasks(kind).peek(index) if job is not None else None
        reports.append(_task_report(kind, index, get_task(table, number, kind, index), task))
    return TaskList(tuple(reports), indexes.stop < total)


def _task_report(kind: TaskKind, index: int, row: TaskRow, task: Task | None) -> TaskReport:
    name = AttemptId("", 0, kind, index, 0).task
    running = task.attempt if task is not None else None
    failed, error = row.failed, row.error
    if running is not None:
        return TaskReport(
            name,
            running.id.attempt,
            TaskState.RUNNING,
            running.worker,
            _locality(running.locality, running.miss),
            row.started_ns,
            0,
            running.records,
            0,
            failed,
            error,
        )
    is_done = task.state is TaskState.DONE if task is not None else row.done > 0
    if not is_done:
        return TaskReport(name, row.attempts, TaskState.WAITING, failed=failed, error=error)
    return TaskReport(
        name,
        row.done,
        TaskState.DONE,
        row.worker,
        _locality(row.locality, row.miss),
        row.started_ns,
        row.ended_ns,
        row.records_in,
        row.records_out,
        failed,
        error,
    )


def _locality(locality: str, miss: str) -> str:
    return f"{locality}: {miss}" if miss else locality


def worker_report(
    worker: Worker, endpoints: tuple[str, ...], usable: bool, why: str
) -> WorkerReport:
    """A worker; ``why`` it gets less work than it could."""
    state = "live" if usable else "left" if worker.leaving else "dead" if worker.dead else "stale"
    running = tuple(f"{attempt.job} {attempt}" for attempt in worker.running)
    return WorkerReport(worker.name, state, worker.node, worker.slots, running, endpoints, why)


def committed_totals(table: Table, number: int) -> Totals:
    """The totals of a job that was under way before a restart."""
    totals = Totals()
    for kind, _, row in task_rows(table, number):
        if row.done:
            totals.add(kind, row)
    return totals
