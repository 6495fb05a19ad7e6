"""The local runner: a job on all cores of this machine, without any daemon.

Its tasks run in the same processes as those of a worker, through the same `AttemptRun`, with this
machine's files in the place of the DFS; what a worker's core and the master decide, `LocalPlan`
decides here. The caller's process holds no record and runs the job's code only to sample keys
(`mapreduce.runners.sampling`): it hands inputs and outputs through in pieces of 1 MiB, and
reducers read the runs where they lie.

    SCRATCH/tasks/17/     home and working directory of task process 17
    SCRATCH/attempts/…    files of running attempts
    SCRATCH/runs/local/   run files
    SCRATCH/steps/0/      what lies between the first step and the second
    SCRATCH/bundles/      the job's code
    SCRATCH/files/        copies of its side files
    SCRATCH/logs/local/   what running attempts print; passed on to stderr when they end

SCRATCH is a temporary folder of the run. Whatever ends the run, an interrupt included, first
stops the attempts and waits for them, then discards the output, ends the processes with all
that they started, and removes SCRATCH. What ``kill -9`` leaves the next run removes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from mapreduce.bundle import Bundle
from mapreduce.conservation import check_steps_conserved
from mapreduce.counters import total
from mapreduce.job import Counters, JobSpec
from mapreduce.job_class import Job, spec_of
from mapreduce.plan import StepPlan, plan_of
from mapreduce.result import Result
from mapreduce.runners.files import OutputDirectory
from mapreduce.runners.here import (
    Parts,
    PartsIn,
    PlacedSplit,
    carry_out,
    placed_splits,
    planned,
    splits_between,
)
from mapreduce.runners.local_scratch import TASKS, LocalScratch
from mapreduce.runners.local_step import JOB_ID, LocalStep, Tools
from mapreduce.runners.packing import bundle_of, side_files_of
from mapreduce.runners.submission import Submission
from mapreduce.side_files import Paths
from mapreduce.wire import JobEvent, JobNews, JobReport, JobState, Locality, TaskCounts, TaskKind
from mapreduce.worker.job_files import JobFiles
from mapreduce.worker.process_pool import ProcessPool
from mapreduce.worker.runs import RunStore
from mapreduce.worker.task_watch import TaskWatch, default_limits

OnNews = Callable[[JobNews], None]


def run(
    job: Job,
    inputs: Sequence[str],
    output: str | None,
    submission: Submission,
    on_news: OnNews = lambda news: None,
) -> Result:
    """Run a job in processes of its own and wait for its end; ``on_news`` hears of changes.

    Raises JobFailed, NotFound for inputs, Exists for the output, BadArgument.
    """
    with LocalRunner() as runner:
        return runner.run(job, inputs, output, submission, on_news)


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalRunner:
    """Runs jobs one after the other; task processes stay from one to the next of the same code."""

    def __init__(self) -> None:
        self._folder = LocalScratch()
        self.scratch = self._folder.path
        self._slots = usable_cores()
        self._pool = ProcessPool(self.scratch / TASKS, 0, self._slots)
        self._runs = RunStore(self.scratch / "runs")
        self._watch = TaskWatch.on(self.scratch, self._slots, default_limits())
        self._code: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process and remove what they left."""
        self._pool.close()
        self._watch.close()
        self._folder.close()

    def run(
        self,
        job: Job,
        inputs: Sequence[str],
        output: str | None,
        submission: Submission,
        on_news: OnNews = lambda news: None,
    ) -> Result:
        """Run a job; see the function ``run``."""
        bundle = bundle_of(job, submission.py_files)
        spec = spec_of(job, bundle.digest, bundle.entry, submission.settings, output is None)
        side_files = side_files_of(job, submission.files)
        spec = msgspec.structs.replace(spec, name=submission.name or spec.name, files=side_files)
        directory = None if output is None else OutputDirectory(output, submission.overwrite)
        splits = placed_splits(job, inputs, submission.settings)
        spec = planned(job, spec, splits)
        self._keep_processes_of(spec, submission.options.env)
        files = JobFiles(self.scratch, _ShippedFrom(bundle, job.side_files))
        attempts = self.scratch / "attempts"
        tools = Tools(
            self._slots, attempts, self._pool, self._runs, files, self._watch, submission.options
        )
        tasks = _Tasks(tools, spec, len(splits), on_news)
        steps = self.scratch / "steps"
        try:
            result = carry_out(
                job, JOB_ID, spec, directory, lambda parts: tasks.run(splits, steps, parts)
            )
        finally:
            self._runs.drop_job(JOB_ID)
            files.side.drop_job(JOB_ID)
            for folder in (steps, self.scratch / "logs"):
                shutil.rmtree(folder, ignore_errors=True)
        tasks.tell(JobState.SUCCEEDED, output=result.output or "")
        return result

    def _keep_processes_of(self, spec: JobSpec, env: dict[str, str]) -> None:
        """A process opens one job in its life: others than those of this code go."""
        code = (spec.bundle, spec.entry, spec.class_name, spec.params, spec.cuts, spec.files, env)
        if code != self._code:
            self._pool.drop_job(JOB_ID)
            self._code = code


class _ShippedFrom:
    """The job's code and its side files where a worker would read them from the DFS."""

    def __init__(self, bundle: Bundle, side_files: Paths) -> None:
        self._bundle = bundle
        self._side_files = side_files

    def read(self, path: str) -> bytes:
        """The bundle: nothing else is asked for."""
        return self._bundle.data

    def open(self, path: str) -> BinaryIO:
        """A side file."""
        return self._side_files[Path(path).name].open("rb")


class _Tasks:
    """The tasks of one run, step after step."""

    def __init__(self, tools: Tools, spec: JobSpec, splits: int, on_news: OnNews) -> None:
        self._tools = tools
        self._spec = spec
        self._plans = plan_of(spec, splits)
        self._on_news = on_news
        self._begun: list[LocalStep] = []
        self._started_ns = time.time_ns()

    def run(
        self, splits: Sequence[PlacedSplit], between: Path, parts: Parts
    ) -> tuple[Counters, list[str]]:
        """Run them all; what lies between steps goes into ``between``. Raises JobFailed."""
        for plan in self._plans:
            folder = between / str(plan.index)
            if not plan.is_last:
                folder.mkdir(mode=0o700, parents=True)
            made = parts if plan.is_last else PartsIn(folder, parts)
            step = LocalStep(self._tools, plan, splits, made, self._changed)
            self._begun.append(step)
            step.run()
            shutil.rmtree(between / str(plan.index - 1), ignore_errors=True)
            self._tools.runs.drop_job(JOB_ID)
            if not plan.is_last:
                splits = splits_between(plan, folder)
        moved = {
            (plan.index, kind.value): step.moved(kind)
            for plan, step in zip(self._plans, self._begun, strict=True)
            for kind in TaskKind
        }
        check_steps_conserved(self._plans, moved)
        return total(step.counters() for step in self._begun), self._plans[-1].part_names()

    def _changed(self, failure: str) -> None:
        self.tell(JobState.RUNNING, event=failure)

    def tell(self, state: JobState, output: str = "", event: str = "") -> None:
        """Say how the job is, and what happened if anything did."""
        now_ns = time.time_ns()
        report = JobReport(
            job=JOB_ID,
            name=self._spec.name,
            user="",
            state=state,
            maps=self._counts(TaskKind.MAP, lambda plan: plan.maps),
            reduces=self._counts(TaskKind.REDUCE, lambda plan: plan.reduces),
            counters=total(step.counters() for step in self._begun),
            locality=Locality(),
            submitted_ns=self._started_ns,
            started_ns=self._started_ns,
            ended_ns=now_ns if state.is_final else 0,
            output=output,
        )
        events = (JobEvent(0, now_ns, "attempt_failed", event),) if event else ()
        tasks = report.maps.total + report.reduces.total
        done = sum(step.work_done() for step in self._begun)
        self._on_news(JobNews(report, done / max(tasks, 1), events, 0))

    def _counts(self, kind: TaskKind, of_plan: Callable[[StepPlan], int]) -> TaskCounts:
        counts = [step.counts(kind) for step in self._begun]
        return TaskCounts(
            sum(map(of_plan, self._plans)),
            sum(count.done for count in counts),
            sum(count.running for count in counts),
            sum(count.failed for count in counts),
        )
