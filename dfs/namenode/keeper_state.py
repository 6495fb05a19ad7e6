"""One keeper of the log, as the namenode sees it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from dfs.events import Peer, Role
from dfs.limits import KEEPER_PAUSE_NS
from dfs.namenode.snapshot_transfer import Transfer


class Stage(StrEnum):
    """How far a keeper is."""

    PAUSING = "pausing"
    ASKED = "asked"
    BEGINNING = "beginning"
    SENDING = "sending"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece on its way: the last record in it, and whether there was none behind it."""

    request: int
    through: int
    whole: bool


@dataclass(slots=True)
class Keeper:
    """What is known of one; ``first``, ``kept`` (its end) and ``snapshot`` are those of its copy.

    No snapshot is sent to it before ``snapshot_due_ns``. ``silent_tries``: how many times an answer
    was overdue since it last confirmed a piece.
    """

    node: str
    due_ns: int
    stage: Stage = Stage.PAUSING
    pause_ns: int = KEEPER_PAUSE_NS
    request: int = 0
    next_index: int = 0
    kept: int = 0
    in_step: bool = False
    said: str = ""
    silent_tries: int = 0
    first: int = 1
    snapshot: int = 0
    snapshot_due_ns: int = 0
    transfer: Transfer | None = None
    in_flight: deque[Piece] = field(default_factory=deque)

    @property
    def peer(self) -> Peer:
        return Peer(Role.DATANODE, self.node)

    @property
    def is_based(self) -> bool:
        """Does its copy need no more than the records behind its end?"""
        return self.first == 1 or self.snapshot >= self.first - 1

    @property
    def deadline_ns(self) -> int | None:
        """When its pause is over, or its answer overdue; None while nothing is awaited."""
        sent = self.in_flight or (self.transfer is not None and self.transfer.request)
        idle = self.stage is Stage.SENDING and not sent
        return None if idle else self.due_ns
