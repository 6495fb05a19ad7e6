"""Two tiny modules, a core that decides with them, and a journal on a disk in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dfs.events import Action, Decision, Event, Note, Now, WorkDone
from dfs.limits import SECOND_NS
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.journal import open_journal, table_names
from dfs.namenode.log import Log
from dfs.namenode.module import Command, Module, View
from dfs.namenode.table import MemoryTable, Table
from dfs.net.step import JournalStep
from dfs.testing.disk import MemoryDisk

CLUSTER = "c-test"
SEGMENT_BYTES = 1024
NOW = Now(SECOND_NS, 0)


class Set(Command, frozen=True):
    """A word gets a number."""

    TAG = 1
    word: bytes
    number: int


class Unset(Command, frozen=True):
    """A word is forgotten."""

    TAG = 2
    word: bytes


class Said(Command, frozen=True):
    """A sentence, kept under its index."""

    TAG = 1001
    VERSION = 2
    text: str
    loud: bool = False


def apply_words(table: Table, index: int, command: Set | Unset) -> None:
    if isinstance(command, Set):
        table.put("words", command.word, command.number.to_bytes(8, "big"))
    else:
        assert table.delete("words", command.word), f"{command.word!r} was never set"


def apply_said(table: Table, index: int, command: Said) -> None:
    table.put("said", index.to_bytes(8, "big"), command.text.encode())


WORDS = Module("words", (Set, Unset), ("words", "meta"), apply_words)
SAID = Module("said", (Said,), ("said",), apply_said)
MODULES = (WORDS, SAID)


def open_log(disk: MemoryDisk, applied_index: int = 0) -> Log:
    return Log.open(disk, CommandCodec(MODULES), CLUSTER, applied_index, SEGMENT_BYTES)


def write_records(disk: MemoryDisk, count: int, per_sync: int = 1) -> None:
    """A log of ``count`` records, so many to a sync, left as by ``kill -9``."""
    log = open_log(disk)
    for index in range(1, count + 1):
        log.append([Set(b"w%d" % index, index)])
        if index % per_sync == 0:
            log.sync()
    log.sync()


def numbers_in(log: Log, from_index: int = 1) -> list[int]:
    """The numbers set, in order; each record holds one."""
    found = []
    for _, commands in log.replay(from_index):
        (command,) = commands
        assert isinstance(command, Set)
        found.append(command.number)
    return found


def rows(table: Table) -> dict[str, list[tuple[bytes, bytes]]]:
    """All rows of a view."""
    return {name: table.scan(name, b"", 100_000) for name in table_names(MODULES)}


def new_table() -> MemoryTable:
    return MemoryTable(table_names(MODULES))


def ask(*commands: Command) -> WorkDone:
    """An event in answer to which ``ScriptedCore`` decides these commands."""
    return WorkDone("ask", commands)


@dataclass
class ScriptedCore:
    """Decides what its events say, and tells how many words it saw when it decided."""

    deadline_ns: int | None = None
    due: tuple[Command, ...] = ()
    remembered: list[Action] = field(default_factory=list)

    def handle(self, view: View, event: Event, now: Now) -> Decision:
        assert isinstance(event, WorkDone)
        words = len(view.table.scan("words", b"", 1000))
        note = Note(f"record {view.next_index} after {words} words")
        return Decision(list(event.result), [note])

    def on_deadline(self, view: View, now: Now) -> Decision:
        self.deadline_ns = None
        return Decision(list(self.due), [Note(f"due at record {view.next_index}")])

    def next_deadline(self) -> int | None:
        return self.deadline_ns

    def remember(self, actions: Sequence[Action], now: Now) -> None:
        self.remembered += actions


def boot(disk: MemoryDisk, table: Table, core: ScriptedCore | None = None) -> JournalStep:
    """A step as a process has it after its start."""
    log = open_journal(disk, table, MODULES, CLUSTER, SEGMENT_BYTES)
    return JournalStep(core or ScriptedCore(), MODULES, log, table)


def texts(actions: list[Action]) -> list[str]:
    """The texts of notes."""
    return [action.text for action in actions if isinstance(action, Note)]
