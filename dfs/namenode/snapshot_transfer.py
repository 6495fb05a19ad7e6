"""A snapshot on its way to a keeper of the log: read a piece, send it, wait, go on."""

from __future__ import annotations

from typing import NamedTuple

from dfs.events import Payload, Peer, Role, Send, Work
from dfs.limits import FRAME_BYTES
from dfs.manifest import Manifest, render
from dfs.namenode.snapshots import ReadSnapshot
from dfs.wire.keeper import KeepSnapshot

_LANE = 2
"""Apart from the lanes in which snapshots are made and read for backups."""


class TransferToken(NamedTuple):
    """Names the reading of a piece."""

    node: str
    record: int
    offset: int


class Transfer:
    """One snapshot for one keeper. ``request`` is the number of the unanswered piece, or 0."""

    def __init__(self, node: str, manifest: Manifest) -> None:
        self.index = manifest.index
        self.request = 0
        self._node = node
        self._manifest = manifest
        self._offset = 0
        self._sent_bytes = 0

    @property
    def token(self) -> TransferToken:
        """Names the piece that is read next."""
        return TransferToken(self._node, self.index, self._offset)

    def read(self) -> Work:
        """Read the next piece."""
        return Work(self.token, ReadSnapshot(self.index, self._offset, FRAME_BYTES), _LANE)

    def send(self, data: Payload, epoch: int, request: int) -> Send:
        """Send the piece that was read."""
        self.request, self._sent_bytes = request, len(data)
        piece = KeepSnapshot(epoch, self._offset, render(self._manifest))
        return Send(Peer(Role.DATANODE, self._node), piece, request, data)

    def confirmed(self) -> bool:
        """The piece is kept; was it the last one?"""
        self._offset += self._sent_bytes
        self.request = 0
        return self._offset >= self._manifest.data_bytes
