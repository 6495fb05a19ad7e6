"""Commands, and the modules that own them.

A *command* is a decision that was made: it holds every id, target and time that
was chosen. Applying it writes rows and nothing else; it is deterministic and has no
expected failure. The log stores ``[module, tag, version, fields]`` for each command.

A *module* is a set of commands and tables with one ``apply``. The log, the step and
the table take a tuple of modules; ``dfs`` is one, ``mapreduce`` another. Tags are
written by hand and never reused: 1-999 belong to dfs, 1000-1999 to mapreduce. A
field added to a command gets a new version; the log refuses what it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeAlias

import msgspec

from dfs.namenode.problem import Rows
from dfs.namenode.table import Table

RowCheck: TypeAlias = Callable[[Rows, bytes, bytes], Iterator[tuple[int, str]]]
"""What is wrong with a row, by key and value: numbers of invariants, each with a sentence."""


class Command(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of all commands; what a subclass writes stands in its docstring."""

    TAG: ClassVar[int] = 0
    VERSION: ClassVar[int] = 1


@dataclass(frozen=True)
class Module:
    """One owner of commands and tables. ``apply(table, index, command)`` only writes.

    ``checks`` has the check of the rows of each table.
    """

    name: str
    commands: tuple[type[Command], ...]
    tables: tuple[str, ...]
    apply: Callable[[Table, int, Any], None]
    checks: Mapping[str, RowCheck] = field(default_factory=dict)


class LogCopies(NamedTuple):
    """On how many machines the log shall be before an answer leaves, and on how many it is."""

    wanted: int = 1
    kept: int = 1

    @property
    def shortage(self) -> str:
        """Why no change can be answered now; '' while all is well."""
        if self.kept >= self.wanted:
            return ""
        return (
            f"the log is kept on {self.kept} of {self.wanted} machines: start a datanode on another"
            f" machine, or set [files] min_durable to {self.kept} and start the namenode again"
        )


ALONE = LogCopies()
"""The log is kept on this machine only, and that is enough."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest copy of the view. ``index``: the last record in it, 0 when there is none.

    ``taken_ns`` (monotonic) is 0 when it was there before this process.
    """

    index: int = 0
    taken_ns: int = 0


NO_SNAPSHOT = Snapshot()


@dataclass(frozen=True, slots=True)
class View:
    """What a core may read when it decides: the table as of everything applied so far.

    ``next_index`` is the log index that the commands of this decision will get. While the
    disk ``is_full``, only what frees space may be decided. ``copies``: those of the log; while
    there is a shortage of them, no client's change may be decided. The log begins with record
    ``first_index``: what is before it stands in the ``snapshot``.
    """

    table: Table
    next_index: int
    is_full: bool = False
    copies: LogCopies = ALONE
    snapshot: Snapshot = NO_SNAPSHOT
    first_index: int = 1
