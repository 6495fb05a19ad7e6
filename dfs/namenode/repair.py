"""Chunks with too few or too many replicas, and what to order about them.

``judge`` looks at one chunk as it stands now and puts it where it belongs: *missing*
(no good replica: counted and named, found again as soon as a node tells of one), *short*
(queued by urgency: one live copy first, then by how many are missing) or *surplus*. The
queues hold chunk ids only, and each chunk is judged again at the moment of the order,
so nothing is decided on what was true when it was queued.

Copies go to nodes that placement chooses, a bounded number and so many bytes a second
to each; a chunk with a single copy left does not wait for its turn. A node that just failed
to copy a chunk is not asked again for a while. A deletion needs, at the moment of the order,
as many other replicas as the file wants on live nodes in step: so the last good copy never
goes, whatever was reported before.

A slice of the sweep is compared with what the nodes hold as a whole, and only the chunks that
are not *settled* by that are judged: one that no node holds is missing, and one that has as many
replicas as are wanted, all of which stay, and is not queued is as it should be.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from dfs.limits import (
    JUDGE_MAX_LOOKS,
    REPAIR_BYTES_PER_SECOND,
    REPAIR_QUEUE_MAX_CHUNKS,
    REPAIR_RETRY_NS,
    REPAIR_TRIES_PER_STEP,
    REPLICATION_MAX,
    SURPLUS_QUEUE_MAX_CHUNKS,
    SURPLUS_TRIES_PER_STEP,
)
from dfs.namenode.held import Held
from dfs.namenode.nodes import Nodes, NodeState
from dfs.namenode.orders import Orders
from dfs.namenode.pace import Pace
from dfs.namenode.placement import Wanted, choose_targets
from dfs.namenode.sorted_ids import SortedIds
from dfs.namenode.standing import FileChunk, find_chunk, is_closed, stale_holders
from dfs.namenode.surplus import surplus_of
from dfs.namenode.table import Table
from dfs.wire.node import CopyReplica, ReplicaId

_LAST_COPY = 0
_LOOKS_AT_ROWS = 5


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a chunk's replicas are worth now.

    ``good`` are on nodes that are not dead; ``stay`` those of them that count when others are
    deleted. ``coming`` are on nodes that just died and may be back in time.
    """

    good: list[NodeState]
    stay: list[NodeState]
    coming: int
    wanted: int

    @property
    def lacks(self) -> int:
        """How many copies are to be made."""
        return max(0, self.wanted - len(self.good) - self.coming) if self.good else 0

    @property
    def urgency(self) -> int:
        """The lower, the sooner."""
        return _LAST_COPY if len(self.good) == 1 else 1 + REPLICATION_MAX - self.lacks


class Repair:
    """The queues.

    ``owes``: for lack of nodes some chunk has fewer replicas than its file wants. ``has_missed``: a
    shortage was not queued, since there was no room.
    """

    def __init__(self, nodes: Nodes, orders: Orders) -> None:
        self._nodes = nodes
        self._orders = orders
        self._queue: tuple[dict[int, None], ...] = tuple({} for _ in range(REPLICATION_MAX + 2))
        self._urgency: dict[int, int] = {}
        self._surplus: dict[int, None] = {}
        self._copying: dict[int, str] = {}
        self._failed: dict[int, dict[str, int]] = {}
        self._pace = Pace(REPAIR_BYTES_PER_SECOND)
        self.missing = SortedIds()
        self.owes = False
        self.has_missed = False

    # -- one chunk

    def judge(self, chunk: FileChunk, now_ns: int) -> Judgement:
        """Look at a chunk, and put it where it belongs. Queues that are full stay as they are."""
        judgement, number = self._weigh(chunk, now_ns), chunk.row.chunk
        self._unqueue(number)
        if not judgement.good:
            self.missing.add(number)
        elif judgement.lacks and number not in self._copying:
            if self.room:
                self._queue[judgement.urgency][number] = None
                self._urgency[number] = judgement.urgency
            else:
                self.has_missed = True
        if len(judgement.good) + judgement.coming < chunk.replication:
            self.owes = True
        has_room = len(self._surplus) < SURPLUS_QUEUE_MAX_CHUNKS
        if has_room and (self._too_many(chunk, judgement) or self._useless(chunk, judgement)):
            self._surplus[number] = None
        return judgement

    def settle(self, chunks: Sequence[FileChunk], now_ns: int) -> list[FileChunk]:
        """Look at these chunks as a whole; those that are to be judged one by one.

        To have as many replicas as there are nodes is enough once it is known that more are owed.
        """
        numbers, copies, held = _numbers(chunks), Counter[int](), set[int]()
        for node in self._nodes.all():
            here = node.replicas.first_among(numbers)
            held.update(here)
            if node.in_step and self._nodes.is_live(node, now_ns):
                copies.update(self._orders.staying(node.name, here))
        up = max(1, self._nodes.up) if self.owes else REPLICATION_MAX
        unsettled: list[FileChunk] = []
        for chunk in chunks:
            number = chunk.row.chunk
            if chunk.row.generation > 1 or number in self._urgency or number in self._surplus:
                unsettled.append(chunk)
            elif number not in held:
                self.missing.add(number)
                self.owes = True
            elif copies[number] == min(chunk.replication, up):
                self.missing.discard(number)
            else:
                unsettled.append(chunk)
        return unsettled

    def find_missing(self, table: Table, chunks: Sequence[FileChunk], now_ns: int) -> None:
        """Which of these chunks, if their file is closed, has nobody reported?"""
        numbers, held = _numbers(chunks), set[int]()
        for node in self._nodes.all():
            if node.died_ns is None:
                held.update(node.replicas.first_among(numbers))
        for chunk in chunks:
            number, generation = chunk.row.chunk, chunk.row.generation
            is_first = generation == 1
            if number in held if is_first else self._nodes.holders(number, generation, now_ns):
                self.missing.discard(number)
            elif is_closed(table, chunk.inode):
                self.missing.add(number)

    @property
    def judged_per_step(self) -> int:
        """How many chunks may be judged in a step: each costs a look at every node, and at rows."""
        return max(1, JUDGE_MAX_LOOKS // (_LOOKS_AT_ROWS + len(self._nodes.all())))

    def _weigh(self, chunk: FileChunk, now_ns: int) -> Judgement:
        row, nodes = chunk.row, self._nodes
        held = Held(row.chunk, row.generation)
        good, stay, coming = list[NodeState](), list[NodeState](), 0
        for node in nodes.holding(*held):
            if node.died_ns is not None:
                coming += nodes.comes_back(node, now_ns)
            elif not self._orders.is_leaving(node.name, held):
                good.append(node)
                if node.in_step and nodes.is_live(node, now_ns):
                    stay.append(node)
        wanted = min(chunk.replication, max(1, nodes.up))
        return Judgement(good, stay, coming, wanted)

    def _too_many(self, chunk: FileChunk, judgement: Judgement) -> list[NodeState]:
        if chunk.row.chunk in self._copying:
            return []
        return surplus_of(judgement.stay, chunk.replication)

    def _useless(self, chunk: FileChunk, judgement: Judgement) -> list[tuple[NodeState, Held]]:
        """Stale replicas, once enough good ones exist."""
        if chunk.row.generation <= 1:
            return []
        enough = min(chunk.replication, len(self._nodes.known()))
        if len(judgement.stay) < enough:
            return []
        return stale_holders(self._nodes, chunk.row)

    def _unqueue(self, chunk: int) -> None:
        urgency = self._urgency.pop(chunk, None)
        if urgency is not None:
            del self._queue[urgency][chunk]
        self._surplus.pop(chunk, None)
        self.missing.discard(chunk)

    def forget(self, chunk: int) -> None:
        """The chunk belongs to no file any more."""
        self._unqueue(chunk)
        self._copying.pop(chunk, None)
        self._failed.pop(chunk, None)

    @property
    def room(self) -> int:
        """For how many more shortages there is room."""
        return max(0, REPAIR_QUEUE_MAX_CHUNKS - len(self._urgency))

    @property
    def is_waiting(self) -> bool:
        """Is anything queued that was not ordered yet?"""
        return bool(self._urgency or self._surplus)

    @property
    def short(self) -> int:
        """How many chunks are known to have too few replicas, those being copied included."""
        return len(self._urgency) + len(self._copying)

    @property
    def surplus(self) -> int:
        """How many chunks are known to have replicas too many."""
        return len(self._surplus)

    # -- copies

    def copied(self, chunk: int) -> None:
        """A copy order ended well."""
        self._copying.pop(chunk, None)
        self._failed.pop(chunk, None)

    def not_copied(self, chunk: int, target: str, now_ns: int) -> None:
        """A copy order failed, or nobody knows: this target is not asked again for a while."""
        if self._copying.pop(chunk, None) is not None:
            failed = self._failed.setdefault(chunk, {})
            failed[target] = now_ns + REPAIR_RETRY_NS

    def copies(
        self, table: Table, able: list[NodeState], epoch: int, now_ns: int
    ) -> Iterator[tuple[str, CopyReplica]]:
        """Copy orders (target, order) for the most urgent shortages.

        ``able``: live nodes that may get an order now; the caller drops a node from it when
        the node has enough.
        """
        for queue in self._queue:
            for number in list(islice(queue, REPAIR_TRIES_PER_STEP)):
                if not able:
                    return
                chunk = find_chunk(table, number)
                if chunk is None:
                    self.forget(number)
                    continue
                judgement = self.judge(chunk, now_ns)  # behind those that were not tried yet
                target = self._target(chunk, judgement, able, now_ns) if judgement.lacks else None
                if target is None:
                    continue
                self._unqueue(number)
                self._copying[number] = target.name
                self._pace.spend(target.name, chunk.row.length, now_ns)
                yield target.name, _copy_order(chunk, judgement, epoch)

    def _target(
        self, chunk: FileChunk, judgement: Judgement, able: list[NodeState], now_ns: int
    ) -> NodeState | None:
        row = chunk.row
        failed = self._failed.get(row.chunk, {})
        avoid = {node for node, until_ns in failed.items() if until_ns > now_ns}
        if judgement.urgency != _LAST_COPY:
            avoid |= {node.name for node in able if not self._pace.may_go(node.name, now_ns)}
        held = Held(row.chunk, row.generation)
        avoid |= {node.name for node in able if node.replicas.holds(*held)}
        wanted = Wanted(1, row.chunk, row.length)
        targets = choose_targets(able, wanted, avoid=avoid, used=judgement.good)
        return targets[0] if targets else None

    # -- deletions

    def trim(self, table: Table, now_ns: int) -> None:
        """Put replicas that are too many into the orders that are sent next."""
        for number in list(islice(self._surplus, SURPLUS_TRIES_PER_STEP)):
            chunk = find_chunk(table, number)
            if chunk is None:
                self.forget(number)
                continue
            judgement = self.judge(chunk, now_ns)
            row = chunk.row
            held = Held(row.chunk, row.generation)
            dropped = [(node, held) for node in self._too_many(chunk, judgement)]
            for node, replica in dropped + self._useless(chunk, judgement):
                is_live = node.in_step and self._nodes.is_live(node, now_ns)
                if is_live and self._orders.may_drop(node.name):
                    self._orders.drop(node.name, ReplicaId(*replica, row.length))


def _numbers(chunks: Sequence[FileChunk]) -> array[int]:
    return array("Q", sorted(chunk.row.chunk for chunk in chunks))


def _copy_order(chunk: FileChunk, judgement: Judgement, epoch: int) -> CopyReplica:
    row = chunk.row
    return CopyReplica(
        epoch=epoch,
        chunk=row.chunk,
        generation=row.generation,
        length=row.length,
        digest=row.digest,
        inode=chunk.inode,
        start=chunk.start,
        path="",
        sources=tuple(n.address for n in judgement.good),
    )
