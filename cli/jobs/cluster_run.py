"""Running a job on the cluster while a person watches."""

from __future__ import annotations

import time

import click

from cli.invocation import Invocation
from cli.jobs.interrupted import watch_patiently
from cli.jobs.progress import Progress
from cli.jobs.reports import job_fields, locality_line
from cli.jobs.request import Request, write_records
from cli.jobs.watcher import Watcher, submission_of
from cli.render import duration, json_line
from dfs.quantities import counted
from mapreduce.errors import JobFailed
from mapreduce.job_class import Job
from mapreduce.runners.cluster import follow, result_of, submit
from mapreduce.wire import JobReport


def run_on_cluster(call: Invocation, job: Job, request: Request) -> None:
    """Submit a job, show how it goes, and give what it gives; with ``-d`` only the first."""
    fs = call.client()
    submitted = submit(fs, job, request.inputs, request.output, submission_of(request))
    job_id = submitted.job_id
    if request.detach:
        click.echo(json_line({"job": job_id}) if call.json else job_id)
        return
    progress = Progress(request.progress)
    watcher = Watcher(call, progress)
    greeting = f"{call.program}: {job_id} is submitted with {counted(submitted.maps, 'map')}"
    try:
        end = watch_patiently(
            call, job_id, progress, lambda: follow(fs, job_id, watcher.on_news), greeting
        )
    finally:
        progress.clear()
    try:
        result = result_of(fs, job, submitted, end)
    except JobFailed as error:
        raise watcher.in_short(error) from error
    call.say(_summary(end.report))
    if result.output is None:
        write_records(call, job, result)
    elif call.json:
        click.echo(json_line(job_fields(end.report)))


def _summary(report: JobReport) -> str:
    """How it went, in one line."""
    took_ns = (report.ended_ns or time.time_ns()) - report.started_ns
    output = f": the output is in {report.output}" if report.output else ""
    return f"{report.job} {report.state} in {duration(took_ns)}; {locality_line(report)}{output}"
