"""``minimr kill``."""

from __future__ import annotations

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import ask, job_report
from cli.jobs.reports import job_fields
from cli.render import json_line
from dfs.errors import BadArgument
from dfs.wire.common import Ok
from mapreduce.wire import KillJob, KillTask, parse_task


@click.command("kill")
@click.argument("job", metavar="JOB")
@click.option("--task", metavar="T", help="Only what runs of this task; it is run again.")
@click.option("--attempt", metavar="A", help="Only this attempt; its task is run again.")
@common
@invocation
def command(call: Invocation, job: str, task: str | None, attempt: str | None) -> None:
    """End a job; nothing of its output remains. A job that has ended stays as it is.

    With --task m-00003 or --attempt m-00003.1 the job goes on, and nothing is counted against it.
    """
    if task is not None and attempt is not None:
        raise BadArgument("either --task or --attempt: an attempt names its task")
    named = task if task is not None else attempt
    report = job_report(call, job)
    if named is None:
        ask(call, KillJob(report.job), Ok)
        report = job_report(call, report.job)
        click.echo(json_line(job_fields(report)) if call.json else f"{report.job} {report.state}")
        return
    found = parse_task(report.job, named)
    if (found.attempt > 0) != (attempt is not None):
        wanted = (
            "a task is named like m-00003"
            if found.attempt
            else "an attempt is named like m-00003.1"
        )
        raise BadArgument(f"{named!r}: {wanted}")
    ask(call, KillTask(found.job, found.kind, found.index, found.attempt, found.step), Ok)
    killed = str(found) if found.attempt else found.task
    fields = {"job": report.job, "killed": killed}
    click.echo(json_line(fields) if call.json else f"{report.job} {killed} killed")
