"""What people see of jobs, tasks and workers: the log's rows, and what runs just now."""

from __future__ import annotations

from dfs.namenode.table import Table
from mapreduce.job import task_name
from mapreduce.master.commit import Totals
from mapreduce.master.job import Job
from mapreduce.master.task import Task
from mapreduce.master.transitions import TaskState
from mapreduce.master.worker import Worker
from mapreduce.tables import JobRow, TaskRow, get_task, task_count
from mapreduce.wire import (
    ROWS_PER_PAGE,
    JobReport,
    TaskCounts,
    TaskKind,
    TaskList,
    TaskReport,
    WorkerAddress,
    WorkerReport,
)


def job_report(row: JobRow, job: Job | None, totals: Totals | None) -> JobReport:
    """A job; ``job`` and ``totals`` are None unless it runs."""
    if job is not None:
        maps, reduces = _counts(row, job, TaskKind.MAP), _counts(row, job, TaskKind.REDUCE)
    else:
        maps = TaskCounts(row.task_total(TaskKind.MAP), row.maps_ended, 0, row.maps_failed)
        total = row.task_total(TaskKind.REDUCE)
        reduces = TaskCounts(total, row.reduces_ended, 0, row.reduces_failed)
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


def _counts(row: JobRow, job: Job, kind: TaskKind) -> TaskCounts:
    """Over all steps: those before the job's are done, those behind it have not begun."""
    tasks = job.tasks(kind)
    waiting = len(job.waiting[kind]) + sum(1 for paused, _ in job.paused if paused is kind)
    running = len(tasks) - job.done[kind] - waiting  # tasks: a backup is no second one
    done = row.tasks_before(job.step, kind) + job.done[kind]
    return TaskCounts(row.task_total(kind), done, running, job.failed[kind])


def progress(row: JobRow, job: Job | None) -> float:
    """How much of a job is done, between 0 and 1; each task weighs the same."""
    if job is None:
        return 1.0 if row.state.is_final else 0.0
    total = sum(row.task_total(kind) for kind in TaskKind)
    if not total:
        return 0.0
    furthest: dict[tuple[TaskKind, int], float] = {}
    for ident, attempt in job.running.items():
        task = ident.kind, ident.index
        furthest[task] = max(furthest.get(task, 0.0), attempt.fraction)
    done = sum(row.tasks_before(job.step, kind) + job.done[kind] for kind in TaskKind)
    return (done + sum(furthest.values())) / total


def task_page(
    table: Table, number: int, row: JobRow, job: Job | None, kind: TaskKind, first: int
) -> TaskList:
    """A page of a job's tasks from ``first`` on, counted through all steps."""
    found: list[TaskReport] = []
    begin = max(first, 0)
    for plan in row.plan:
        count = task_count(plan, kind)
        live = job if job is not None and job.step == plan.index else None
        for index in range(begin, count)[: ROWS_PER_PAGE - len(found)]:
            task = live.tasks(kind).peek(index) if live is not None else None
            stored = get_task(table, number, plan.index, kind, index)
            found.append(_task_report(task_name(plan.index, kind[0], index), stored, task))
        begin = max(begin - count, 0)
    more = max(first, 0) + len(found) < row.task_total(kind)
    return TaskList(tuple(found), more)


def _task_report(name: str, row: TaskRow, task: Task | None) -> TaskReport:
    running = task.attempt if task is not None else None
    failed, error = row.failed, row.error
    if running is not None:
        return TaskReport(
            name,
            running.id.attempt,
            TaskState.RUNNING,
            running.worker,
            running.locality,
            row.started_ns,
            0,
            running.records,
            0,
            failed,
            error,
            running.miss,
        )
    is_done = task.state is TaskState.DONE if task is not None else row.done > 0
    if not is_done:
        return TaskReport(name, row.attempts, TaskState.WAITING, failed=failed, error=error)
    return TaskReport(
        name,
        row.done,
        TaskState.DONE,
        row.worker,
        row.locality,
        row.started_ns,
        row.ended_ns,
        row.records_in,
        row.records_out,
        failed,
        error,
        row.miss,
    )


def worker_report(worker: Worker, address: WorkerAddress, usable: bool, why: str) -> WorkerReport:
    """A worker; ``why`` it gets less work than it could."""
    state = "live" if usable else "stale"
    if worker.leaving:
        state = "left" if worker.dead else "draining"
    elif worker.dead:
        state = "dead"
    running = tuple(f"{attempt.job} {attempt}" for attempt in worker.running)
    return WorkerReport(
        worker.name, state, worker.node, worker.slots, running, address.endpoints, why, address.host
    )
