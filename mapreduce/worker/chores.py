"""Numbers and work of one worker's core: every part of it draws them here."""

from __future__ import annotations

from dataclasses import dataclass

from dfs.events import Action, Work
from mapreduce.worker.work import WorkerTask


@dataclass(frozen=True, slots=True)
class Chore:
    """Token of work whose end changes nothing; an error of it is only noted."""

    what: str


class Numbers:
    """Request numbers and lanes, each used once in the life of a core."""

    def __init__(self) -> None:
        self._last_request = 0
        self._last_lane = 0

    def request(self) -> int:
        """A number for a request."""
        self._last_request += 1
        return self._last_request

    def work(self, token: object, task: WorkerTask) -> Action:
        """Work that waits for no other."""
        self._last_lane += 1
        return Work(token, task, self._last_lane)

    def chore(self, task: WorkerTask) -> Action:
        """Work whose end nobody waits for."""
        return self.work(Chore(type(task).__name__), task)
