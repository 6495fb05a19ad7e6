"""Serving what attempts printed, piece by piece, to whoever asks. A few pieces at a time: each
takes a thread of the worker for a moment."""

from __future__ import annotations

from dataclasses import dataclass

from dfs.errors import DfsError, Unavailable
from dfs.events import Action, Origin, Reply, WorkDone
from dfs.wire.common import Failed
from mapreduce.wire import ReadTaskLog, TaskLog
from mapreduce.worker.chores import Numbers
from mapreduce.worker.work import ReadLog

PRINTING_MAX = 4


@dataclass(frozen=True, slots=True)
class Printing:
    """Token of a piece that is read for somebody."""

    origin: Origin
    offset: int


class Printed:
    """See the module's text."""

    def __init__(self, name: str, numbers: Numbers) -> None:
        self._name = name
        self._numbers = numbers
        self._reading = 0

    def serve(self, origin: Origin, asked: ReadTaskLog) -> list[Action]:
        """Somebody asks for a piece."""
        if self._reading >= PRINTING_MAX:
            busy = Unavailable(f"{self._name} is reading {PRINTING_MAX} logs already: ask again")
            return [Reply(origin, Failed.of(busy))]
        self._reading += 1
        token = Printing(origin, asked.offset)
        return [self._numbers.work(token, ReadLog(asked.attempt, asked.offset))]

    def served(self, token: Printing, done: WorkDone) -> list[Action]:
        """The piece was read, or could not be."""
        self._reading -= 1
        if done.error is None:
            return [Reply(token.origin, TaskLog(token.offset), done.result)]
        error = done.error
        if not isinstance(error, DfsError):
            error = Unavailable(f"{self._name} cannot read its log: {error}")
        return [Reply(token.origin, Failed.of(error))]
