"""A lost namenode is put together again from what the datanodes hold: the rules.

The rebuilder listens in the namenode's place. Datanodes come to register; none is let in, so
none is told to delete or to copy anything, but each is asked what it keeps of the log. When as
many have answered as were named, or none came for a while, the copy with the highest epoch
and, among those, the last record is read, piece by piece. Its records must follow one
another; a copy that fails is left for the next best. Only a copy with the first record will do.

Every change that was acknowledged is in that copy: it was on enough machines before anybody heard
of it, and a keeper confirms nothing that it has not synced.

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
from dfs.log_format import read_record
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from dfs.wire.keeper import (
    ChunkList,
    FoundChunk,
    GetKeptLog,
    KeptLog,
    KeptRecords,
    ListChunks,
    ReadKeptLog,
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
class BeginCopy:
    """Work: begin the new log with this record, behind one with this checksum."""

    first: int
    previous: int


@dataclass(frozen=True, slots=True)
class WriteRecords:
    """Work: add these records to the new log, durably."""

    first: int
    records: Payload


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found. ``node`` gave the log that was written; '' when files are to be made of
    ``chunks``. ``epoch`` is the highest that any node obeyed or kept."""

    epoch: int
    nodes: tuple[str, ...]
    node: str = ""
    kept: KeptLog | None = None
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
        self._candidates: list[_Node] = []
        self._next = 0
        self._previous = 0

    # -- events

    def handle(self, event: Event, now: Now) -> list[Action]:
        """Decide one event."""
        match event:
            case Received(message=Register()):
                assert isinstance(event.message, Register)
                return self._register(event.origin, event.message, now)
            case Received(message=KeptLog() | KeptRecords() | ChunkList() | Failed()):
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
            return self._decide(now)
        waiting = [n.name for n in self._nodes.values() if n.request or n.following]
        names = ", ".join(waiting) or "the disk"
        self._end(Unavailable(f"{names} did not answer any more: start what is down and repeat"))
        return []

    def next_deadline(self) -> int | None:
        """When to stop waiting."""
        return None if self.stage is Stage.DONE else self._due_ns

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
            case Stage.READING if node is self._candidates[0]:
                actions.append(self._ask(node, ReadKeptLog(self._next)))
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
            case KeptRecords() if self.stage is Stage.READING:
                return self._read(node, event.payload, now)
            case ChunkList() if self.stage is Stage.LISTING:
                return self._listed(node, event.message, now)
            case Failed():
                return self._refused(node, event.message, now)
            case _:
                return []

    def _gathered(self, node: _Node, kept: KeptLog, now: Now) -> list[Action]:
        node.kept = kept
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
        held = [n for n in self._nodes.values() if n.kept is not None and n.kept.first == 1]
        self._candidates = sorted(held, key=_rank, reverse=True)
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
        kept = self._candidates[0].kept
        assert kept is not None, "a candidate without a copy"
        self.stage = Stage.READING
        self._due_ns = now.mono_ns + REBUILD_STALL_NS
        self._next, self._previous = kept.first, -1
        return [self._ask(self._candidates[0], ReadKeptLog(self._next))]

    def _read(self, node: _Node, payload: Payload, now: Now) -> list[Action]:
        self._due_ns = now.mono_ns + REBUILD_STALL_NS
        first = self._next
        try:
            before = self._check(bytes(payload))
        except Corrupt as error:
            return [Note(f"{node.name}: {error.message}"), *self._next_candidate(now)]
        actions: list[Action] = []
        kept = node.kept
        assert kept is not None, "records of a copy that nobody described"
        if first == kept.first:
            actions.append(_work(BeginCopy(first, before)))
        return [*actions, _work(WriteRecords(first, payload))]

    def _check(self, data: bytes) -> int:
        """The records follow one another; returns the checksum before the first."""
        at, before = 0, self._previous
        while at < len(data) or at == 0:
            record = read_record(data, at)
            if record is None or record.index != self._next:
                raise Corrupt(f"record {self._next} of its log cannot be read")
            if self._previous < 0:
                before = self._previous = record.previous
            if record.previous != self._previous:
                raise Corrupt(f"record {record.index} of its log does not follow the one before")
            at, self._next, self._previous = record.end, record.index + 1, record.checksum
        return before

    def _next_candidate(self, now: Now) -> list[Action]:
        self._candidates.pop(0)
        return self._begin(now)

    def _written(self, event: WorkDone, now: Now) -> list[Action]:
        if event.error is not None:
            error = event.error
            self._end(error if isinstance(error, DfsError) else Unavailable(str(error)))
            return []
        self._due_ns = now.mono_ns + REBUILD_STALL_NS
        if not isinstance(event.token, WriteRecords):
            return []
        node = self._candidates[0]
        assert node.kept is not None, "a candidate without a copy"
        if self._next <= node.kept.last:
            return [] if node.request else [self._ask(node, ReadKeptLog(self._next))]
        self._finish(Outcome(self._epoch(), tuple(sorted(self._nodes)), node.name, node.kept))
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


def _rank(node: _Node) -> tuple[int, int]:
    assert node.kept is not None, "a candidate without a copy"
    return node.kept.epoch, node.kept.last


def _work(task: BeginCopy | WriteRecords) -> Work:
    return Work(task, task)


def _describe(kept: KeptLog) -> str:
    text = "it keeps no copy of the log"
    if kept.first:
        text = f"it keeps records {kept.first} to {kept.last} of epoch {kept.epoch}"
    return f"{text}; {kept.remark}" if kept.remark else text
