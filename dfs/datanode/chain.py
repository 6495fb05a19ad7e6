"""The next node of a chain, as the node before it sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

from dfs.events import Payload, Peer, Role, Send
from dfs.limits import FRAME_DEADLINE_NS, SEAL_DEADLINE_NS
from dfs.wire.codec import Message
from dfs.wire.data import Receipt


@dataclass(frozen=True, slots=True)
class Identity:
    """This node, as far as the rules need it."""

    cluster: str
    node: str
    host: str


@dataclass(slots=True)
class NextNode:
    """The node behind us in the chain, and what it has told us."""

    node: str
    endpoints: tuple[str, ...]
    nodes: int
    request: int
    since_ns: int
    link: int | None = None
    have: int | None = None
    sent: int = 0
    credit: int = 0
    sealing: bool = False
    receipts: tuple[Receipt, ...] | None = None
    peer: Peer = field(init=False)

    def __post_init__(self) -> None:
        self.peer = Peer(Role.DATANODE, self.node)

    def send(self, message: Message, payload: Payload = b"") -> Send:
        """A message of this write to the next node."""
        return Send(self.peer, message, self.request, payload, self.endpoints)

    def deadline_ns(self) -> int | None:
        """When to call the next node broken; None while it owes us nothing."""
        if self.sealing:
            limit_ns = SEAL_DEADLINE_NS if self.receipts is None else None
        else:
            limit_ns = FRAME_DEADLINE_NS if self.have is None or self.credit < self.sent else None
        if limit_ns is None:
            return None
        return self.since_ns + limit_ns * self.nodes // (self.nodes + 1)
