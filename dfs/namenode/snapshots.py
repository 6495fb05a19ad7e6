"""When the view is copied, which copies stay, and what of the log may go: the rules.

A *snapshot* is a copy of the committed view, checked, hashed and synced. It stands for every
record of the log up to its index. It is taken when the log has grown to ``every_bytes``, when a
backup asks for one, and when the log lacks its front and no snapshot stands for that.

* Only one is made at a time, beside the loop. One that fails changes nothing: it is noted and
  tried again after a pause, and the log just grows.
* The newest whole snapshot stays. Those before it go once it is whole, but for those that a
  backup reads, which go a minute after the last question about them.
* A segment of the log goes when all its records are in the newest snapshot **and** below what
  the live view may fall back to. Its commits do not sync the page that names the newest tree, so
  a power cut may take back the last one; two commits back are safe. After a start the first two
  commits must be seen before anything goes.
* While the view may yet turn out to be damaged, none is taken and nothing of the log goes.
* A snapshot that somebody could not use is read from end to end. If it is damaged it counts as
  none: the next one is taken, in its place if nothing was committed since.
* The files of segments are unlinked in order, each durably before the next, and what could not be
  unlinked comes first the next time: the log never has a gap.

Disk and log are elsewhere (``dfs.namenode.snapshot_store``); nothing here waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dfs.errors import (
    BadArgument,
    DfsError,
    NotFound,
    PermissionDenied,
    StorageFault,
    Unavailable,
)
from dfs.events import USERS, Action, Event, Note, Now, Origin, Received, Reply, Work, WorkDone
from dfs.limits import (
    FRAME_BYTES,
    SECOND_NS,
    SNAPSHOT_EVERY_BYTES,
    SNAPSHOT_PIN_NS,
    SNAPSHOT_READS_MAX,
    SNAPSHOT_RETRY_NS,
)
from dfs.manifest import Manifest, render
from dfs.namenode.keys import APPLIED_INDEX, get_number
from dfs.namenode.module import NO_SNAPSHOT, Snapshot
from dfs.namenode.safemode import CHECKING, CheckView
from dfs.namenode.table import Table
from dfs.wire.backup import BackupPiece, BackupState, PrepareBackup, ReadBackup
from dfs.wire.codec import Message
from dfs.wire.common import Failed

_WRITING_LANE = 0
_READING_LANE = 1
_COMMITS_BACK = 2


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Work: copy the committed view. Its result is the ``Manifest`` of the whole snapshot."""


@dataclass(frozen=True, slots=True)
class CheckSnapshot:
    """Work: read a snapshot from end to end. Its result is what is wrong with it, "" if nothing."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class DropSnapshots:
    """Work: remove the snapshots of these indexes."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnlinkSegments:
    """Work: unlink these files of the log, in order, each durably before the next."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadSnapshot:
    """Work: bytes of a snapshot's data."""

    index: int
    offset: int
    length: int


Task = TakeSnapshot | CheckSnapshot | DropSnapshots | UnlinkSegments | ReadSnapshot


@dataclass(frozen=True, slots=True)
class _Token:
    """Marks the end of our own work. ``origin``: who waits for the bytes read."""

    task: Task
    origin: Origin | None = None


class GrowingLog(Protocol):
    """What the rules need of the log."""

    @property
    def first_index(self) -> int:
        """The index of the first record that is still there."""

    @property
    def durable_index(self) -> int:
        """The index of the last record that is synced."""

    @property
    def kept_bytes(self) -> int:
        """How long the log is."""

    def detach(self, below_index: int) -> list[str]:
        """Forget the segments that lie wholly below an index; the names of their files."""


class Snapshots:
    """The rules of the module's text, beside the core; see ``dfs.net.step.Attendant``.

    ``held``: the snapshots that are whole at the start, newest first. ``is_checked``: the view is
    known to be sound; else ``WorkDone(CheckView())`` tells it.
    """

    def __init__(
        self,
        log: GrowingLog,
        table: Table,
        held: Sequence[Manifest] = (),
        every_bytes: int = SNAPSHOT_EVERY_BYTES,
        *,
        is_checked: bool = True,
    ) -> None:
        self._is_checked = is_checked
        self._log = log
        self._table = table
        self._every_bytes = every_bytes
        self._held = list(held)
        self._damaged: Manifest | None = None
        self._is_checking = False
        self._commits: deque[int] = deque((self._committed(),), maxlen=_COMMITS_BACK + 1)
        self._taking = False
        self._taken_ns = 0
        self._retry_ns = 0
        self._wanted = 0
        self._problem: DfsError | None = None
        self._pins: dict[int, int] = {}
        self._is_dropping = False
        self._unlinking: list[str] = []
        self._is_unlinking = False
        self._unlink_ns = 0
        self._reads = 0

    @property
    def newest(self) -> Manifest | None:
        """The newest whole snapshot."""
        return self._held[0] if self._held and self._held[0] != self._damaged else None

    @property
    def snapshot(self) -> Snapshot:
        """The newest whole snapshot, for those who look after the cluster."""
        newest = self.newest
        return NO_SNAPSHOT if newest is None else Snapshot(newest.index, self._taken_ns)

    def doubt(self, index: int) -> list[Action]:
        """Somebody could not use the snapshot of that record: look whether it is damaged."""
        newest = self.newest
        if newest is None or newest.index != index or self._is_checking:
            return []
        self._is_checking = True
        return [_work(CheckSnapshot(newest))]

    # -- what the step calls

    def takes(self, event: Event) -> bool:
        """Questions about backups, the end of the work given out here, the verdict on the view."""
        match event:
            case Received():
                return isinstance(event.message, PrepareBackup | ReadBackup)
            case WorkDone():
                return isinstance(event.token, _Token | CheckView)
            case _:
                return False

    def handle(self, event: Event, now: Now) -> list[Action]:
        """Answer a question, or go on where work has ended."""
        if isinstance(event, WorkDone):
            if isinstance(event.token, CheckView):
                self._is_checked = event.error is None and not event.result
                return []
            return self._done(event, now)
        assert isinstance(event, Received), event
        origin = event.origin
        try:
            if origin.peer.role not in USERS:
                raise PermissionDenied(f"a {origin.peer.role} may not make a backup")
            match event.message:
                case PrepareBackup(index):
                    return [Reply(origin, self._prepare(index, now))]
                case ReadBackup(index, offset):
                    return [self._read(origin, index, offset, now)]
                case _:
                    raise AssertionError(f"not taken: {event.message}")
        except DfsError as error:
            return [Reply(origin, Failed.of(error))]

    def synced(self, now: Now) -> list[Action]:
        """Look what is due: a snapshot, a cut of the log."""
        committed = self._committed()
        if committed != self._commits[-1]:
            self._commits.append(committed)
        if not self._is_checked:
            return []
        actions: list[Action] = []
        if self._is_due(now):
            self._taking = True
            actions.append(_work(TakeSnapshot()))
        return actions + self._cut(now)

    def on_deadline(self, now: Now) -> list[Action]:
        """Let go of snapshots that nobody reads any more."""
        self._pins = {i: until for i, until in self._pins.items() if until > now.mono_ns}
        return self._drop_old()

    def next_deadline(self) -> int | None:
        """The next try after a failure; the end of a pin."""
        times = [*self._pins.values()]
        if self._retry_ns and not self._taking:
            times.append(self._retry_ns)
        return min(times, default=None)

    # -- taking

    def _committed(self) -> int:
        """The index of the last commit: it is noted in the view with each."""
        return get_number(self._table, APPLIED_INDEX, 0)

    def _is_due(self, now: Now) -> bool:
        if now.mono_ns >= self._retry_ns:
            self._retry_ns = 0
        if self._taking or self._wanted:
            return not self._taking and self._commits[-1] >= self._wanted
        if self._retry_ns:
            return False
        newest = self.newest.index if self.newest is not None else 0
        is_long = self._log.kept_bytes >= self._every_bytes
        has_front = newest + 1 >= self._log.first_index
        return (is_long or not has_front) and self._commits[-1] > newest

    def _done(self, event: WorkDone, now: Now) -> list[Action]:
        token = event.token
        assert isinstance(token, _Token), token
        match token.task:
            case TakeSnapshot():
                return self._taken(event.result, event.error, now)
            case CheckSnapshot(manifest):
                return self._checked(manifest, event)
            case DropSnapshots():
                self._is_dropping = False
                return [*_noted("an old snapshot was not removed", event.error), *self._drop_old()]
            case UnlinkSegments():
                return self._unlinked(token.task, event.error, now)
            case ReadSnapshot():
                assert token.origin is not None, token
                return [self._piece(token.origin, token.task, event)]

    def _taken(self, made: Manifest, error: Exception | None, now: Now) -> list[Action]:
        self._taking = False
        if error is not None:
            if self._wanted:
                self._problem = _told(error)
                self._wanted = 0
            self._retry_ns = now.mono_ns + SNAPSHOT_RETRY_NS
            again = f"the next try is in {SNAPSHOT_RETRY_NS // SECOND_NS} s"
            return [Note(f"no snapshot was taken: {error}; {again}")]
        if self._wanted <= made.index:
            self._wanted = 0
        if self.newest is not None and self.newest.index == made.index:
            return []
        self._damaged = None
        self._held = [made, *(m for m in self._held if m.index != made.index)]
        self._taken_ns = now.mono_ns
        note = Note(f"snapshot of record {made.index} taken, {made.data_bytes} bytes")
        return [note, *self._drop_old(), *self._cut(now)]

    def _checked(self, manifest: Manifest, event: WorkDone) -> list[Action]:
        self._is_checking = False
        problem = event.result if event.error is None else event.error
        if not problem:
            return []
        self._damaged = manifest
        text = f"the snapshot of record {manifest.index} is damaged: {problem}; another is taken"
        return [Note(text)]

    # -- what goes

    def _drop_old(self) -> list[Action]:
        old = [m.index for m in self._held[1:] if m.index not in self._pins]
        if not old or self._is_dropping:
            return []
        self._held = [m for m in self._held if m.index not in old]
        self._is_dropping = True
        return [_work(DropSnapshots(tuple(old)))]

    def _cut(self, now: Now) -> list[Action]:
        newest = self.newest
        if newest is None or len(self._commits) <= _COMMITS_BACK:
            return []
        if self._is_unlinking or now.mono_ns < self._unlink_ns:
            return []
        below = min(newest.index, self._commits[0]) + 1
        self._unlinking += self._log.detach(below)
        if not self._unlinking:
            return []
        self._is_unlinking = True
        return [_work(UnlinkSegments(tuple(self._unlinking)))]

    def _unlinked(self, task: UnlinkSegments, error: Exception | None, now: Now) -> list[Action]:
        self._is_unlinking = False
        if error is None:
            self._unlinking = self._unlinking[len(task.names) :]
        else:
            self._unlink_ns = now.mono_ns + SNAPSHOT_RETRY_NS
        return _noted("a segment of the log was not removed", error)

    # -- backups

    def _prepare(self, index: int, now: Now) -> Message:
        """The state of a snapshot for a backup; the first question fixes what must be in it."""
        durable = self._log.durable_index
        if index > durable:
            raise BadArgument(f"record {index} is not in the log, which ends with {durable}")
        wanted = index or durable
        if index and self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem
        newest = self.newest
        if newest is not None and newest.index >= wanted:
            self._pins[newest.index] = now.mono_ns + SNAPSHOT_PIN_NS
            return BackupState(newest.index, render(newest))
        if not self._is_checked:
            raise Unavailable(CHECKING)
        self._problem = None
        self._wanted = max(self._wanted, wanted)
        return BackupState(wanted)

    def _read(self, origin: Origin, index: int, offset: int, now: Now) -> Action:
        if all(m.index != index for m in self._held):
            raise NotFound(f"the snapshot of record {index} is gone: begin the backup again")
        if self._reads >= SNAPSHOT_READS_MAX:
            raise Unavailable(f"{SNAPSHOT_READS_MAX} pieces of backups are being read: ask again")
        self._pins[index] = now.mono_ns + SNAPSHOT_PIN_NS
        self._reads += 1
        task = ReadSnapshot(index, offset, FRAME_BYTES)
        return Work(_Token(task, origin), task, _READING_LANE)

    def _piece(self, origin: Origin, task: ReadSnapshot, event: WorkDone) -> Action:
        self._reads -= 1
        if event.error is not None:
            return Reply(origin, Failed.of(_told(event.error)))
        return Reply(origin, BackupPiece(task.offset), event.result)


def _work(task: Task) -> Work:
    return Work(_Token(task), task, _WRITING_LANE)


def _noted(what: str, error: Exception | None) -> list[Action]:
    return [] if error is None else [Note(f"{what}: {error}")]


def _told(error: Exception) -> DfsError:
    """An error as somebody else is told of it."""
    return error if isinstance(error, DfsError) else StorageFault(str(error))
