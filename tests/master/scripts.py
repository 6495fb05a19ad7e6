"""A scheduler driven by hand: words in, what it wants done out as short lines."""

from __future__ import annotations

from dfs.limits import SECOND_NS
from mapreduce.job import Failure
from mapreduce.master import actions as ac
from mapreduce.master import events as ev
from mapreduce.master.scheduler import Scheduler
from mapreduce.wire import AttemptId, AttemptProgress, FailureKind, TaskKind

JOB = "j-20261121-0001"


def attempt(text: str, job: str = JOB) -> AttemptId:
    """``m-00003.1`` or, shorter, ``m3.1``."""
    task, _, number = text.partition(".")
    kind = TaskKind.MAP if task[0] == "m" else TaskKind.REDUCE
    return AttemptId(job, 0, kind, int(task[1:].lstrip("-")), int(number))


def short(ident: AttemptId, home: str = JOB) -> str:
    """``m3.1``, with the job's number in front when it is not the first job."""
    place = "" if ident.job == home else f"{int(ident.job[-4:])}/"
    return f"{place}{ident.kind[0]}{ident.index}.{ident.attempt}"


def line(action: ac.Action) -> str:
    """An action as people read it."""
    match action:
        case ac.BeginJob():
            return f"begin {action.job}"
        case ac.LaunchAttempt():
            return f"launch {short(action.attempt)} {action.worker}"
        case ac.KillAttempt():
            return f"kill {short(action.attempt)} {action.worker}"
        case ac.PublishOutput():
            return f"publish {action.job}"
        case ac.EndJob():
            return f"end {action.job} {action.state}"
        case ac.ForgetMapOutput():
            return f"forget {action.job} {action.worker}"
        case ac.Tell():
            return f"tell {action.kind}"
        case ac.RecordFailure():
            return f"record {short(action.attempt)}"
        case ac.MarkProgress():
            return f"mark {short(action.attempt)}"


class Script:
    """Every word is followed by a check of all invariants."""

    def __init__(self, heartbeat_s: int = 1, stale_s: int = 5, dead_s: int = 20) -> None:
        self.scheduler = Scheduler(heartbeat_s * SECOND_NS, stale_s * SECOND_NS, dead_s * SECOND_NS)
        self.now_ns = SECOND_NS
        self.said: list[ac.Action] = []

    @property
    def state(self):  # type: ignore[no-untyped-def]
        return self.scheduler.state

    def tell(self, event: ev.Event) -> list[str]:
        """One event, and what is due then."""
        actions = self.scheduler.handle(event, self.now_ns)
        self.state.check()
        return [*self._lines(actions), *self.settle()]

    def settle(self) -> list[str]:
        lines: list[str] = []
        for _ in range(1000):
            due = self.scheduler.next_deadline()
            if due is None or due > self.now_ns:
                return lines
            lines += self._lines(self.scheduler.handle(ev.TimePassed(), self.now_ns))
            self.state.check()
        raise AssertionError("the scheduler never settles")

    def _lines(self, actions: list[ac.Action]) -> list[str]:
        self.said += actions
        silent = ac.RecordFailure | ac.MarkProgress
        return [line(action) for action in actions if not isinstance(action, silent)]

    def advance(self, seconds: float) -> list[str]:
        """Let time pass second by second; nobody says anything meanwhile."""
        end = self.now_ns + int(seconds * SECOND_NS)
        lines = []
        while self.now_ns < end:
            self.now_ns = min(end, self.now_ns + SECOND_NS // 4)
            lines += self.settle()
        return lines

    def job(
        self,
        maps: int,
        reduces: int,
        max_attempts: int = 4,
        ident: str = JOB,
        node: str = "",
        priority: int = 0,
        speculative: bool = False,
    ) -> list[str]:
        """A job starts; the input of its maps lies with the namenode or on one node."""
        word = ev.JobSubmitted(
            ident, maps, reduces, max_attempts, priority=priority, speculative=speculative
        )
        lines = self.tell(word)
        nodes = (node,) if node else ()
        located = tuple((index, nodes) for index in range(maps))
        return lines + self.tell(ev.MapsLocated(ident, located))

    def stands(self, maps: int, reduces: int, *known: ev.KnownTask) -> list[str]:
        """The master starts, and reads a job of which this is known."""
        lines = self.tell(ev.JobSubmitted(JOB, maps, reduces, 4, began=True, is_returning=True))
        lines += self.tell(ev.TasksKnown(JOB, known, last=True, may_run=True))
        return lines + self.tell(ev.AllKnown())

    def join(
        self, worker: str, slots: int = 1, node: str = "", running: str = "", runs: str = ""
    ) -> list[str]:
        """A worker registers and announces its runs."""
        lines = self.tell(
            ev.WorkerJoined(worker, node, slots, tuple(attempt(a) for a in running.split()))
        )
        held = tuple(attempt(a) for a in runs.split())
        return lines + self.tell(ev.RunsAnnounced(worker, held, True))

    def beat(self, worker: str, running: str = "") -> list[str]:
        words = tuple(AttemptProgress(attempt(a), 10, 0.5) for a in running.split())
        return self.tell(ev.Heartbeat(worker, words))

    def done(self, ident: str, worker: str, job: str = JOB) -> list[str]:
        return self.tell(ev.AttemptSucceeded(attempt(ident, job), worker))

    def fail(
        self,
        ident: str,
        worker: str,
        kind: str = "crash",
        runs: str = "",
        signature: str = "",
        job: str = JOB,
    ) -> list[str]:
        failure = None
        if kind == "user":
            failure = Failure("mapper", "ValueError: x", "Traceback: x", signature=signature)
        lost = tuple(attempt(a) for a in runs.split())
        failed = attempt(ident, job)
        return self.tell(
            ev.AttemptFailed(failed, worker, FailureKind(kind), "it broke", failure, lost)
        )
