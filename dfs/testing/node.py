"""A machine of a simulation, what runs on it, and where that stands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from dfs.events import Event, Now, Peer, Work
from dfs.net.step import Step


@dataclass(frozen=True, slots=True)
class Process:
    """A booted process: ``execute`` carries out its work, ``after_turn`` looks at its core.

    ``check_running`` raises ``Halted`` when the process ended in a call of its disk.
    """

    step: Step
    execute: Callable[[Any], Any]
    after_turn: Callable[[], None] = lambda: None
    check_running: Callable[[], None] = lambda: None


class Machine(Protocol):
    """What outlives a process."""

    def boot(self, now: Now) -> Process:
        """Start the process; raises ``DfsError`` when it cannot."""

    def lose_process(self) -> None:
        """The process was killed."""

    def lose_power(self, rng: Random) -> None:
        """The machine lost power: what was not synced is lost, or a random part of it."""


@dataclass(slots=True, eq=False)
class Node:
    """A process and its machine. ``boots`` counts; ``process`` is None while it is down.

    ``held`` is work that waits for the end of a pause; ``wall_ahead_ns`` is how wrong its clock is.
    """

    peer: Peer
    endpoints: tuple[str, ...]
    machine: Machine
    process: Process | None = None
    boots: int = 0
    inbox: deque[Event] = field(default_factory=deque)
    lanes: dict[int, deque[Work]] = field(default_factory=dict)
    turn_at_ns: int | None = None
    is_paused: bool = False
    held: list[Callable[[], None]] = field(default_factory=list)
    wall_ahead_ns: int = 0
