"""Messages between a client and the namenode about many names at once."""

from __future__ import annotations

from dfs.wire.codec import Message, message
from dfs.wire.namespace import Entry


@message(990)
class StatMany(Message, frozen=True):
    """What is at these paths? Sent by: client. Answered by: FoundMany, and BadArgument for more
    than ``STAT_MAX_PATHS``."""

    paths: tuple[str, ...]


@message(991)
class FoundMany(Message, frozen=True):
    """The entries of the first paths asked for, at least one; None: nothing is there.

    Sent by: namenode. Where paths are deep the answer ends early; ask again for the rest.
    """

    entries: tuple[Entry | None, ...]
