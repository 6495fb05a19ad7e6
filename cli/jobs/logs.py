"""``minimr logs``: which attempts there were says the job's event log, what they printed their
workers."""

from __future__ import annotations

import sys

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import ask, events
from cli.jobs.story import STARTS
from cli.render import json_line
from dfs.client.effects import Answer, Ask, Operation
from dfs.errors import DfsError, NotFound, ProtocolError, Unavailable
from dfs.events import Peer, Role
from dfs.limits import SECOND_NS
from mapreduce.wire import (
    AttemptId,
    ListWorkers,
    ReadTaskLog,
    TaskLog,
    WorkerList,
    WorkerReport,
    parse_task,
)

WORKER_WAIT_NS = 5 * SECOND_NS


@click.command("logs")
@click.argument("job", metavar="JOB")
@click.argument("which", metavar="[TASK[.ATTEMPT]]", required=False)
@click.option("-f", "follow", is_flag=True, help="Go on with what is printed, until the job ends.")
@common
@invocation
def command(call: Invocation, job: str, which: str | None, follow: bool) -> None:
    """Show what the tasks of a job printed, on stdout and stderr together.

    A worker keeps it for the newest jobs, and at most 10 MiB of one attempt.
    """
    task = "" if which is None else parse_task(job, which).task
    reader = _Reader(call)
    attempts: dict[AttemptId, str] = {}
    for page in events(call, job, task, follow=follow):
        job = page.job
        for event in page.events:
            if event.kind in STARTS:
                attempts[parse_task(job, event.attempt)] = event.worker
        if page.more:
            continue
        for attempt, worker in attempts.items():
            if which is None or parse_task(job, which).attempt in (0, attempt.attempt):
                reader.show(attempt, worker)
    reader.finish()
    if which is not None and not reader.asked:
        raise NotFound(f"{job} has started no {which}: 'minimr tasks {job}' shows its tasks")
    if reader.missing:
        raise Unavailable(f"what {len(reader.missing)} attempts printed is missing here")


class _Reader:
    """Prints what is new of each log, under a headline where it comes from another one; as JSON
    an object for each line, which names where it comes from."""

    def __init__(self, call: Invocation) -> None:
        self._call = call
        self._workers: dict[str, WorkerReport] = {}
        self._read: dict[AttemptId, int] = {}
        self._last: AttemptId | None = None
        self._cut: dict[tuple[AttemptId, str], bytes] = {}
        """Lines that have begun, by attempt and worker."""
        self.missing: set[AttemptId] = set()

    @property
    def asked(self) -> bool:
        """Was anything looked for?"""
        return bool(self._read or self.missing)

    def show(self, attempt: AttemptId, worker: str) -> None:
        """Print what an attempt printed since the last time."""
        if attempt in self.missing:
            return
        offset = self._read.setdefault(attempt, 0)
        try:
            while piece := self._piece(attempt, worker, offset):
                self._print(attempt, worker, piece)
                offset += len(piece)
                self._read[attempt] = offset
        except DfsError as error:
            self.missing.add(attempt)
            sys.stdout.flush()
            self._call.say(f"{attempt} on {worker}: {error.message}")

    def finish(self) -> None:
        """Nothing follows: lines that have begun have ended."""
        for (attempt, worker), line in self._cut.items():
            if line:
                self._print_line(attempt, worker, line)

    def _print(self, attempt: AttemptId, worker: str, piece: bytes) -> None:
        if self._call.json:
            *whole, cut = (self._cut.get((attempt, worker), b"") + piece).split(b"\n")
            self._cut[attempt, worker] = cut
            for line in whole:
                self._print_line(attempt, worker, line)
            return
        if self._last != attempt:
            click.echo(f"== {attempt} on {worker}")
            self._last = attempt
        click.echo(piece, nl=False)

    def _print_line(self, attempt: AttemptId, worker: str, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        click.echo(json_line({"attempt": str(attempt), "worker": worker, "text": text}))

    def _piece(self, attempt: AttemptId, worker: str, offset: int) -> bytes:
        known = self._workers.get(worker)
        if known is None:
            found = ask(self._call, ListWorkers(), WorkerList).workers
            self._workers = {report.worker: report for report in found}
            known = self._workers.get(worker)
        if known is None or known.state in ("dead", "left"):
            raise Unavailable(f"{worker} is away, and what was printed there with it")
        fs = self._call.client()
        return fs.run(_read(known, fs.namenode.settings.host, ReadTaskLog(attempt, offset)))


def _read(worker: WorkerReport, host: str, question: ReadTaskLog) -> Operation[bytes]:
    near = worker.host == host
    endpoints = tuple(e for e in worker.endpoints if near or not e.startswith("ipc:"))
    to = Peer(Role.WORKER, worker.worker)
    answer: Answer = yield Ask(to, question, b"", endpoints, WORKER_WAIT_NS)
    if not isinstance(answer.message, TaskLog):
        raise ProtocolError(f"{worker.worker} answered with {type(answer.message).__name__}")
    return bytes(answer.payload)
