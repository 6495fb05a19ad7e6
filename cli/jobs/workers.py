"""``minimr workers``."""

from __future__ import annotations

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import ask
from cli.render import json_line, table
from mapreduce.wire import ListWorkers, WorkerList

HEADER = ("WORKER", "STATE", "NODE", "SLOTS", "RUNNING", "AVOIDED")


@click.command("workers")
@common
@invocation
def command(call: Invocation) -> None:
    """List the workers and what they run."""
    answer = ask(call, ListWorkers(), WorkerList)
    if call.json:
        for worker in answer.workers:
            fields = {
                "worker": worker.worker,
                "state": worker.state,
                "node": worker.node or None,
                "slots": worker.slots,
                "running": list(worker.running),
                "avoided": worker.avoided or None,
                "groups": worker.groups or None,
            }
            click.echo(json_line(fields))
        return
    rows = [
        (w.worker, w.state, w.node, str(w.slots), " ".join(w.running), w.avoided)
        for w in answer.workers
    ]
    for line in table([HEADER, *rows], frozenset({3})):
        click.echo(line)
