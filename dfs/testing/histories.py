"""Was what several users saw of one folder some serial order of what they did?

Each act stands in the history with the moments between which it happened. The history is good
when the acts can be put into an order in which each one follows from those before it, and in
which nothing is before what had ended when it began: linearizability, decided as in Wing and
Gong, "Testing and Verifying Concurrent Objects" (1993), with a memo of what was tried (Lowe 2017).

An act whose outcome is unknown may have happened at any time since, or never.

The state is a dict from name to content, each content being a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

State: TypeAlias = tuple[tuple[str, int], ...]
"""(name, content) of each file, sorted."""

Effect: TypeAlias = Callable[[dict[str, int]], bool]
"""Changes the state; False: this could not have been the answer in that state."""


@dataclass(slots=True)
class Act:
    """One thing a user did. ``ended`` is None while it is under way or its outcome unknown."""

    text: str
    effect: Effect
    began: int
    ended: int | None = None


class History:
    """All acts, in the order in which they began."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self._moment = 0

    def begin(self, text: str, effect: Effect) -> Act:
        """Somebody begins to do something."""
        act = Act(text, effect, self._next_moment())
        self.acts.append(act)
        return act

    def end(self, act: Act) -> None:
        """It was answered, as ``act.effect`` says."""
        act.ended = self._next_moment()

    def drop(self, act: Act) -> None:
        """It certainly changed nothing, and its answer says nothing."""
        self.acts.remove(act)

    def is_linearizable(self) -> bool:
        """Is there such an order?"""
        return _search(self.acts)

    def _next_moment(self) -> int:
        self._moment += 1
        return self._moment


def _search(acts: list[Act]) -> bool:
    """Try every order, depth first; what was tried is not tried again."""
    wanted = frozenset(n for n, act in enumerate(acts) if act.ended is not None)
    tried: set[tuple[frozenset[int], State]] = set()
    waiting: list[tuple[frozenset[int], State]] = [(frozenset(), ())]
    while waiting:
        done, state = waiting.pop()
        if wanted <= done:
            return True
        for number in _possible(acts, done):
            files = dict(state)
            if acts[number].effect(files):
                found = done | {number}, tuple(sorted(files.items()))
                if found not in tried:
                    tried.add(found)
                    waiting.append(found)
    return False


def _possible(acts: list[Act], done: frozenset[int]) -> list[int]:
    """The acts that may be next: begun before any of those that remain had ended."""
    ends = [act.ended for n, act in enumerate(acts) if n not in done and act.ended is not None]
    first_end = min(ends)
    return [n for n, act in enumerate(acts) if n not in done and act.began < first_end]


def put(name: str, content: int) -> Effect:
    """The name has this content from now on."""

    def effect(files: dict[str, int]) -> bool:
        files[name] = content
        return True

    return effect


def remove(name: str) -> Effect:
    """There was a file, and it is gone."""
    return lambda files: files.pop(name, None) is not None


def rename(source: str, target: str) -> Effect:
    """There was a file, and it has another name now; what had that is gone."""

    def effect(files: dict[str, int]) -> bool:
        if source not in files:
            return False
        files[target] = files.pop(source)
        return True

    return effect


def saw(name: str, content: int | None) -> Effect:
    """This was the content, None: there was no such file."""
    return lambda files: files.get(name) == content


def listed(names: list[str]) -> Effect:
    """These were the names, and no others."""
    return lambda files: sorted(files) == names
