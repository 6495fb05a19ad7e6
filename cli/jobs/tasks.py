"""``minimr tasks``."""

from __future__ import annotations

import time

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import tasks
from cli.jobs.reports import elapsed, task_fields
from cli.render import json_line, table
from mapreduce.wire import TaskKind

HEADER = ("TASK", "ATTEMPT", "STATE", "WORKER", "LOCALITY", "TIME", "IN", "OUT", "ERROR")
RIGHT = frozenset({1, 6, 7})
STATES = ("waiting", "running", "done")


@click.command("tasks")
@click.argument("job", metavar="JOB")
@click.option("--kind", type=click.Choice([kind.value for kind in TaskKind]), help="Only these.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@common
@invocation
def command(call: Invocation, job: str, kind: str | None, state: str | None) -> None:
    """List the tasks of a job."""
    kinds = [TaskKind(kind)] if kind else list(TaskKind)
    found = (task for one in kinds for task in tasks(call, job, one))
    chosen = (task for task in found if state is None or task.state == state)
    if call.json:
        for task in chosen:
            click.echo(json_line(task_fields(task)))
        return
    now_ns = time.time_ns()
    rows = [
        (
            task.task,
            str(task.attempt),
            task.state,
            task.worker,
            f"{task.locality}: {task.miss}" if task.miss else task.locality,
            elapsed(task.started_ns, task.ended_ns, now_ns),
            str(task.records_in),
            str(task.records_out),
            task.error.partition("\n")[0],
        )
        for task in chosen
    ]
    for line in table([HEADER, *rows], RIGHT):
        click.echo(line)
