"""A user of a simulation: a program that waits, and meanwhile the world goes on.

The program runs in a thread of its own, yet never at the same time as anything else: the thread
and whoever turned to it hand each other the turn. What the program raises is raised there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class UserKilled(BaseException):
    """Raised in a program where it waits, when its user was killed; it must not go on."""


class User:
    """One program. ``resume`` and ``kill`` return when it waits again or has ended."""

    def __init__(self, program: Callable[[], None]) -> None:
        self.has_ended = False
        self._program = program
        self._is_true: Callable[[], bool] = lambda: True
        self._its_turn = threading.Semaphore(0)
        self._our_turn = threading.Semaphore(0)
        self._is_killed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="user", daemon=True)
        self._thread.start()

    def is_ready(self) -> bool:
        """Has what it waits for become true?"""
        return not self.has_ended and self._is_true()

    def resume(self) -> None:
        """Let it run until it waits again. Raises what its program raised."""
        self._its_turn.release()
        self._our_turn.acquire()
        if self._error is not None:
            raise self._error

    def kill(self) -> None:
        """Have it end where it waits."""
        if not self.has_ended:
            self._is_killed = True
            self.resume()

    def wait(self, is_true: Callable[[], bool]) -> None:
        """Called by its program: give up the turn until this is true."""
        self._is_true = is_true
        self._our_turn.release()
        self._its_turn.acquire()
        if self._is_killed:
            raise UserKilled

    def _run(self) -> None:
        self._its_turn.acquire()
        try:
            if not self._is_killed:
                self._program()
        except UserKilled:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where the turn was given
            self._error = error
        self.has_ended = True
        self._our_turn.release()
