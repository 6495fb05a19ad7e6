"""Messages between whoever looks after a cluster and the namenode.

All are questions of clients; none changes the namespace. What is long comes in pages of
bounded work: the answer says where to go on, and nothing is remembered between pages.
"""

from __future__ import annotations

import msgspec

from dfs.wire.codec import Message, message
from dfs.wire.node import DiskRoom


class AdminQuestion(Message, frozen=True):
    """Base of the questions; see the module's text."""


class TableProblem(msgspec.Struct, frozen=True, array_like=True):
    """An invariant of the tables that does not hold, by its number in ``docs/invariants.md``.

    ``place`` is the row that shows it: table and key.
    """

    number: int
    place: str
    text: str


@message(60)
class CheckTables(AdminQuestion, frozen=True):
    """Check the next rows of the namenode's tables. Sent by: client. Answered by: TablesChecked,
    BadArgument.

    ``cursor``: where the last page ended, "" for the start.
    """

    cursor: str = ""


@message(61)
class TablesChecked(Message, frozen=True):
    """What is wrong with them. Sent by: namenode. ``cursor`` is "" when all tables were seen."""

    rows: int
    problems: tuple[TableProblem, ...]
    cursor: str


class ReplicaStanding(msgspec.Struct, frozen=True, array_like=True):
    """A replica. ``state``: good, writing, stale, corrupt, missing or dead."""

    node: str
    state: str


class ChunkStanding(msgspec.Struct, frozen=True, array_like=True):
    """A chunk of a file and its replicas, of which ``wanted`` should be good.

    ``length`` is 0 while it is being written.
    """

    path: str
    start: int
    chunk: int
    generation: int
    length: int
    wanted: int
    replicas: tuple[ReplicaStanding, ...]


@message(62)
class CheckFiles(AdminQuestion, frozen=True):
    """How do the chunks of the files at and below this path stand? Sent by: client.

    Answered by: FilesChecked, NotFound. ``after`` and ``start``: where the last page ended.
    ``all_chunks``: those with as many good replicas as wanted too. ``repair``: judge each
    that has too few at once.
    """

    path: str
    after: str = ""
    start: int = 0
    all_chunks: bool = False
    repair: bool = False


@message(63)
class FilesChecked(Message, frozen=True):
    """How they stand. Sent by: namenode. Counts are of this page; ``more``: go on from ``after``
    and ``start``."""

    files: int
    chunks: int
    size: int
    found: tuple[ChunkStanding, ...]
    more: bool
    after: str = ""
    start: int = 0


class FolderUsage(msgspec.Struct, frozen=True, array_like=True):
    """What a page saw of one directory itself, what is below its directories left out.

    ``size`` are the bytes of its files, ``stored`` those bytes times their replication.
    ``path`` may be that of a file, when that alone was asked for.
    """

    path: str
    files: int
    directories: int
    size: int
    stored: int


@message(64)
class GetUsage(AdminQuestion, frozen=True):
    """How much lies at and below this path? Sent by: client. Answered by: UsagePage, NotFound.

    ``after``: where the last page ended, a path. System directories of ``/`` are left out.
    """

    path: str
    after: str = ""


@message(65)
class UsagePage(Message, frozen=True):
    """The directories that this page saw something of, in the order of their paths.

    Sent by: namenode. One that goes on in the next page is there again.
    """

    folders: tuple[FolderUsage, ...]
    more: bool
    after: str = ""


class NodeReport(msgspec.Struct, frozen=True, array_like=True):
    """A datanode. ``state``: live, stale or dead; ``silent_ns``: since its last heartbeat, -1 when
    it has not been heard of since the namenode started. ``disks``: where its room is; one of that
    name and host that several nodes have is the same."""

    node: str
    state: str
    host: str = ""
    rack: str = ""
    silent_ns: int = -1
    used_bytes: int = 0
    free_bytes: int = 0
    replicas: int = 0
    failed_volumes: tuple[str, ...] = ()
    disks: tuple[DiskRoom, ...] = ()


@message(66)
class GetReport(AdminQuestion, frozen=True):
    """How is the cluster, at length? Sent by: client. Answered by: Report."""


@message(67)
class Report(Message, frozen=True):
    """The cluster at length. Sent by: namenode.

    ``chunks``, ``under_replicated``, ``missing`` and ``surplus`` count chunks; ``orphans``,
    ``quarantined`` and ``deletions`` (waiting or under way) replicas; ``repairs`` copies under
    way. ``safe_mode`` is its reason, "" when it is off. ``replication`` is the cluster's default.
    The log is kept on ``log_copies`` machines of ``log_copies_wanted``. It begins with record
    ``log_begins`` and ends with ``log_index``; the newest ``snapshot`` has everything up to the
    record of that number (0: there is none) and is ``snapshot_age_ns`` old (-1: older than the
    namenode's process).
    """

    cluster: str
    state: str
    reasons: tuple[str, ...]
    nodes: tuple[NodeReport, ...]
    safe_mode: str
    log_index: int
    log_copies: int
    log_copies_wanted: int
    replication: int
    chunks: int = 0
    under_replicated: int = 0
    missing: int = 0
    surplus: int = 0
    orphans: int = 0
    quarantined: int = 0
    deletions: int = 0
    repairs: int = 0
    log_begins: int = 1
    snapshot: int = 0
    snapshot_age_ns: int = -1


@message(68)
class SetSafeMode(AdminQuestion, frozen=True):
    """Switch safe mode on or off. Sent by: client. Answered by: SafeModeIs.

    ``wanted``: on, off, or "" to ask only. Switched on it is read-only, and lasts until it is
    switched off or the namenode restarts. Harmless when repeated.
    """

    wanted: str = ""


@message(69)
class SafeModeIs(Message, frozen=True):
    """Is it on, and why? Sent by: namenode. ``is_manual``: somebody switched it on."""

    is_on: bool
    is_manual: bool
    text: str


class Happening(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened. ``sequence`` counts from 1 since the namenode's start."""

    sequence: int
    wall_ns: int
    text: str


@message(80)
class GetEvents(AdminQuestion, frozen=True):
    """What has happened behind ``after``? Sent by: client. Answered by: EventPage.

    ``boot`` is that of the namenode's life in which ``after`` was seen; in another life
    everything that it remembers is new.
    """

    boot: int = 0
    after: int = 0


@message(81)
class EventPage(Message, frozen=True):
    """What happened, oldest first, at most a page. Sent by: namenode. ``boot`` names its life."""

    boot: int
    happenings: tuple[Happening, ...]
    more: bool


@message(82)
class VerifyReplicas(AdminQuestion, frozen=True):
    """Have this datanode read its next replicas, those of chunks above ``cursor`` (-1: none).

    Sent by: client. Answered by: Verifying, NotFound (no such live node).
    """

    node: str
    cursor: int = 0


@message(83)
class Verifying(Message, frozen=True):
    """How far it is. Sent by: namenode.

    ``ordered`` replicas were ordered to be read by this request and ``under_way`` are, on that
    node. ``bad`` replicas it gave up since the namenode started, and ``unchecked`` it did not
    look at though it was to, the last of them for the reason ``why``. ``cursor``: where to go on;
    -1 when every chunk was looked at.
    """

    ordered: int
    under_way: int
    bad: int
    cursor: int
    unchecked: int = 0
    why: str = ""
