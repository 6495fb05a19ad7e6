"""What clients ask for, and the answers to it."""

from __future__ import annotations

from dfs.errors import NotSupported, Unavailable
from dfs.events import Origin
from dfs.wire.codec import Message
from dfs.wire.common import Ok
from mapreduce.master import events as ev
from mapreduce.master import questions
from mapreduce.master.commit import output_folder
from mapreduce.master.rows import resolve
from mapreduce.master.turn import Turn
from mapreduce.wire import (
    AddSplits,
    DropOutput,
    JobState,
    JobSubmitted,
    KillJob,
    ListJobs,
    ListTasks,
    ListWorkers,
    StartJob,
    SubmitJob,
    WatchJob,
)

WORDS: frozenset[type[Message]] = frozenset(
    {
        SubmitJob,
        AddSplits,
        StartJob,
        WatchJob,
        ListJobs,
        KillJob,
        ListTasks,
        ListWorkers,
        DropOutput,
    }
)

CHANGES = (SubmitJob, AddSplits, StartJob, KillJob, DropOutput)
"""What cannot be answered while the log is on too few machines."""


def hear(turn: Turn, origin: Origin, message: Message) -> Message | None:
    """The answer to a client, or None when it comes later."""
    book, user = turn.parts.book, origin.peer.name
    if turn.view.copies.shortage and isinstance(message, CHANGES):
        raise Unavailable(turn.view.copies.shortage)
    match message:
        case SubmitJob():
            job, commands = book.submit(turn.view, user, message, turn.now)
            turn.decision.commands += commands
            return JobSubmitted(job, output_folder(job))
        case AddSplits():
            turn.decision.commands += book.add_splits(turn.view, message)
            return Ok()
        case StartJob():
            started, commands = book.start(turn.view, message)
            turn.decision.commands += commands
            if started is not None:
                turn.schedule(started)
            return Ok()
        case KillJob():
            _kill(turn, message.job, f"killed by {user}")
            return Ok()
        case DropOutput():
            _, row = resolve(turn.view.table, message.job)
            turn.decision.commands += book.drop_output(turn.view, row.job, turn.now)
            return Ok()
        case WatchJob():
            return questions.watch(turn, origin, message)
        case ListJobs():
            return questions.job_list(turn, message)
        case ListTasks():
            return questions.task_list(turn, message)
        case ListWorkers():
            return questions.worker_list(turn)
        case _:
            raise NotSupported(f"the master does not take {type(message).__name__}")


def _kill(turn: Turn, text: str, reason: str) -> None:
    _, row = resolve(turn.view.table, text)
    if row.ready:
        turn.schedule(ev.JobKilled(row.job, reason))
    elif not row.state.is_final:
        turn.decision.commands += turn.parts.book.cancel(
            turn.view, row.job, JobState.KILLED, reason, turn.now
        )
