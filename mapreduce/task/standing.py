"""Where the running task is, told to whoever asks in the middle of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _nowhere() -> str:
    return ""


_where: Callable[[], str] = _nowhere


@contextmanager
def standing(where: Callable[[], str]) -> Iterator[None]:
    """Let ``where`` say how far the task is; a process runs one task at a time."""
    global _where
    before, _where = _where, where
    try:
        yield
    finally:
        _where = before


def where() -> str:
    """The phase and what it is at: ``mapper, at byte 812 of /in/a, record 'x'``; '' outside."""
    return _where()
