"""The newest snapshot goes to the keepers of the log: to whom, when, and what if it fails.

A keeper gets a snapshot once it has confirmed the records that the snapshot stands for, a piece
at a time: one is read, sent and confirmed before the next, so no more than a piece is in memory.
One that cannot be read or kept is sent again after ``KEEPER_BROKEN_NS``, or at once when there
is a newer one by then. Meanwhile a copy that has a beginning goes on to count; for a keeper whose
copy has none, others are preferred.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from dfs.events import Action, Note, WorkDone
from dfs.limits import KEEPER_BROKEN_NS, KEEPER_TRY_NS
from dfs.manifest import Manifest
from dfs.namenode.keeper_state import Keeper, Stage
from dfs.namenode.snapshot_transfer import Transfer


class Snapshots(Protocol):
    """What is needed of the snapshots."""

    @property
    def newest(self) -> Manifest | None:
        """The newest whole one."""

    def doubt(self, index: int) -> list[Action]:
        """Somebody could not use the snapshot of that record: look whether it is damaged."""


class SnapshotSender:
    """``numbers`` are those of requests; ``broken`` says until when others are preferred."""

    def __init__(self, numbers: Iterator[int], broken: dict[str, int]) -> None:
        self.snapshots: Snapshots | None = None
        self._numbers = numbers
        self._broken = broken

    def due_ns(self, keeper: Keeper) -> int | None:
        """When a snapshot is to be sent to this keeper, as far as is known."""
        return None if self._wanted_by(keeper) is None else keeper.snapshot_due_ns

    def begin(self, keeper: Keeper, now_ns: int) -> list[Action]:
        """Begin to send what is due."""
        wanted = self._wanted_by(keeper)
        if wanted is None or now_ns < keeper.snapshot_due_ns:
            return []
        keeper.transfer = Transfer(keeper.node, wanted)
        return [keeper.transfer.read()]

    def read(self, keeper: Keeper, event: WorkDone, epoch: int, now_ns: int) -> list[Action]:
        """A piece was read; what was read for a transfer that was given up is dropped."""
        transfer = keeper.transfer
        if transfer is None or transfer.token != event.token:
            return []
        if event.error is None and event.result:
            if not keeper.in_flight:
                keeper.due_ns = now_ns + KEEPER_TRY_NS
            return [transfer.send(event.result, epoch, next(self._numbers))]
        newest = self._newest
        if newest is not None and newest.index > transfer.index:
            keeper.transfer = None  # it made way for the newer one, which is sent instead
            return []
        reason = str(event.error or "its data end early")
        return self.failed(keeper, reason, now_ns, is_doubtful=True)

    def kept(self, keeper: Keeper, now_ns: int) -> list[Action]:
        """The keeper has the piece that it was sent."""
        transfer = keeper.transfer
        assert transfer is not None, keeper
        keeper.due_ns, keeper.silent_tries = now_ns + KEEPER_TRY_NS, 0
        if not transfer.confirmed():
            return [transfer.read()]
        keeper.snapshot, keeper.transfer = transfer.index, None
        return [Note(f"{keeper.node} keeps the snapshot of record {transfer.index}")]

    def failed(
        self, keeper: Keeper, reason: str, now_ns: int, *, is_doubtful: bool
    ) -> list[Action]:
        """It cannot be read, or be kept there. ``is_doubtful``: it may be damaged here."""
        transfer = keeper.transfer
        assert transfer is not None, keeper
        assert self.snapshots is not None, keeper
        keeper.transfer, keeper.snapshot_due_ns = None, now_ns + KEEPER_BROKEN_NS
        if not keeper.is_based:
            self._broken[keeper.node] = now_ns + KEEPER_BROKEN_NS
        text = f"{keeper.node} does not keep the snapshot of record {transfer.index}: {reason}"
        doubts = self.snapshots.doubt(transfer.index) if is_doubtful else []
        return [Note(text), *doubts]

    @property
    def _newest(self) -> Manifest | None:
        return None if self.snapshots is None else self.snapshots.newest

    def _wanted_by(self, keeper: Keeper) -> Manifest | None:
        """The snapshot that a keeper lacks, may have, and that is not on its way."""
        newest = self._newest
        if keeper.stage is not Stage.SENDING or keeper.transfer is not None or newest is None:
            return None
        return newest if keeper.kept >= newest.index > keeper.snapshot else None
