"""Running a job on the cluster while a person watches."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cli.invocation import Invocation
from cli.jobs.ask import ask
from cli.jobs.progress import Progress
from cli.jobs.reports import job_fields, locality_line
from cli.jobs.request import Request, write_records
from cli.render import duration, json_line
from dfs.wire.common import Ok
from mapreduce.errors import JobFailed
from mapreduce.job import parse_settings
from mapreduce.job_class import Job
from mapreduce.runners.cluster import Submission, result_of, submit, watch
from mapreduce.wire import JobNews, JobOptions, JobReport, KillJob

ATTEMPT_FAILED = "attempt_failed"


def run_on_cluster(call: Invocation, job: Job, request: Request) -> None:
    """Submit a job, show how it goes, and give what it gives; with ``-d`` only the first."""
    fs = call.client()
    submitted = submit(fs, job, request.inputs, request.output, _submission(request))
    if request.detach:
        click.echo(submitted.job_id)
        return
    progress = Progress(request.progress)
    watcher = Watcher(call, progress)
    try:
        maps = "1 map" if submitted.maps == 1 else f"{submitted.maps} maps"
        progress.say(f"{call.program}: {submitted.job_id} is submitted with {maps}")
        end = watch(fs, submitted.job_id, watcher.on_news)
    except KeyboardInterrupt:
        ask(call, KillJob(submitted.job_id), Ok)  # wherever it came; twice does no harm
        raise
    finally:
        progress.clear()
    try:
        result = result_of(fs, job, submitted, end)
    except JobFailed as error:
        raise watcher.in_short(error) from error
    call.say(_summary(end.report))
    if result.output is None:
        write_records(job, result)
    elif call.json:
        click.echo(json_line(job_fields(end.report)))


class Watcher:
    """Tells what happens to a job: the first failed attempt, and the first traceback if that
    had none. Later ones are counted in the progress."""

    def __init__(self, call: Invocation, progress: Progress) -> None:
        self._call = call
        self._progress = progress
        self._told: list[str] = []

    def on_news(self, news: JobNews) -> None:
        """Events and progress since the last time."""
        for event in news.events:
            if event.kind == ATTEMPT_FAILED and self._is_new(event.text):
                self._told.append(event.text)
                self._progress.say(f"{self._call.program}: {event.text}")
        self._progress.show(news.report)

    def _is_new(self, text: str) -> bool:
        return not self._told or ("\n" in text and "\n" not in "".join(self._told))

    def in_short(self, error: JobFailed) -> JobFailed:
        """The error that ended the job; what was told in full is not told again, except to a
        program that reads JSON."""
        if self._call.json or error.message not in self._told:
            return error
        attempt, _, _ = error.message.partition(" failed: ")
        message = f"{error.job_id} failed: the error of {attempt} is shown above"
        return JobFailed(message, error.job_id, error.failure)


def _submission(request: Request) -> Submission:
    defaults = JobOptions()
    options = JobOptions(
        max_attempts=request.max_attempts or defaults.max_attempts,
        task_timeout_ns=request.task_timeout_ns or defaults.task_timeout_ns,
        env=request.env,
    )
    return Submission(
        parse_settings(request.settings),
        options,
        request.overwrite,
        request.name or "",
        tuple(Path(path) for path in request.py_files),
    )


def _summary(report: JobReport) -> str:
    """How it went, in one line."""
    took_ns = (report.ended_ns or time.time_ns()) - report.started_ns
    output = f": the output is in {report.output}" if report.output else ""
    return f"{report.job} {report.state} in {duration(took_ns)}; {locality_line(report)}{output}"
