"""Fetching a backup of the metadata: the operations of a client."""

from __future__ import annotations

from dfs.client.effects import CurrentTime, Operation, Sleep
from dfs.client.namenode import Namenode
from dfs.errors import DeadlineExceeded, ProtocolError
from dfs.limits import RETRY_PAUSE_NS, SECOND_NS, SNAPSHOT_DEADLINE_NS
from dfs.wire.backup import BackupPiece, BackupState, PrepareBackup, ReadBackup


def prepare(namenode: Namenode) -> Operation[BackupState]:
    """A snapshot that has everything acknowledged so far, once it is whole.

    Raises ``DeadlineExceeded`` when it is not after ``SNAPSHOT_DEADLINE_NS``.
    """
    begin_ns: int = yield CurrentTime()
    index = 0
    while True:
        state = yield from namenode.ask(PrepareBackup(index))
        assert isinstance(state, BackupState), state
        if state.manifest:
            return state
        index = state.index
        now_ns: int = yield CurrentTime()
        if now_ns - begin_ns >= SNAPSHOT_DEADLINE_NS:
            raise DeadlineExceeded(
                f"the namenode has taken no snapshot within {SNAPSHOT_DEADLINE_NS // SECOND_NS} s:"
                " see 'minidfs logs namenode', and whether its disk hangs"
            )
        yield Sleep(RETRY_PAUSE_NS)


def read_piece(namenode: Namenode, index: int, offset: int) -> Operation[bytes]:
    """Up to 1 MiB of a snapshot's data, at least one byte; the caller knows where they end."""
    answer = yield from namenode.ask_for_bytes(ReadBackup(index, offset))
    assert isinstance(answer.message, BackupPiece), answer.message
    if not answer.payload:
        raise ProtocolError(f"the backup of record {index} ends at {offset} bytes, too early")
    return bytes(answer.payload)
