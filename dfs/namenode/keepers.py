"""The log on other machines: which datanodes keep a copy, how far each is, and what that allows.

A *domain* is what fails together: a machine, known by its name. The namenode's own disk is one.
The log must be on ``wanted`` domains before anything that it justifies leaves: ``min_durable`` of
the configuration, but no more than there are machines with a registered datanode, the namenode's
own included. On one machine that is one, and nothing of what follows happens.

*Keepers* are up to ``LOG_KEEPERS_MAX`` live datanodes on different other machines. Each goes::

    PAUSING ──pause over──> ASKED ──its end is a record of ours──> SENDING
       ^                      │                                       ^
       │                      └──another history, or nothing──> BEGINNING
       └──── link lost, refused, no answer in KEEPER_TRY_NS: from any ─┘

SENDING sends what is synced here and not sent, in pieces, a bounded number unanswered. A keeper
is *in step* once it has confirmed a piece behind which there was nothing more; from then on
what it confirms counts. Everything up to ``agreed_index`` is synced here and on as many keepers as
are wanted. It never falls: a copy that was confirmed is not undone by a broken link.

One whose disk failed is given up if another machine has a live node. So is one whose answer was
overdue ``KEEPER_TRIES_MAX`` times since it last confirmed a piece: its disk hangs, though its node
lives. It may be chosen again after ``KEEPER_BROKEN_NS``; while there is no other it is asked on.

Once the front of the log is cut, a copy cannot begin with the first record: a snapshot must stand
for those before it, and the keeper is not in step without. The newest snapshot is sent to every
keeper, beside the records (``dfs.namenode.snapshot_sender``), which then drops what it stands for.

There is no election. Two namenodes are told apart by their epoch, which the datanodes keep. A
copy is of an epoch only when it had everything that a namenode of it had, so all keepers begin
again when the epoch is raised. A copy of our epoch that has what we have not is never written
over: the process ends (``dfs.namenode.kept_end``).
"""

from __future__ import annotations

from itertools import count

from dfs.errors import Corrupt, StorageFault
from dfs.events import Action, Event, LinkLost, Note, Now, Received, Role, Send, WorkDone
from dfs.limits import (
    KEEPER_BROKEN_NS,
    KEEPER_LOOK_NS,
    KEEPER_PAUSE_MAX_NS,
    KEEPER_PAUSE_NS,
    KEEPER_TRIES_MAX,
    KEEPER_TRY_NS,
    LOG_KEEPERS_MAX,
    LOG_PIECE_BYTES,
    LOG_PIECES_IN_FLIGHT,
)
from dfs.namenode.keeper_state import Keeper, Piece, Stage
from dfs.namenode.kept_end import SyncedLog, check_none_is_lost, checksum_before, is_of
from dfs.namenode.keys import EPOCH, NodeRow, get_number, load_row
from dfs.namenode.module import LogCopies
from dfs.namenode.nodes import Nodes
from dfs.namenode.snapshot_sender import Snapshots, SnapshotSender
from dfs.namenode.snapshot_transfer import TransferToken
from dfs.namenode.table import Table, scan_prefix
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from dfs.wire.keeper import AppendLog, BeginLog, GetKeptLog, KeptLog, LogKept

FIRST_REQUEST = 1 << 32
"""Requests to keepers are numbered from here on, apart from the core's orders to datanodes."""

MIN_DURABLE = 2


def domain_of(host: str) -> str:
    """The machine that a host id names: without the boot, since that changes and the disk stays."""
    return host.partition(":")[0]


class Keepers:
    """Attends to the log of a ``JournalStep``; see the module's text."""

    def __init__(
        self, host: str, min_durable: int | None, nodes: Nodes, table: Table, log: SyncedLog
    ) -> None:
        self._here = domain_of(host)
        self._most = min(min_durable or MIN_DURABLE, 1 + LOG_KEEPERS_MAX)
        self._nodes = nodes
        self._table = table
        self._log = log
        self._numbers = count(FIRST_REQUEST)
        self._keepers: dict[str, Keeper] = {}
        self._broken: dict[str, int] = {}
        self._look_due_ns = 0
        self._sender = SnapshotSender(self._numbers, self._broken)
        self._agreed = 0
        self._epoch_sent = self._epoch()
        self._wanted = self._count_machines()

    def send_newest_of(self, snapshots: Snapshots) -> None:
        """Have the keepers keep the newest of these, too."""
        self._sender.snapshots = snapshots

    # -- what it allows

    @property
    def copies(self) -> LogCopies:
        """On how many machines the log shall be, and is."""
        in_step = sum(keeper.in_step for keeper in self._keepers.values())
        return LogCopies(self._wanted, min(self._wanted, 1 + in_step))

    @property
    def agreed_index(self) -> int:
        """The last record that is on as many machines as are wanted."""
        return self._log.durable_index if self._wanted == 1 else self._agreed

    # -- what the step calls

    def takes(self, event: Event) -> bool:
        """Answers of keepers, and the loss of a datanode's link."""
        match event:
            case Received(message=KeptLog() | LogKept()):
                return event.origin.peer.role is Role.DATANODE
            case Received(message=Failed()):
                ours = event.origin.request >= FIRST_REQUEST
                return ours and event.origin.peer.role is Role.DATANODE
            case LinkLost():
                return event.peer.role is Role.DATANODE
            case WorkDone():
                return isinstance(event.token, TransferToken)
            case _:
                return False

    def handle(self, event: Event, now: Now) -> list[Action]:
        """A keeper answered, or its link broke."""
        match event:
            case LinkLost():
                keeper = self._keepers.get(event.peer.name)
                return [] if keeper is None else self._pause(keeper, event.reason, now.mono_ns)
            case Received():
                keeper = self._keepers.get(event.origin.peer.name)
                if keeper is None:
                    return []
                return self._answered(keeper, event.origin.request, event.message, now.mono_ns)
            case WorkDone():
                assert isinstance(event.token, TransferToken), event
                keeper = self._keepers.get(event.token.node)
                if keeper is None:
                    return []
                return self._sender.read(keeper, event, self._epoch(), now.mono_ns)

    def synced(self, now: Now) -> list[Action]:
        """Send what the keepers do not have, at most a piece to each: the step must go on."""
        actions = self._heed_epoch(now.mono_ns)
        for keeper in [k for k in self._keepers.values() if self._may_send(k)]:
            if keeper.next_index < self._log.first_index:
                actions += self._pause(keeper, "the log was cut meanwhile", now.mono_ns)
            else:
                actions.append(self._send_piece(keeper, now.mono_ns))
        for keeper in self._keepers.values():
            actions += self._sender.begin(keeper, now.mono_ns)
        return actions

    def on_deadline(self, now: Now) -> list[Action]:
        """Choose keepers, ask those whose pause is over, give up those that do not answer."""
        actions: list[Action] = []
        if now.mono_ns >= self._look_due_ns:
            self._agreed, self._wanted = self.agreed_index, self._count_machines()
            actions += self._choose(now.mono_ns)
            self._agree()
            soon = KEEPER_PAUSE_NS if self.copies.shortage else KEEPER_LOOK_NS
            self._look_due_ns = now.mono_ns + soon
        for keeper in self._keepers.values():
            if (due_ns := keeper.deadline_ns) is None or now.mono_ns < due_ns:
                continue
            if keeper.stage is Stage.PAUSING:
                actions.append(self._ask(keeper, Stage.ASKED, GetKeptLog(), now.mono_ns))
            else:
                actions += self._overdue(keeper, now.mono_ns)
        return actions

    def next_deadline(self) -> int | None:
        """When something is due."""
        keepers = self._keepers.values()
        if any(self._may_send(keeper) for keeper in keepers):
            return 0
        due = [due_ns for k in keepers if (due_ns := k.deadline_ns) is not None]
        due += [due_ns for k in keepers if (due_ns := self._sender.due_ns(k)) is not None]
        return min([self._look_due_ns, *due])

    # -- choosing

    def _count_machines(self) -> int:
        rows = scan_prefix(self._table, "nodes", b"")
        machines = {domain_of(load_row(NodeRow, data).host) for _, data in rows}
        return min(self._most, len(machines | {self._here}))

    def _choose(self, now_ns: int) -> list[Action]:
        """Keep the keepers that live, those in step first; take others for those that do not.

        One whose disk failed or hung a while ago is taken when there is no other.
        """
        if self._wanted == 1:
            self._keepers.clear()
            return []
        live = {
            state.address.node: domain_of(state.address.host) for state in self._nodes.live(now_ns)
        }
        known = sorted(self._keepers.values(), key=lambda k: not k.in_step)
        candidates = [*(k.node for k in known), *live]
        candidates.sort(key=lambda node: now_ns < self._broken.get(node, 0))
        chosen: dict[str, str] = {}
        for node in candidates:
            machine = live.get(node, self._here)
            if machine not in (self._here, *chosen) and len(chosen) < LOG_KEEPERS_MAX:
                chosen[machine] = node
        given_up = [node for node in self._keepers if node in live.keys() - chosen.values()]
        self._keepers = {
            node: self._keepers.get(node) or Keeper(node, now_ns) for node in chosen.values()
        }
        others = ", ".join(self._keepers)
        return [
            Note(f"{node} is given up as log keeper; those are now {others}") for node in given_up
        ]

    def _avoid(self, keeper: Keeper, now_ns: int) -> None:
        """Look at once for another one, and prefer others for a while."""
        self._broken[keeper.node] = now_ns + KEEPER_BROKEN_NS
        self._look_due_ns = now_ns

    # -- talking

    def _answered(
        self, keeper: Keeper, request: int, message: Message, now_ns: int
    ) -> list[Action]:
        pieces = [p for p in keeper.in_flight if p.request == request]
        of_snapshot = keeper.transfer is not None and request == keeper.transfer.request
        if request != keeper.request and not pieces and not of_snapshot:
            return []  # an answer to what was given up
        match keeper.stage, message:
            case _, Failed():
                error = message.error()
                if of_snapshot and isinstance(error, StorageFault | Corrupt):
                    is_doubtful = isinstance(error, Corrupt)
                    return self._sender.failed(
                        keeper, message.text, now_ns, is_doubtful=is_doubtful
                    )
                if isinstance(error, StorageFault):
                    self._avoid(keeper, now_ns)
                return self._pause(keeper, message.text, now_ns)
            case Stage.SENDING, LogKept() if of_snapshot:
                return self._sender.kept(keeper, now_ns)
            case Stage.ASKED, KeptLog():
                return self._found(keeper, message, now_ns)
            case Stage.BEGINNING, LogKept():
                self._go_on(keeper, message.through + 1)
                return []
            case Stage.SENDING, LogKept() if pieces:
                return self._confirmed(keeper, pieces[0], message.through, now_ns)
            case _:
                return []

    def _found(self, keeper: Keeper, found: KeptLog, now_ns: int) -> list[Action]:
        """The keeper said what it has: go on behind it, or let it begin anew."""
        keeper.first, keeper.snapshot = found.first, found.snapshot
        if is_of(self._log, found):
            self._go_on(keeper, found.last + 1)
            return []
        check_none_is_lost(self._log, self._epoch(), keeper.node, found)
        first = self._log.first_index
        keeper.first, keeper.snapshot = first, 0
        begin = BeginLog(self._epoch(), first, checksum_before(self._log, first))
        return [self._ask(keeper, Stage.BEGINNING, begin, now_ns)]

    def _go_on(self, keeper: Keeper, next_index: int) -> None:
        keeper.stage, keeper.request, keeper.next_index = Stage.SENDING, 0, next_index
        keeper.kept, keeper.transfer = next_index - 1, None
        keeper.in_flight.clear()

    def _may_send(self, keeper: Keeper) -> bool:
        if keeper.stage is not Stage.SENDING or len(keeper.in_flight) >= LOG_PIECES_IN_FLIGHT:
            return False
        behind = keeper.next_index <= self._log.durable_index
        return behind or (keeper.is_based and not (keeper.in_step or keeper.in_flight))

    def _send_piece(self, keeper: Keeper, now_ns: int) -> Send:
        """The next records; none when there are none, which only confirms that it has all."""
        first, end, data = keeper.next_index, keeper.next_index, b""
        if first <= self._log.durable_index:
            data, end = self._log.raw(first, LOG_PIECE_BYTES)
        whole = keeper.is_based and end > self._log.durable_index
        piece = Piece(next(self._numbers), end - 1, whole)
        if not keeper.in_flight:
            keeper.due_ns = now_ns + KEEPER_TRY_NS
        keeper.in_flight.append(piece)
        keeper.next_index = end
        append = AppendLog(self._epoch(), first, whole)
        return Send(keeper.peer, append, piece.request, data)

    def _confirmed(self, keeper: Keeper, piece: Piece, through: int, now_ns: int) -> list[Action]:
        """A piece was kept, and with it all that were sent before it."""
        if through < piece.through:
            return self._pause(keeper, f"it has kept {through} and not {piece.through}", now_ns)
        while keeper.in_flight and keeper.in_flight[0].request <= piece.request:
            keeper.in_flight.popleft()
        keeper.due_ns, keeper.silent_tries = now_ns + KEEPER_TRY_NS, 0
        keeper.kept = max(keeper.kept, piece.through)
        notes: list[Action] = []
        if piece.whole and not keeper.in_step:
            keeper.in_step, keeper.pause_ns, keeper.said = True, KEEPER_PAUSE_NS, ""
            self._broken.pop(keeper.node, None)
            notes.append(Note(f"{keeper.node} keeps the log, up to record {piece.through}"))
        self._agree()
        return notes

    def _agree(self) -> None:
        """Look up to which record enough keepers have confirmed all."""
        kept = sorted((k.kept for k in self._keepers.values() if k.in_step), reverse=True)
        others = self._wanted - 1
        if 0 < others <= len(kept):
            self._agreed = max(self._agreed, kept[others - 1])

    def _ask(self, keeper: Keeper, stage: Stage, message: Message, now_ns: int) -> Send:
        keeper.stage, keeper.request = stage, next(self._numbers)
        keeper.due_ns = now_ns + KEEPER_TRY_NS
        return Send(keeper.peer, message, keeper.request)

    def _overdue(self, keeper: Keeper, now_ns: int) -> list[Action]:
        keeper.silent_tries += 1
        if keeper.silent_tries >= KEEPER_TRIES_MAX:
            self._avoid(keeper, now_ns)
        return self._pause(keeper, "it does not answer", now_ns)

    def _pause(self, keeper: Keeper, reason: str, now_ns: int) -> list[Action]:
        """Begin again with this keeper after a while."""
        text = f"{keeper.node} does not keep the log: {reason}"
        told: list[Action] = [] if text == keeper.said else [Note(text)]
        keeper.stage, keeper.request, keeper.in_step, keeper.said = Stage.PAUSING, 0, False, text
        keeper.in_flight.clear()
        keeper.transfer = None
        keeper.due_ns = now_ns + keeper.pause_ns
        keeper.pause_ns = min(2 * keeper.pause_ns, KEEPER_PAUSE_MAX_NS)
        return told

    def _heed_epoch(self, now_ns: int) -> list[Action]:
        """What a keeper confirmed in one epoch does not make its copy one of the next."""
        if self._epoch() == self._epoch_sent:
            return []
        self._epoch_sent = self._epoch()
        actions: list[Action] = []
        for keeper in self._keepers.values():
            actions += self._pause(keeper, "the epoch was raised", now_ns)
        return actions

    def _epoch(self) -> int:
        return get_number(self._table, EPOCH, 1)
