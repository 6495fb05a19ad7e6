"""``minimr run``: a job, here or on the cluster, and its records or its output directory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.cluster.programs import JOBS_MISSING, jobs_possible
from cli.invocation import SIZE, TIME, Invocation, common, invocation
from cli.jobs.job_command import PY_FILES, JobCommand, job_of
from cli.jobs.progress import AUTO, MODES
from cli.jobs.request import Request, write_records
from cli.render import json_line
from dfs.errors import BadArgument, DfsError

if TYPE_CHECKING:
    from mapreduce.job_class import Job
    from mapreduce.result import Result

INLINE, LOCAL, CLUSTER = "inline", "local", "cluster"


def pairs(_context: click.Context, parameter: click.Parameter, value: Iterable[str]) -> Any:
    """``key=value`` options as a dict."""
    found: dict[str, str] = {}
    for text in value:
        key, equals, item = text.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param=parameter)
        found[key] = item
    return found


@click.command("run", cls=JobCommand)
@click.argument("target", metavar="JOB.py[:NAME]")
@click.argument("inputs", metavar="INPUT...", nargs=-1)
@click.option("-o", "output", metavar="OUTPUT", help="Directory to make; else records to stdout.")
@click.option(
    "-r",
    "runner",
    type=click.Choice([INLINE, LOCAL, CLUSTER]),
    help="Where it runs; without it MINIMR_RUNNER, else cluster if one is configured, else local.",
)
@click.option("-n", "partitions", type=int, metavar="N", help="Partitions of the last step.")
@click.option(
    "-D", "settings", multiple=True, callback=pairs, metavar="K=V", help="Setting of the engine."
)
@click.option(PY_FILES, multiple=True, metavar="P", help="Module, package or zip to import.")
@click.option("--files", multiple=True, metavar="F", help="File that every task can open.")
@click.option("--env", multiple=True, callback=pairs, metavar="K=V", help="Variable of the tasks.")
@click.option("--name", metavar="N", help="The job's name, else that of its class.")
@click.option("--max-attempts", type=click.IntRange(1), metavar="N", help="At a task (4).")
@click.option("--speculative/--no-speculative", default=None, help="Backup attempts (on).")
@click.option("--task-memory", type=SIZE, metavar="S", help="Memory of one task (1G).")
@click.option("--task-timeout", type=TIME, metavar="T", help="Time without progress (10m).")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("-d", "--detach", is_flag=True, help="Print the job's id and do not wait.")
@click.option(
    "--progress",
    type=click.Choice(MODES),
    default=AUTO,
    show_default=True,
    help="auto: one line of the terminal; plain: a line every 10 s.",
)
@common
@invocation
@click.pass_context
def command(context: click.Context, call: Invocation, /, **options: Any) -> None:
    """Run a job over INPUT: files, directories or globs.

    With -r cluster they are DFS paths, otherwise local ones; 'minidfs:' means the DFS anywhere.
    A job that names its own inputs needs no INPUT.
    """
    runner = _runner(call, options["runner"])
    job = job_of(context, options)
    if options["partitions"] is not None:
        job.partitions = options["partitions"]
    request = Request(
        inputs=options["inputs"],
        output=options["output"],
        overwrite=options["overwrite"],
        settings=options["settings"],
        env=options["env"],
        py_files=options["py_files"],
        files=options["files"],
        name=options["name"],
        max_attempts=options["max_attempts"],
        task_timeout_ns=options["task_timeout"],
        task_memory_bytes=options["task_memory"],
        speculative=options["speculative"],
        detach=options["detach"],
        progress=options["progress"],
    )
    if runner == CLUSTER:
        from cli.jobs.cluster_run import run_on_cluster

        run_on_cluster(call, job, request)
    elif runner == LOCAL:
        from cli.jobs.local_run import run_here

        run_here(call, job, request)
    else:
        _run_inline(call, job, request)


def _runner(call: Invocation, given: str | None) -> str:
    """The runner to use; raises BadArgument for one that there is not."""
    from mapreduce.runners import chosen_runner

    if not jobs_possible():
        raise DfsError(JOBS_MISSING)
    if call.cluster:
        # The runners find the cluster as the library does.
        os.environ["MINIDFS_CLUSTER"] = str(call.config_file)
    return chosen_runner(given)


def _run_inline(call: Invocation, job: Job, request: Request) -> None:
    """All in this process; what needs processes of its own is refused."""
    from mapreduce.job import parse_settings
    from mapreduce.runners import inline
    from mapreduce.side_files import found_here

    only_cluster = {
        "--detach": request.detach,
        "--name": request.name,
        "--max-attempts": request.max_attempts,
        "--task-timeout": request.task_timeout_ns,
        "--task-memory": request.task_memory_bytes,
        "--speculative": request.speculative,
    }
    for option, value in only_cluster.items():
        if value:
            raise BadArgument(f"{option} is for -r cluster or local: inline is one process")
    os.environ.update(request.env)
    job.give_files(found_here(map(Path, request.files)))
    settings = parse_settings(request.settings)
    result = inline.run(job, request.inputs, request.output, settings, request.overwrite)
    show_result(call, job, result)


def show_result(call: Invocation, job: Job, result: Result) -> None:
    """Records on stdout if nobody named an output, else where the output is."""
    if result.output is None:
        write_records(call, job, result)
    elif call.json:
        fields = {"job": result.job_id, "state": result.state, "output": result.output}
        click.echo(json_line({**fields, "counters": result.counters}))
    else:
        call.say(f"{result.job_id} {result.state}: the output is in {result.output}")
