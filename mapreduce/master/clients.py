"""What clients ask for, and the answers to it."""

from __future__ import annotations

from dfs.errors import NotFound, NotSupported, Unavailable
from dfs.events import Origin
from dfs.wire.codec import Message
from dfs.wire.common import Ok
from mapreduce.master import events as ev
from mapreduce.master import questions
from mapreduce.master.commit import output_folder
from mapreduce.master.history import STATE
from mapreduce.master.rows import resolve
from mapreduce.master.turn import Turn
from mapreduce.wire import (
    AddSplits,
    AttemptId,
    DropOutput,
    JobState,
    JobSubmitted,
    KillJob,
    KillTask,
    ListEvents,
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
        KillTask,
        ListTasks,
        ListEvents,
        ListWorkers,
        DropOutput,
    }
)

CHANGES = (SubmitJob, AddSplits, StartJob, KillJob, KillTask, DropOutput)
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
                turn.record(started.job, turn.event(STATE, JobState.QUEUED))
                turn.schedule(started)
            return Ok()
        case KillJob():
            _kill(turn, message.job, f"killed by {user}")
            return Ok()
        case KillTask():
            _kill_task(turn, message, f"killed by {user}")
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
        case ListEvents():
            return questions.event_list(turn, message)
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
        turn.record(row.job, turn.event(STATE, JobState.KILLED))


def _kill_task(turn: Turn, word: KillTask, reason: str) -> None:
    """End the attempts that are meant. Raises NotFound when none of them runs."""
    _, row = resolve(turn.view.table, word.job)
    attempt = AttemptId(row.job, word.step, word.kind, word.index, word.attempt)
    name = str(attempt) if word.attempt else attempt.task
    found = turn.parts.scheduler.state.find(attempt)
    if found is None:
        over = f": the job is over, {row.state}" if row.state.is_final else ""
        raise NotFound(f"{row.job} runs no task {attempt.task}{over}", row.job)
    task = found[1]
    running = [known.id.attempt for known in task.attempts]
    if not running or word.attempt not in (0, *running):
        raise NotFound(f"{name} of {row.job} does not run: {attempt.task} is {task.state}", row.job)
    turn.schedule(ev.TaskKilled(attempt, reason))
