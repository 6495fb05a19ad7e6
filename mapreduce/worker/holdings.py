"""The runs that a worker holds, as its core knows them, and serving partitions of them.

Anybody whom the transport lets in may ask. A run that turns out to be damaged is dropped at once,
so that whoever asks next is told that it is gone; that is no fault of the others that were asked
for with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from dfs.errors import BadArgument, Unavailable
from dfs.events import Action, Note, Origin, Reply, WorkDone
from dfs.wire.common import Failed
from mapreduce.limits import FETCHES_SERVED_MAX, RUNS_PER_FETCH_MAX
from mapreduce.wire import AttemptId, FetchRuns, RunHeld, RunsData, TaskKind
from mapreduce.worker.chores import Numbers
from mapreduce.worker.work import DropRun, ReadRuns, RunPack


@dataclass(frozen=True, slots=True)
class Serving:
    """Token of what is read for somebody; ``gone`` are the maps whose runs were not here."""

    origin: Origin
    gone: tuple[int, ...]


class Holdings:
    """See the module's text."""

    def __init__(self, name: str, numbers: Numbers) -> None:
        self._name = name
        self._numbers = numbers
        self._runs: dict[AttemptId, RunHeld] = {}
        self._serving = 0

    def __contains__(self, run: AttemptId) -> bool:
        return run in self._runs

    def all(self) -> Collection[RunHeld]:
        """Every run held."""
        return self._runs.values()

    def add(self, runs: Iterable[RunHeld]) -> None:
        """These lie here now."""
        self._runs |= {held.map: held for held in runs}

    def drop(self, run: AttemptId) -> list[Action]:
        """Nobody wants this run; fine if it is not here."""
        held = self._runs.pop(run, None)
        return [self._numbers.chore(DropRun(run))] if held else []

    def forget_job(self, job: str) -> None:
        """The files of the job's runs are removed by somebody else."""
        for run in [run for run in self._runs if run.job == job]:
            del self._runs[run]

    def serve(self, origin: Origin, asked: FetchRuns) -> list[Action]:
        """Somebody asks for a partition of some runs."""
        if not 1 <= len(asked.runs) <= RUNS_PER_FETCH_MAX:
            wrong = BadArgument(f"1 to {RUNS_PER_FETCH_MAX} runs are fetched at a time")
            return [Reply(origin, Failed.of(wrong))]
        runs = [
            AttemptId(asked.job, asked.step, TaskKind.MAP, run.map, run.attempt)
            for run in asked.runs
        ]
        here = tuple(run for run in runs if run in self._runs)
        gone = tuple(run.index for run in runs if run not in self._runs)
        if not here:
            return [Reply(origin, RunsData((), gone, 0))]
        if self._serving >= FETCHES_SERVED_MAX:
            busy = Unavailable(f"{self._name} reads for {FETCHES_SERVED_MAX} fetches: ask again")
            return [Reply(origin, Failed.of(busy))]
        self._serving += 1
        offset = asked.offset if here[0] == runs[0] else 0
        return [self._numbers.work(Serving(origin, gone), ReadRuns(here, asked.partition, offset))]

    def served(self, token: Serving, done: WorkDone) -> list[Action]:
        """What was asked for was read."""
        self._serving -= 1
        pack = done.result
        if not isinstance(pack, RunPack):
            failed = Unavailable(f"{self._name} could not read: {done.error}")
            return [Reply(token.origin, Failed.of(failed))]
        gone = (*token.gone, *(run.index for run in pack.unreadable))
        reply = Reply(token.origin, RunsData(pack.pieces, gone, pack.check), pack.payload)
        return [*self.drop_unreadable(pack.unreadable), reply]

    def drop_unreadable(self, runs: Mapping[AttemptId, str]) -> list[Action]:
        """These runs could not be read, for what stands beside each."""
        actions: list[Action] = []
        for run, why in runs.items():
            if run in self._runs:
                actions += [*self.drop(run), Note(f"dropped the run of {run}: {why}")]
        return actions
