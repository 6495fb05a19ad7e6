"""The runs that a worker holds, as its core knows them, and serving pieces of them.

Anybody whom the transport lets in may ask for a piece. A run that turns out to be damaged is
dropped at once, so that whoever asks next is told that it is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dfs.errors import Corrupt, NotFound, Unavailable
from dfs.events import Action, Note, Origin, Reply, WorkDone
from dfs.wire.common import Failed
from mapreduce.errors import RunCorrupt
from mapreduce.wire import AttemptId, FetchRun, RunData, RunHeld
from mapreduce.worker.chores import Numbers
from mapreduce.worker.work import DropRun, ReadRun, RunPiece

SERVING_MAX = 256
"""Pieces being read for others at a time; each is at most ``RUN_PIECE_BYTES``."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Token of a piece that is read for somebody."""

    origin: Origin
    run: AttemptId
    offset: int


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

    def serve(self, origin: Origin, asked: FetchRun) -> list[Action]:
        """Somebody asks for a piece."""
        if asked.map not in self._runs:
            error = NotFound(f"{self._name} does not hold the run of {asked.map}")
            return [Reply(origin, Failed.of(error))]
        if self._serving >= SERVING_MAX:
            busy = Unavailable(f"{self._name} is reading {SERVING_MAX} pieces already: ask again")
            return [Reply(origin, Failed.of(busy))]
        self._serving += 1
        token = Serving(origin, asked.map, asked.offset)
        work = ReadRun(asked.map, asked.partition, asked.offset)
        return [self._numbers.work(token, work)]

    def served(self, token: Serving, done: WorkDone) -> list[Action]:
        """The piece was read, or could not be."""
        self._serving -= 1
        piece = done.result
        if isinstance(piece, RunPiece):
            data = RunData(token.offset, piece.size_bytes, piece.records, piece.check)
            return [Reply(token.origin, data, piece.payload)]
        error = Corrupt(f"{self._name} cannot read the run of {token.run}: {done.error}")
        return [*self.damaged(token.run, done.error), Reply(token.origin, Failed.of(error))]

    def damaged(self, run: AttemptId, error: Exception | None) -> list[Action]:
        """Reading the run failed: drop it if it is damaged."""
        if not isinstance(error, RunCorrupt) or run not in self._runs:
            return []
        return [*self.drop(run), Note(f"dropped the run of {run}: {error}")]
