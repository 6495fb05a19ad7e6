"""Running a job in processes of this machine while a person watches."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import click

from cli.invocation import Invocation
from cli.jobs.progress import Progress
from cli.jobs.reports import job_fields
from cli.jobs.request import Request, write_records
from cli.jobs.watcher import Watcher, submission_of
from cli.render import duration, json_line
from dfs.errors import BadArgument
from mapreduce.errors import JobFailed
from mapreduce.job_class import Job
from mapreduce.runners import local
from mapreduce.wire import JobNews, JobReport

EXIT_TERMINATED = 128 + signal.SIGTERM


def run_here(call: Invocation, job: Job, request: Request) -> None:
    """Run a job with the runner ``local``, show how it goes, and give what it gives."""
    if request.detach:
        raise BadArgument("--detach is for -r cluster: the runner local ends with its command")
    if request.speculative:
        raise BadArgument("--speculative is for -r cluster: one machine needs no backup attempts")
    signal.signal(signal.SIGTERM, _terminated)
    progress = Progress(request.progress)
    watcher = Watcher(call, progress)
    reports: list[JobReport] = []

    def on_news(news: JobNews) -> None:
        reports[:] = [news.report]
        watcher.on_news(news)

    submission = submission_of(request)
    try:
        result = local.run(job, request.inputs, request.output, submission, on_news)
    except JobFailed as error:
        raise watcher.in_short(error) from error
    finally:
        progress.clear()
    call.say(_summary(reports[0]))
    if result.output is None:
        write_records(call, job, result)
    elif call.json:
        click.echo(json_line(job_fields(reports[0])))


def _summary(report: JobReport) -> str:
    """How it went, in one line."""
    output = f": the output is in {report.output}" if report.output else ""
    return f"{report.job} {report.state} in {duration(report.ended_ns - report.started_ns)}{output}"


def _terminated(_number: int, _frame: object) -> NoReturn:
    """End as after an interrupt: processes and files of the run go."""
    sys.exit(EXIT_TERMINATED)
