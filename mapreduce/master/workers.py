"""What workers say, and the answers to it.

A worker that is not registered is told so, whatever it says; it registers and repeats. Words
about an attempt that does not run there any more are answered with ``KillAttempt``, unless
the task is committed to just that attempt: then the first answer was lost, and it is ``Ok``.
"""

from __future__ import annotations

import msgspec

from dfs.errors import BadArgument, DfsError, NotFound, NotSupported
from dfs.events import Origin
from dfs.wire.codec import Message
from dfs.wire.common import Ok
from mapreduce.commands import MasterStarted
from mapreduce.job import part_name
from mapreduce.limits import SLOTS_MAX, WORKERS_MAX
from mapreduce.master import commit
from mapreduce.master import events as ev
from mapreduce.master.history import ATTEMPT_DONE
from mapreduce.master.questions import find_runs
from mapreduce.master.rows import must_job
from mapreduce.master.turn import Turn, WorkerLink
from mapreduce.side_output import check_files, side_part
from mapreduce.tables import JobRow
from mapreduce.wire import (
    AnnounceRuns,
    AttemptFailed,
    AttemptId,
    AttemptSucceeded,
    FailureKind,
    FindRuns,
    JobEvent,
    KillAttempt,
    RegisterWorker,
    RunsLost,
    TaskKind,
    WorkerAddress,
    WorkerDrains,
    WorkerHeartbeat,
    WorkerLeaves,
    WorkerRegistered,
)

WORDS: frozenset[type[Message]] = frozenset(
    {
        RegisterWorker,
        AnnounceRuns,
        WorkerHeartbeat,
        AttemptSucceeded,
        AttemptFailed,
        RunsLost,
        FindRuns,
        WorkerDrains,
        WorkerLeaves,
    }
)


def hear(turn: Turn, origin: Origin, message: Message, heartbeat_ns: int) -> Message:
    """The answer to a worker. Raises ``NotFound`` for one that has not registered."""
    name = origin.peer.name
    if isinstance(message, RegisterWorker):
        return _register(turn, origin, message, heartbeat_ns)
    worker = turn.parts.scheduler.state.workers.get(name)
    if worker is None or not worker.connected:
        raise NotFound(f"{name} is not registered here", name)
    match message:
        case AnnounceRuns():
            runs = tuple(run.map for run in message.runs)
            turn.schedule(ev.RunsAnnounced(name, runs, message.last))
            return Ok()
        case WorkerHeartbeat():
            rack = turn.parts.storage.rack(worker.node)
            turn.schedule(ev.Heartbeat(name, message.attempts, rack))
            return Ok()
        case WorkerDrains():
            turn.note(f"{name} drains: it gets no work and will leave")
            turn.schedule(ev.WorkerDrains(name))
            return Ok()
        case WorkerLeaves():
            turn.note(f"{name} leaves")
            turn.schedule(ev.WorkerLeft(name))
            return Ok()
        case FindRuns():
            return find_runs(turn.parts.scheduler.state, turn.parts.links, message)
        case AttemptSucceeded():
            return _succeeded(turn, name, message)
        case AttemptFailed() | RunsLost():
            return _failed(turn, name, message)
        case _:
            raise NotSupported(f"the master does not take {type(message).__name__}")


def _register(
    turn: Turn, origin: Origin, word: RegisterWorker, heartbeat_ns: int
) -> WorkerRegistered:
    name, parts = origin.peer.name, turn.parts
    if not word.endpoints or not 1 <= word.slots <= SLOTS_MAX:
        raise BadArgument(f"{name} registers with {word.slots} slots at {word.endpoints}")
    if name not in parts.links and len(parts.links) >= WORKERS_MAX:
        raise BadArgument(f"there are {WORKERS_MAX} workers already")
    if word.epoch > parts.epoch:
        parts.epoch = word.epoch + 1
        turn.decision.commands.append(MasterStarted(parts.epoch))
    address = WorkerAddress(name, word.endpoints, word.host)
    parts.links[name] = WorkerLink(origin.link, address, word.groups)
    turn.note(f"{name} registered from {word.host} with {word.slots} slots")
    rack = parts.storage.rack(word.node)
    turn.schedule(ev.WorkerJoined(name, word.node, word.slots, word.attempts, rack))
    return WorkerRegistered(parts.epoch, heartbeat_ns)


def _succeeded(turn: Turn, worker: str, word: AttemptSucceeded) -> Message:
    parts = turn.parts
    attempt = parts.scheduler.state.live(word.attempt, worker)
    if attempt is None:
        return _late(turn, word.attempt)
    _, row = must_job(turn.view.table, word.attempt.job)
    try:
        _check_files(row, word)
        done, commands = commit.commit_task(parts.storage, turn.view, word, attempt, turn.now)
    except DfsError as error:
        text = f"its output cannot be committed: {error}"
        turn.schedule(ev.AttemptFailed(word.attempt, worker, FailureKind.NODE, text))
        return KillAttempt(parts.epoch, word.attempt, text)
    commit.count_task(parts.book.totals(row.job), turn.view, done)
    turn.decision.commands += commands
    turn.record(row.job, _done(turn, worker, word))
    turn.schedule(ev.AttemptSucceeded(word.attempt, worker))
    return Ok()


def _done(turn: Turn, worker: str, word: AttemptSucceeded) -> JobEvent:
    return msgspec.structs.replace(
        turn.event(ATTEMPT_DONE, "", word.attempt, worker),
        records_in=word.records_in,
        records_out=word.records_out,
        output_bytes=word.output_bytes,
        counters=word.counters,
    )


def _check_files(row: JobRow, word: AttemptSucceeded) -> None:
    """A task that writes output has its one part, any other none; both may have side outputs."""
    ident = word.attempt
    step = row.spec.steps[ident.step]
    writes = ident.kind is TaskKind.REDUCE or not step.has_reducer
    part = part_name(step, ident.index) if writes else ""
    is_last = ident.step == len(row.spec.steps) - 1
    side = side_part(ident.kind[0], ident.step, ident.index, is_last)
    check_files(word.files, part, "" if row.spec.collect else side)


def _failed(turn: Turn, worker: str, word: AttemptFailed | RunsLost) -> Message:
    if turn.parts.scheduler.state.live(word.attempt, worker) is None:
        return _late(turn, word.attempt)
    if isinstance(word, RunsLost):
        turn.schedule(ev.MapOutputLost(word.attempt, worker, word.runs))
    else:
        turn.schedule(
            ev.AttemptFailed(word.attempt, worker, word.kind, word.text, word.failure, word.runs)
        )
    return Ok()


def _late(turn: Turn, attempt: AttemptId) -> Message:
    """The answer to words about an attempt that does not run there."""
    found = turn.parts.scheduler.state.find(attempt)
    if found is not None and found[1].done == attempt.attempt:
        return Ok()
    return KillAttempt(turn.parts.epoch, attempt, "it was given up")
