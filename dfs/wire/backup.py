"""Messages of a backup: the namenode's metadata, copied while it serves.

The namenode takes a snapshot of its view that has everything acknowledged before the first
question. The client asks until it is whole, and reads it piece by piece. A snapshot that
somebody reads stays for a minute after the last question about it.
"""

from __future__ import annotations

from dfs.wire.codec import Message, message


@message(70)
class PrepareBackup(Message, frozen=True):
    """Have a snapshot with every record up to ``index``; 0: with all that was acknowledged.

    Sent by: client. Answered by: BackupState, NoRoom, Corrupt, StorageFault, BadArgument.
    Harmless when repeated; a snapshot that failed is tried again by the next question.
    """

    index: int = 0


@message(71)
class BackupState(Message, frozen=True):
    """The snapshot asked for. Sent by: namenode.

    Not ready while ``manifest`` is empty: ask again, with ``index``. Then ``index`` is the
    snapshot's own and ``manifest`` the text to put beside its data.
    """

    index: int
    manifest: bytes = b""


@message(72)
class ReadBackup(Message, frozen=True):
    """Bytes of a snapshot's data. Sent by: client. Answered by: BackupPiece, NotFound."""

    index: int
    offset: int


@message(73)
class BackupPiece(Message, frozen=True):
    """Up to 1 MiB from ``offset`` on (the payload); fewer only at the end. Sent by: namenode."""

    offset: int
