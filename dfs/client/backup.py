"""Fetching a backup of the metadata: the operations of a client."""

from __future__ import annotations

from dfs.client.effects import Operation, Sleep
from dfs.client.namenode import Namenode
from dfs.errors import ProtocolError
from dfs.limits import RETRY_PAUSE_NS
from dfs.wire.backup import BackupPiece, BackupState, PrepareBackup, ReadBackup


def prepare(namenode: Namenode) -> Operation[BackupState]:
    """A snapshot that has everything acknowledged so far, once it is whole."""
    index = 0
    while True:
        state = yield from namenode.ask(PrepareBackup(index))
        assert isinstance(state, BackupState), state
        if state.manifest:
            return state
        index = state.index
        yield Sleep(RETRY_PAUSE_NS)


def read_piece(namenode: Namenode, index: int, offset: int) -> Operation[bytes]:
    """Up to 1 MiB of a snapshot's data, at least one byte; the caller knows where they end."""
    answer = yield from namenode.ask_for_bytes(ReadBackup(index, offset))
    assert isinstance(answer.message, BackupPiece), answer.message
    if not answer.payload:
        raise ProtocolError(f"the backup of record {index} ends at {offset} bytes, too early")
    return bytes(answer.payload)
