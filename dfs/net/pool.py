"""Threads that carry out ``Work`` beside the loop.

Work with the same lane runs one piece after the other, in the order given; lanes run
beside each other and take turns. What ends waits for the loop, which is woken.
The cores bound how much work they give out; here is no second limit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from dfs.events import Work, WorkDone


class Pool:
    """``threads`` threads that call ``execute(task)``; ``wake`` is called after each."""

    def __init__(
        self, execute: Callable[[Any], Any], threads: int, wake: Callable[[], None], name: str
    ) -> None:
        self._execute = execute
        self._wake = wake
        self._lock = threading.Lock()
        self._lanes: dict[int, deque[Work]] = {}
        self._ready: SimpleQueue[int | None] = SimpleQueue()
        self._done: deque[WorkDone] = deque()
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work) -> None:
        """Carry out ``work`` when its lane's turn has come."""
        with self._lock:
            waiting = self._lanes.get(work.lane)
            if waiting is not None:
                waiting.append(work)
                return
            self._lanes[work.lane] = deque((work,))
        self._ready.put(work.lane)

    def take_done(self, limit: int) -> list[WorkDone]:
        """Up to ``limit`` pieces that have ended, in the order in which they did."""
        return [self._done.popleft() for _ in range(min(limit, len(self._done)))]

    def close(self, wait_s: float = 5.0) -> None:
        """Let the threads end after what they are at; wait a bounded time for each."""
        for _ in self._threads:
            self._ready.put(None)
        for thread in self._threads:
            thread.join(wait_s)

    def _serve(self) -> None:
        while (lane := self._ready.get()) is not None:
            # The first piece stays in the lane while it runs, so that the lane counts as busy.
            work = self._lanes[lane][0]
            self._done.append(self._run(work))
            with self._lock:
                waiting = self._lanes[lane]
                waiting.popleft()
                more = bool(waiting)
                if not more:
                    del self._lanes[lane]
            if more:
                self._ready.put(lane)
            self._wake()

    def _run(self, work: Work) -> WorkDone:
        try:
            return WorkDone(work.token, self._execute(work.task))
        except Exception as error:  # noqa: BLE001 - the core decides what an error means
            return WorkDone(work.token, error=error)
