"""The links between simulated processes, with the promises of ``dfs.net.transport``.

* A connection takes a round trip; to a dead process it is refused, into a partition it
  times out. A process at an endpoint that is not the one meant is refused.
* Messages of one connection arrive in order and at most once. A crash loses what had
  not arrived, and the other side is told a moment later.
* Beyond that, ``Faults`` make it worse than TCP: messages are dropped, doubled and
  overtake each other, and connections break for no reason.
* A partition lets nothing through and tells nobody. When it has lasted as long as the
  heartbeats take, the connections across it are lost, on both sides.
* A silent process, one that is paused, gets what is sent to it. After as long as the heartbeats
  take its connections are lost on the other side; a new one is not answered.

Every message goes through the codec, as on a real wire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from dfs.events import Event, LinkLost, Now, Origin, Peer, Received, Reply, Send
from dfs.limits import FIRST_CONTACT_NS, MS_NS, SECOND_NS
from dfs.wire.codec import Frame, decode, encode

HEARTBEAT_LOST_NS = 4 * SECOND_NS
_US_NS = 1000


@dataclass(frozen=True, slots=True)
class Faults:
    """How bad the network is: delays in ns, the rest are probabilities per message."""

    delay_min_ns: int = 20 * _US_NS
    delay_max_ns: int = 2 * MS_NS
    drop: float = 0.0
    double: float = 0.0
    overtake: float = 0.0
    break_link: float = 0.0


@dataclass(slots=True, eq=False)
class _End:
    """One side of a connection: whose, its link number, and whether it still exists there."""

    owner: Peer
    link: int
    is_open: bool = True
    last_arrival_ns: int = 0


@dataclass(slots=True, eq=False)
class _Connection:
    near: _End
    far: _End
    is_connected: bool = False
    waiting: list[Frame] = field(default_factory=list)

    def other(self, end: _End) -> _End:
        return self.far if end is self.near else self.near


@dataclass(slots=True, eq=False)
class _Links:
    """The links of one process."""

    outgoing: dict[Peer, tuple[_Connection, _End]] = field(default_factory=dict)
    inbound: dict[Peer, dict[int, tuple[_Connection, _End]]] = field(default_factory=dict)
    by_number: dict[int, tuple[_Connection, _End]] = field(default_factory=dict)


class Network:
    """All links of a simulation.

    ``schedule(delay_ns, call)`` arranges a later call; ``deliver(peer, event)`` hands an
    event to a running process; ``note(peer, text)`` adds to the trace.
    """

    def __init__(
        self,
        rng: Random,
        schedule: Callable[[int, Callable[[], None]], None],
        deliver: Callable[[Peer, Event], None],
        note: Callable[[Peer, str], None],
        now: Callable[[], Now],
    ) -> None:
        self.faults = Faults()
        self._rng = rng
        self._schedule = schedule
        self._deliver = deliver
        self._note = note
        self._now = now
        self._at: dict[str, Peer] = {}
        self._up: dict[Peer, _Links] = {}
        self._apart: dict[tuple[Peer, Peer], None] = {}
        self._silent: dict[Peer, int] = {}
        self._last_link = 0

    # -- processes come and go

    def listen(self, peer: Peer, endpoints: tuple[str, ...]) -> None:
        """A process is up and can be reached at these endpoints."""
        self._up[peer] = _Links()
        self._at.update(dict.fromkeys(endpoints, peer))

    def crash(self, peer: Peer) -> None:
        """A process is gone; the others hear of it a moment later."""
        links = self._up.pop(peer)
        self._silent.pop(peer, None)
        for connection, end in links.by_number.values():
            end.is_open = False
            if connection.is_connected:
                self._break_later(connection, connection.other(end), "the connection broke")

    # -- actions of processes

    def send(self, sender: Peer, action: Send) -> None:
        """Carry out a ``Send`` of a running process."""
        links = self._up[sender]
        frame = _over_the_wire(action)
        found = links.outgoing.get(action.to)
        if found is None and links.inbound.get(action.to):
            siblings = links.inbound[action.to]
            found = siblings[next(reversed(siblings))]
        if found is not None:
            self._transmit(*found, frame)
        else:
            self._connect(sender, action.to, action.endpoints, frame)

    def reply(self, sender: Peer, action: Reply) -> None:
        """Carry out a ``Reply``; on a lost link it goes nowhere."""
        found = self._up[sender].by_number.get(action.origin.link)
        if found is not None:
            parts = encode(action.message, action.origin.request, action.payload)
            self._transmit(*found, decode(parts))

    def hangup(self, sender: Peer, peer: Peer) -> None:
        """Carry out a ``Hangup``."""
        links = self._up[sender]
        ends = [links.outgoing[peer]] if peer in links.outgoing else []
        ends += links.inbound.get(peer, {}).values()
        for connection, end in ends:
            self._forget(end, connection)
            self._break_later(connection, connection.other(end), "the connection broke")

    # -- partitions

    def part(self, one: Peer, other: Peer, *, both_ways: bool = True) -> None:
        """Let nothing through from ``one`` to ``other``, and back."""
        self._apart[one, other] = None
        if both_ways:
            self._apart[other, one] = None
        for links in self._up.values():
            for connection, end in links.by_number.values():
                if {connection.near.owner, connection.far.owner} == {one, other}:
                    self._lose_if_still_apart(connection, end)

    def heal(self) -> None:
        """End all partitions."""
        self._apart.clear()

    def _is_apart(self, sender: Peer, receiver: Peer) -> bool:
        return (sender, receiver) in self._apart

    def _lose_if_still_apart(self, connection: _Connection, end: _End) -> None:
        def check() -> None:
            other = connection.other(end).owner
            if self._is_apart(end.owner, other) or self._is_apart(other, end.owner):
                self._lose(connection, end, "it is silent")

        self._schedule(HEARTBEAT_LOST_NS, check)

    # -- silence

    def silence(self, peer: Peer) -> None:
        """A process says nothing any more, heartbeats included."""
        self._silent[peer] = self._now().mono_ns
        began_ns = self._silent[peer]
        self._schedule(HEARTBEAT_LOST_NS, lambda: self._lose_if_still_silent(peer, began_ns))

    def end_silence(self, peer: Peer) -> None:
        """It speaks again."""
        self._silent.pop(peer, None)

    def _lose_if_still_silent(self, peer: Peer, began_ns: int) -> None:
        if self._silent.get(peer) != began_ns:
            return
        for connection, end in list(self._up[peer].by_number.values()):
            if connection.is_connected:
                self._lose(connection, connection.other(end), "it is silent")
                self._break_later(connection, end, "the connection broke")

    # -- connections

    def _connect(self, sender: Peer, to: Peer, endpoints: tuple[str, ...], first: Frame) -> None:
        connection = _Connection(self._new_end(sender), self._new_end(to))
        connection.waiting.append(first)
        self._keep(connection, connection.near, to, outgoing=True)
        found = next((e for e in endpoints if self._at.get(e) in self._up), None)
        if found is None:
            reason = f"nobody listens at {', '.join(endpoints) or 'any address'}"
            self._schedule(
                self._delay_ns(), lambda: self._lose(connection, connection.near, reason)
            )
        else:
            there = self._at[found]
            self._schedule(2 * self._delay_ns(), lambda: self._connected(connection, there))

    def _connected(self, connection: _Connection, there: Peer) -> None:
        near, far = connection.near, connection.far
        if not near.is_open:
            return
        apart = self._is_apart(near.owner, there) or self._is_apart(there, near.owner)
        if apart or there in self._silent:
            reason = "no answer"
            self._schedule(FIRST_CONTACT_NS, lambda: self._lose(connection, near, reason))
        elif there not in self._up:
            self._lose(connection, near, "nobody listens any more")
        elif there != far.owner:
            self._lose(connection, near, f"the address is that of {there.name}", refused=True)
        else:
            connection.is_connected = True
            self._keep(connection, far, near.owner, outgoing=False)
            waiting, connection.waiting = connection.waiting, []
            for frame in waiting:
                self._transmit(connection, near, frame)

    def _transmit(self, connection: _Connection, end: _End, frame: Frame) -> None:
        if not connection.is_connected:
            connection.waiting.append(frame)
            return
        rng, faults = self._rng, self.faults
        if rng.random() < faults.drop:
            self._note(end.owner, f"network drops {type(frame.message).__name__}")
            return
        if rng.random() < faults.break_link:
            self._break_later(connection, connection.near, "the connection broke")
            self._break_later(connection, connection.far, "the connection broke")
        copies = 2 if rng.random() < faults.double else 1
        for _ in range(copies):
            self._arrive_later(connection, end, frame)

    def _arrive_later(self, connection: _Connection, end: _End, frame: Frame) -> None:
        now_ns = self._now().mono_ns
        arrival_ns = now_ns + self._delay_ns()
        target = connection.other(end)
        if self._rng.random() >= self.faults.overtake:
            arrival_ns = max(arrival_ns, target.last_arrival_ns + 1)
            target.last_arrival_ns = arrival_ns
        self._schedule(arrival_ns - now_ns, lambda: self._arrive(connection, end, frame))

    def _arrive(self, connection: _Connection, end: _End, frame: Frame) -> None:
        target = connection.other(end)
        if target.is_open and not self._is_apart(end.owner, target.owner):
            origin = Origin(end.owner, target.link, frame.request)
            self._deliver(target.owner, Received(origin, frame.message, frame.payload))

    # -- ends

    def _new_end(self, owner: Peer) -> _End:
        self._last_link += 1
        return _End(owner, self._last_link)

    def _keep(self, connection: _Connection, end: _End, to: Peer, *, outgoing: bool) -> None:
        links = self._up[end.owner]
        links.by_number[end.link] = (connection, end)
        if outgoing:
            links.outgoing[to] = (connection, end)
        else:
            links.inbound.setdefault(to, {})[end.link] = (connection, end)

    def _forget(self, end: _End, connection: _Connection) -> None:
        end.is_open = False
        links = self._up[end.owner]
        links.by_number.pop(end.link, None)
        other = connection.other(end).owner
        if end is connection.near:
            links.outgoing.pop(other, None)
        else:
            links.inbound.get(other, {}).pop(end.link, None)

    def _break_later(self, connection: _Connection, end: _End, reason: str) -> None:
        apart = self._is_apart(connection.other(end).owner, end.owner)
        delay_ns = HEARTBEAT_LOST_NS if apart else self._delay_ns()
        self._schedule(delay_ns, lambda: self._lose(connection, end, reason))

    def _lose(self, connection: _Connection, end: _End, reason: str, refused: bool = False) -> None:
        """Tell one side that its link is gone, unless it is itself."""
        if end.is_open and end.owner in self._up:
            self._forget(end, connection)
            lost = LinkLost(connection.other(end).owner, end.link, reason, refused)
            self._deliver(end.owner, lost)

    def _delay_ns(self) -> int:
        return self._rng.randint(self.faults.delay_min_ns, self.faults.delay_max_ns)


def _over_the_wire(action: Send) -> Frame:
    return decode(encode(action.message, action.request, action.payload))
