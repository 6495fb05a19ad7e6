"""A lost namenode is put together again from what the datanodes hold: the rules.

The rebuilder listens in the namenode's place. Datanodes come to register; none is let in, so
none is told to delete or to copy anything, but each is asked what it keeps of the log. When as
many have answered as were named, or none came for a while and all that came have answered, the
copy with the highest epoch and, among those, the last record is read, piece by piece: its
snapshot and the records behind it, or all records, if it has the first. A snapshot must have the
hash of its manifest, records must follow one another; a copy that fails is left for the next best.
A piece is asked for when the one before is written, whoever comes to register meanwhile; so it
is over when the last one is written, and nothing of a copy that was left is still on its way.

Every change that was acknowledged is in that copy: it was on enough machines before anybody heard
of it, and a keeper confirms nothing that it has not synced. The epoch comes first, since a copy is
of an epoch only when it had all that a namenode of it had: what was kept before a restore, or
was still being sent when the namenode was lost, never wins over that.

Without any copy, and only when asked to, the rebuilder reads from all nodes what each replica
says of itself (``dfs.namenode.salvage`` makes files of that).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from dfs.errors import Corrupt, DfsError, NotFound, Unavailable
from dfs.events import (
    Action,
    Event,
    LinkLost,
    Note,
    Now,
    Origin,
    Payload,
    Peer,
    Received,
    Reply,
    Role,
    Send,
    Work,
    WorkDone,
)
from dfs.limits import REBUILD_STALL_NS
from dfs.namenode.copy_reader import CopyReader
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from dfs.wire.keeper import (
    ChunkList,
    FoundChunk,
    GetKeptLog,
    KeptLog,
    KeptRecords,
    KeptSnapshot,
    ListChunks,
)
from dfs.wire.node import Register

BUSY = "the namenode is being rebuilt: wait until 'minidfs admin rebuild' has finished"


class Stage(StrEnum):
    """What the rebuilder is doing."""

    GATHERING = "gathering"
    READING = "reading"
    LISTING = "listing"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to rebuild. ``nodes``: how many to wait for, 0: until none came for ``quiet_ns``."""

    nodes: int
    quiet_ns: int
    from_chunks: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found. ``node`` gave the log that was written; '' when files are to be made of
    ``chunks``. ``base`` is the record of the snapshot before that log, 0 without one. ``epoch``
    is the highest that any node obeyed or kept."""

    epoch: int
    nodes: tuple[str, ...]
    node: str = ""
    kept: KeptLog | None = None
    base: int = 0
    chunks: tuple[FoundChunk, ...] = ()


@dataclass(slots=True)
class _Node:
    name: str
    epoch: int
    request: int = 0
    kept: KeptLog | None = None
    following: ListChunks | None = ListChunks()  # noqa: RUF009 - it is frozen
    chunks: list[FoundChunk] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        return Peer(Role.DATANODE, self.name)


@dataclass(frozen=True, slots=True)
class _Copy:
    """What a node keeps, as one way to read it: from the snapshot ``base`` on, or from record 1."""

    node: _Node
    kept: KeptLog
    base: int

    @property
    def rank(self) -> tuple[int, int, int]:
        """The better, the higher."""
        return self.kept.epoch, max(self.kept.last, self.base), self.base


class Rebuilder:
    """A core without a log; see the module's text. ``outcome`` or ``error`` is set at the end."""

    def __init__(self, wanted: Wanted, now: Now) -> None:
        self.stage = Stage.GATHERING
        self.outcome: Outcome | None = None
        self.error: DfsError | None = None
        self._wanted = wanted
        self._numbers = count(1)
        self._nodes: dict[str, _Node] = {}
        self._due_ns = now.mono_ns + wanted.quiet_ns
        self._is_patient = False
        self._candidates: list[_Copy] = []
        self._reader = CopyReader(KeptLog(0, 0, 0, 0), 0)
        self._writing = 0
        self._damage = ""

    # -- events

    def handle(self, event: Event, now: Now) -> list[Action]:
        """Decide one event."""
        match event:
            case Received(message=Register()):
                assert isinstance(event.message, Register)
                return self._register(event.origin, event.message, now)
            case Received(
                message=KeptLog() | KeptSnapshot() | KeptRecords() | ChunkList() | Failed()
            ):
                return self._answered(event, now)
            case Received():
                return [Reply(event.origin, Failed.of(Unavailable(BUSY)))]
            case LinkLost():
                node = self._nodes.get(event.peer.name)
                if node is not None and node.request:
                    node.request = 0
                    return [Note(f"{node.name} went away: {event.reason}")]
                return []
            case WorkDone():
                return self._written(event, now)

    def on_deadline(self, now: Now) -> list[Action]:
        """Nobody came or answered for a while."""
        if self.stage is Stage.GATHERING:
            return self._wait_or_decide(now)
        waiting = [n.name for n in self._nodes.values() if n.request or n.following]
        self._end(_silent(waiting or ["the disk"]))
        return []

    def next_deadline(self) -> int | None:
        """When to stop waiting; what is being written takes as long as it takes."""
        return None if self.stage is Stage.DONE or self._writing else self._due_ns

    # -- gathering

    def _register(self, origin: Origin, word: Register, now: Now) -> list[Action]:
        """A node is there. It is not let in, and it is asked once more what was not answered."""
        actions: list[Action] = [Reply(origin, Failed.of(Unavailable(BUSY)))]
        name = origin.peer.name
        node = self._nodes.get(name)
        if node is None and self.stage is Stage.GATHERING:
            node = self._nodes[name] = _Node(name, word.epoch)
            actions.append(Note(f"{name} is there, on {word.host.partition(':')[0]}"))
        if node is None or node.request:
            return actions
        match self.stage:
            case Stage.GATHERING if node.kept is None:
                actions.append(self._ask(node, GetKeptLog()))
            case Stage.READING if node is self._candidates[0].node and not self._writing:
                actions += self._ask_on()
            case Stage.LISTING if node.following is not None:
                actions.append(self._ask(node, node.following))
            case _:
                pass
        return actions

    def _answered(self, event: Received, now: Now) -> list[Action]:
        node = self._nodes.get(event.origin.peer.name)
        if node is None or node.request != event.origin.request:
            return []
        node.request = 0
        match event.message:
            case KeptLog() if self.stage is Stage.GATHERING:
                return self._gathered(node, event.message, now)
            case KeptSnapshot() | KeptRecords() if self.stage is Stage.READING:
                return self._read(node, event.message, event.payload, now)
            case ChunkList() if self.stage is Stage.LISTING:
                return self._listed(node, event.message, now)
            case Failed():
                return self._refused(node, event.message, now)
            case _:
                return []

    def _gathered(self, node: _Node, kept: KeptLog, now: Now) -> list[Action]:
        node.kept, self._is_patient = kept, False
        self._due_ns = now.mono_ns + self._wanted.quiet_ns
        note = Note(f"{node.name}: {_describe(kept)}")
        answered = sum(n.kept is not None for n in self._nodes.values())
        if self._wanted.nodes and answered >= self._wanted.nodes:
            return [note, *self._decide(now)]
        return [note]

    def _refused(self, node: _Node, failed: Failed, now: Now) -> list[Action]:
        note = Note(f"{node.name}: {failed.text}")
        if self.stage is Stage.GATHERING:
            return [note, *self._gathered(node, KeptLog(0, 0, 0, 0), now)]
        if self.stage is Stage.READING:
            return [note, *self._next_candidate(now)]
        self._end(failed.error())
        return [note]

    def _wait_or_decide(self, now: Now) -> list[Action]:
        """Nobody comes any more; whoever is checking a long copy is waited for."""
        asked = [node.name for node in self._nodes.values() if node.request]
        if not asked:
            return self._decide(now)
        if self._is_patient:
            self._end(_silent(asked))
            return []
        self._is_patient = True
        self._due_ns = now.mono_ns + REBUILD_STALL_NS
        return [Note(f"{', '.join(asked)} has yet to say what it keeps: waiting for it")]

    def _decide(self, now: Now) -> list[Action]:
        """Everybody is there who will be: choose the copy."""
        if not self._nodes:
            self._end(
                Unavailable("no datanode came: start them, they find the rebuilder by themselves")
            )
            return []
        if self._wanted.from_chunks:
            self.stage = Stage.LISTING
            self._due_ns = now.mono_ns + REBUILD_STALL_NS
            return [self._ask(node, ListChunks()) for node in self._nodes.values()]
        copies = [copy for node in self._nodes.values() for copy in _copies_of(node)]
        self._candidates = sorted(copies, key=lambda copy: copy.rank, reverse=True)
        return self._begin(now)

    # -- reading the log

    def _begin(self, now: Now) -> list[Action]:
        if not self._candidates:
            names = ", ".join(sorted(self._nodes))
            self._end(
                NotFound(
                    f"no sound copy of the log is kept on {names}: start the datanodes of other"
                    " machines, or use 'minidfs admin restore DIR' with a backup; without both,"
                    " '--from-chunks' makes files of the chunks that are there"
                )
            )
            return []
        best = self._candidates[0]
        self.stage = Stage.READING
        self._due_ns = now.mono_ns + REBUILD_STALL_NS
        self._reader = CopyReader(best.kept, best.base)
        return self._ask_on()

    def _ask_on(self) -> list[Action]:
        """Ask for the next piece of the best copy, if there is one."""
        question = self._reader.question()
        return [] if question is None else [self._ask(self._candidates[0].node, question)]

    def _read(
        self, node: _Node, answer: KeptSnapshot | KeptRecords, payload: Payload, now: Now
    ) -> list[Action]:
        self._due_ns = now.mono_ns + REBUILD_STALL_NS
        try:
            tasks = self._reader.take(answer, payload)
        except Corrupt as error:
            return [Note(f"{node.name}: {error.message}"), *self._next_candidate(now)]
        self._writing = len(tasks)
        return [Work(task, task) for task in tasks]

    def _next_candidate(self, now: Now) -> list[Action]:
        self._candidates.pop(0)
        return self._begin(now)

    def _written(self, event: WorkDone, now: Now) -> list[Action]:
        """Something was written; when all that was read is, go on."""
        if self.stage is not Stage.READING:
            return []
        error = event.error
        if isinstance(error, Corrupt):
            self._damage = self._damage or error.message
        elif error is not None:
            self._end(error if isinstance(error, DfsError) else Unavailable(str(error)))
            return []
        self._writing -= 1
        if self._writing:
            return []
        self._due_ns = now.mono_ns + REBUILD_STALL_NS
        best = self._candidates[0]
        if self._damage:
            note, self._damage = Note(f"{best.node.name}: {self._damage}"), ""
            return [note, *self._next_candidate(now)]
        if self._reader.question() is not None:
            return self._ask_on()
        names = tuple(sorted(self._nodes))
        self._finish(Outcome(self._epoch(), names, best.node.name, best.kept, best.base))
        return []

    # -- listing the chunks

    def _listed(self, node: _Node, page: ChunkList, now: Now) -> list[Action]:
        self._due_ns = now.mono_ns + REBUILD_STALL_NS
        node.chunks += page.found
        node.following = page.following
        if node.following is not None:
            return [self._ask(node, node.following)]
        if all(n.following is None for n in self._nodes.values()):
            chunks = tuple(chunk for n in self._nodes.values() for chunk in n.chunks)
            self._finish(Outcome(self._epoch(), tuple(sorted(self._nodes)), chunks=chunks))
        return [Note(f"{node.name} holds {len(node.chunks)} replicas")]

    # -- inside

    def _ask(self, node: _Node, message: Message) -> Send:
        node.request = next(self._numbers)
        return Send(node.peer, message, node.request)

    def _epoch(self) -> int:
        kept = [n.kept.epoch for n in self._nodes.values() if n.kept is not None]
        return max(1, *kept, *(n.epoch for n in self._nodes.values()))

    def _finish(self, outcome: Outcome) -> None:
        self.stage, self.outcome = Stage.DONE, outcome

    def _end(self, error: DfsError) -> None:
        self.stage, self.error = Stage.DONE, error


def _silent(names: list[str]) -> Unavailable:
    text = f"{', '.join(names)} did not answer any more: start what is down and repeat"
    return Unavailable(text)


def _copies_of(node: _Node) -> list[_Copy]:
    """The ways to read what a node keeps; none when it lacks the front of the log."""
    kept = node.kept
    if kept is None or not kept.first:
        return []
    bases = [kept.snapshot] if kept.snapshot >= max(1, kept.first - 1) else []
    return [_Copy(node, kept, base) for base in [*bases, *([0] if kept.first == 1 else [])]]


def _describe(kept: KeptLog) -> str:
    text = "it keeps no copy of the log"
    if kept.first:
        text = f"it keeps records {kept.first} to {kept.last} of epoch {kept.epoch}"
    if kept.snapshot:
        text += f" and the snapshot of record {kept.snapshot}"
    return f"{text}; {kept.remark}" if kept.remark else text
