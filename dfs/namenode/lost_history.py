"""What may have happened after the moment that this metadata is of.

The metadata can be put back to an older copy. What came after that moment is a *lost
history*: nobody here knows it, but the datanodes have what it wrote, and maybe somebody was told
that it is stored. Nothing of it is ever deleted; it is set aside on the datanodes. That rests on
the ids of chunks:

* When an older copy begins to serve, a command raises the epoch and skips ids, so far that
  none is given out twice. The ids that were skipped are the lost history's own. The clock is
  in the new ids, so that they are above those of any other restore of the same copy.
* A chunk below them that was allocated and not committed, or that belonged to a file under
  construction, was maybe committed, and its file closed, in the lost history. Such a chunk is
  *doubtful* once the write that it belonged to is given up here.
* Every other chunk below them that no file names was unlinked, or never written, before the
  moment of the copy. It is as good as any other orphan.

The table ``doubtful`` has both kinds. What this metadata does name and somebody removes goes as
ever: he saw what he removed.
"""

from __future__ import annotations

from collections.abc import Iterable

from dfs.errors import OlderMetadata
from dfs.events import Now
from dfs.limits import SECOND_NS
from dfs.namenode.commands import ChunksDoubted, EpochRaised
from dfs.namenode.keys import EPOCH, NEXT_CHUNK, get_number, number_key, number_of
from dfs.namenode.module import Command, View
from dfs.namenode.table import Table
from dfs.wire.node import Register

ID_JUMP = 1 << 32
"""How many chunk ids are skipped at least."""

IDS_PER_SECOND = 1 << 20
"""No namenode gives out as many: ids from here times the clock on were not given out before."""

_BEYOND_ALL = b"\xff" * 9


def begin_epoch(epoch: int, next_chunk: int, wall_ns: int) -> EpochRaised:
    """The first command behind a copy that may be old.

    ``epoch`` and ``next_chunk`` are the highest that are known to be used, and the first that is
    not known to be.
    """
    now_s = wall_ns // SECOND_NS
    return EpochRaised(max(epoch + 1, now_s), max(next_chunk + ID_JUMP, now_s * IDS_PER_SECOND))


def newer_epoch(view: View, node: str, word: Register, now: Now) -> EpochRaised | None:
    """The epoch to begin because this datanode knows more than the metadata do; None if not.

    Raises ``OlderMetadata`` where the log was kept on other machines: what the metadata lack is
    there, and a new epoch would have it written over.
    """
    table = view.table
    epoch, next_chunk = get_number(table, EPOCH, 1), get_number(table, NEXT_CHUNK, 1)
    if word.highest_chunk < next_chunk and word.epoch <= epoch:
        return None
    if view.copies.wanted > 1:
        raise OlderMetadata(
            f"{node} has obeyed epoch {word.epoch} and holds chunk {word.highest_chunk}, and the"
            f" metadata here are of epoch {epoch} and know the chunks below {next_chunk}: an older"
            " copy of the namenode's folder was put back: move the folder away and run"
            " 'minidfs admin rebuild', which takes what other machines kept of the log"
        )
    unused = max(next_chunk, word.highest_chunk + 1)
    return begin_epoch(max(epoch, word.epoch), unused, now.wall_ns)


def is_doubtful(table: Table, chunk: int) -> bool:
    """May a file of a lost history have this chunk, which no file and no lease here has?"""
    row = table.last("doubtful", number_key(chunk) + b"\0")
    return row is not None and chunk < number_of(row[1])


def may_be_stored(table: Table, chunk: int) -> bool:
    """May a lost history have committed this chunk, the write of which is given up here?"""
    last = table.last("doubtful", _BEYOND_ALL)
    return last is not None and chunk < number_of(last[0])


def doubt(chunks: Iterable[int]) -> list[Command]:
    """What is to be logged about chunks that may be stored, if there are any."""
    ranges = tuple((chunk, chunk + 1) for chunk in chunks)
    return [ChunksDoubted(ranges)] if ranges else []
