"""Whole clusters in one thread: virtual time, one seed, the production cores unchanged.

A *machine* is what outlives a process: disks. It boots a *process*: a step, what carries
out its ``Work``, and what is called after each turn. The world turns processes as the
real loop does: what has arrived goes to the step in one batch, then the actions are
carried out. Nothing happens outside events on one heap, ordered by time and then by a
sequence number, so a seed determines everything.

Each concern draws from a stream of its own (``rng("net")``, ``rng("work")``), so that
a draw more in one does not shift the others. Work is done at a drawn moment and its
end is told at a later one: a crash between finds it done and not told.

A *user* is a program that waits: a thread that runs only while the world stands still, and
never two of them at once. So people do things at the same time, and all of it still follows
from the seed.

A *paused* process is alive and does nothing: what arrives waits, its deadlines pass, and others
take it for silent. Each node has a wall clock of its own.

A ``DfsError`` out of a step or a boot is a process that ends, as in production, and so is
``Halted``, the end of a process inside a call of its disk. Any other exception is a bug: the
simulation fails, with the seed, the last lines and the command that replays it.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Callable
from random import Random
from typing import NoReturn

from dfs.errors import DfsError
from dfs.events import Action, Event, Hangup, Note, Now, Peer, Received, Reply, Send, Work, WorkDone
from dfs.limits import MS_NS, SECOND_NS, STEP_MAX_EVENTS
from dfs.testing.disk import Halted
from dfs.testing.network import Network
from dfs.testing.node import Machine, Node
from dfs.testing.trace import Trace
from dfs.testing.users import User

WALL_START_NS = 1_800_000_000 * SECOND_NS
TURN_MAX_NS = 100_000
WORK_MAX_NS = 5 * MS_NS


class SimulationError(AssertionError):
    """Something happened that must never happen; the text says how to see it again."""


class World:
    """Time, the nodes and the network. ``replay`` is the command that repeats this seed."""

    def __init__(self, seed: int | str, replay: str = "") -> None:
        self.seed = seed
        self.replay = replay
        self.trace = Trace()
        self.nodes: dict[Peer, Node] = {}
        self.watch: Callable[[Node, Action], None] = lambda node, action: None
        self._now_ns = SECOND_NS
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._work_rng = self.rng("work")
        self._turn_rng = self.rng("turn")
        self._halt_rng = self.rng("halt")
        self._users: list[User] = []
        self._user: User | None = None
        self.network = Network(
            self.rng("net"), self.after, self._deliver, self.note, lambda: self.now
        )

    def rng(self, concern: str) -> Random:
        """The stream of random numbers of one concern."""
        return Random(f"{self.seed}/{concern}")

    @property
    def now(self) -> Now:
        """The virtual time."""
        return Now(self._now_ns, WALL_START_NS + self._now_ns)

    # -- running

    def after(self, delay_ns: int, call: Callable[[], None]) -> None:
        """Arrange a call in ``delay_ns`` from now."""
        self._sequence += 1
        heapq.heappush(self._heap, (self._now_ns + max(0, delay_ns), self._sequence, call))

    def run_for(self, duration_ns: int) -> None:
        """Let so much time pass."""
        end_ns = self._now_ns + duration_ns
        if self._user is not None:
            self.after(duration_ns, _nothing)
            self._user.wait(lambda: self._now_ns >= end_ns)
            return
        while self._heap and self._heap[0][0] <= end_ns:
            self._next()
        self._now_ns = end_ns

    def run_until(self, is_true: Callable[[], bool], limit_ns: int, what: str) -> None:
        """Let time pass until something is true; fails when ``limit_ns`` were not enough."""
        end_ns = self._now_ns + limit_ns
        if self._user is not None and not is_true():
            self.after(limit_ns, _nothing)
            self._user.wait(lambda: is_true() or self._now_ns >= end_ns)
        while not is_true():
            if self._user is not None or not self._heap or self._heap[0][0] > end_ns:
                self.fail(f"within {limit_ns / SECOND_NS:g} s: {what} did not happen")
            self._next()

    def fail(self, what: str, cause: BaseException | None = None) -> NoReturn:
        """End the simulation as failed."""
        version = ".".join(map(str, sys.version_info[:3]))
        raise SimulationError(
            f"{what}\nseed {self.seed!r}, event {self.trace.count}, Python {version}"
            f"\nreplay: {self.replay}\n{self.trace.last_lines()}"
        ) from cause

    def note(self, peer: Peer, text: str) -> None:
        """Add a line about a process to the trace."""
        self.note_of(peer.name, text)

    def note_of(self, who: str, text: str) -> None:
        """Add a line to the trace."""
        self.trace.add(self._now_ns, who, text)

    def _next(self) -> None:
        self._now_ns, _, call = heapq.heappop(self._heap)
        call()
        while (ready := next((user for user in self._users if user.is_ready()), None)) is not None:
            self._turn_to(ready, ready.resume)

    # -- users

    def begin(self, program: Callable[[], None]) -> User:
        """Start a user. What its program raises is raised by whoever lets time pass."""
        user = User(program)
        self._users.append(user)
        self._turn_to(user, user.resume)
        return user

    def end(self, user: User) -> None:
        """Kill a user where it waits; nothing happens if it has ended."""
        if user is not self._user:
            self._turn_to(user, user.kill)

    def _turn_to(self, user: User, move: Callable[[], None]) -> None:
        before, self._user = self._user, user
        try:
            move()
        finally:
            self._user = before
        if user.has_ended and user in self._users:
            self._users.remove(user)

    # -- nodes

    def add(self, peer: Peer, endpoints: tuple[str, ...], machine: Machine) -> Node:
        """A node, booted."""
        node = self.nodes[peer] = Node(peer, endpoints, machine)
        self.boot(node)
        return node

    def boot(self, node: Node) -> None:
        """Start a node that is down; nothing happens if it is up."""
        if node.process is not None:
            return
        node.boots += 1
        try:
            node.process = node.machine.boot(self._now_at(node))
        except Halted:
            self.note(node.peer, "halts while it starts")
            self._lose_machine(node, power=True)
            return
        except DfsError as error:
            self.note(node.peer, f"does not start: {error.message}")
            return
        except Exception as error:  # noqa: BLE001 - any other error is a bug to report
            self.fail(f"{node.peer.name} failed to start: {error!r}", error)
        self.note(node.peer, f"boots ({node.boots})")
        self.network.listen(node.peer, node.endpoints)
        self._plan_turn(node)

    def kill(self, node: Node, *, power: bool = False) -> None:
        """End a node's process at once, with ``power`` as by a power loss of its machine."""
        if node.process is None:
            return
        self.note(node.peer, "loses power" if power else "is killed")
        self._stop(node)
        self._lose_machine(node, power=power)

    def pause(self, node: Node) -> None:
        """Stop a process where it is, as SIGSTOP does; nothing happens if it is down."""
        if node.process is not None and not node.is_paused:
            self.note(node.peer, "is paused")
            node.is_paused = True
            self.network.silence(node.peer)

    def resume(self, node: Node) -> None:
        """Let a paused process go on."""
        if node.is_paused:
            self.note(node.peer, "goes on")
            node.is_paused = False
            self.network.end_silence(node.peer)
            held, node.held = node.held, []
            for call in held:
                self.after(0, call)
            self._plan_turn(node)

    def inject(self, node: Node, call: Callable[[Now], list[Action]]) -> None:
        """Have a running process do something, and carry out the actions."""
        assert node.process is not None, f"{node.peer.name} is down"
        self._carry_out(node, call(self._now_at(node)))
        node.process.after_turn()
        self._plan_turn(node)

    def _stop(self, node: Node) -> None:
        node.process = None
        node.inbox.clear()
        node.lanes.clear()
        node.turn_at_ns = None
        node.is_paused = False
        node.held.clear()
        self.network.crash(node.peer)

    def _lose_machine(self, node: Node, *, power: bool) -> None:
        if power:
            node.machine.lose_power(self.rng(f"crash/{node.peer.name}/{node.boots}"))
        else:
            node.machine.lose_process()

    def _now_at(self, node: Node) -> Now:
        """The time as a node's clocks have it."""
        return Now(self._now_ns, WALL_START_NS + self._now_ns + node.wall_ahead_ns)

    # -- turns

    def _deliver(self, peer: Peer, event: Event) -> None:
        node = self.nodes[peer]
        self.note(peer, _describe(event))
        node.inbox.append(event)
        self._plan_turn(node)

    def _plan_turn(self, node: Node) -> None:
        """See to it that the node turns when it has events or its deadline has come."""
        if node.process is None or node.is_paused:
            return
        deadline = self._now_ns if node.inbox else node.process.step.next_deadline()
        if deadline is None:
            return
        at_ns = max(self._now_ns, deadline) + self._turn_rng.randint(1000, TURN_MAX_NS)
        if node.turn_at_ns is not None and node.turn_at_ns <= at_ns:
            return
        node.turn_at_ns = at_ns
        boots = node.boots
        self.after(at_ns - self._now_ns, lambda: self._turn(node, boots, at_ns))

    def _turn(self, node: Node, boots: int, at_ns: int) -> None:
        if node.boots != boots or node.turn_at_ns != at_ns or node.process is None:
            return  # it was planned for an earlier moment, or the process is gone
        node.turn_at_ns = None
        if node.is_paused:
            return
        count = min(len(node.inbox), STEP_MAX_EVENTS)
        events = [node.inbox.popleft() for _ in range(count)]
        try:
            actions = node.process.step.run(events, self._now_at(node))
            node.process.check_running()
        except Halted:
            self._halt(node, "a step")
            return
        except DfsError as error:
            self.note(node.peer, f"ends: {error.message}")
            self._stop(node)
            self._lose_machine(node, power=False)
            return
        except Exception as error:  # noqa: BLE001 - any other error is a bug to report
            self.fail(f"{node.peer.name} failed: {error!r}", error)
        self._carry_out(node, actions)
        try:
            node.process.after_turn()
        except AssertionError as error:
            self.fail(f"{node.peer.name} is not as it must be: {error}", error)
        self._plan_turn(node)

    def _halt(self, node: Node, where: str) -> None:
        """The process ended in a call of its disk: power is lost, or only the process."""
        power = self._halt_rng.random() < 0.5
        self.note(node.peer, f"halts in {where}" + (" and loses power" if power else ""))
        self._stop(node)
        self._lose_machine(node, power=power)

    def _carry_out(self, node: Node, actions: list[Action]) -> None:
        for action in actions:
            self.watch(node, action)
            match action:
                case Send():
                    self.network.send(node.peer, action)
                case Reply():
                    self.network.reply(node.peer, action)
                case Hangup():
                    self.network.hangup(node.peer, action.to)
                case Work():
                    self._submit(node, action)
                case Note():
                    self.note(node.peer, f"notes: {action.text}")

    # -- work

    def _submit(self, node: Node, work: Work) -> None:
        waiting = node.lanes.get(work.lane)
        if waiting is not None:
            waiting.append(work)
        else:
            node.lanes[work.lane] = deque((work,))
            self._begin_work(node, work)

    def _begin_work(self, node: Node, work: Work) -> None:
        boots = node.boots
        self.after(self._work_rng.randint(0, WORK_MAX_NS), lambda: self._do_work(node, boots, work))

    def _do_work(self, node: Node, boots: int, work: Work) -> None:
        if node.boots != boots or node.process is None:
            return
        if node.is_paused:
            node.held.append(lambda: self._do_work(node, boots, work))
            return
        try:
            done = WorkDone(work.token, node.process.execute(work.task))
            node.process.check_running()
        except Halted:
            self._halt(node, type(work.task).__name__)
            return
        except Exception as error:  # noqa: BLE001 - as the pool does; the core decides
            done = WorkDone(work.token, error=error)
        self.note(node.peer, f"works: {type(work.task).__name__} {done.error or ''}")
        self.after(
            self._work_rng.randint(0, WORK_MAX_NS), lambda: self._end_work(node, boots, work, done)
        )

    def _end_work(self, node: Node, boots: int, work: Work, done: WorkDone) -> None:
        if node.boots != boots or node.process is None:
            return
        if node.is_paused:
            node.held.append(lambda: self._end_work(node, boots, work, done))
            return
        waiting = node.lanes[work.lane]
        waiting.popleft()
        if waiting:
            self._begin_work(node, waiting[0])
        else:
            del node.lanes[work.lane]
        self._deliver(node.peer, done)


def _nothing() -> None:
    """A moment at which somebody who waits looks again."""


def _describe(event: Event) -> str:
    match event:
        case Received():
            origin = event.origin
            size = f" +{len(event.payload)}" if event.payload else ""
            name = type(event.message).__name__
            return f"<- {origin.peer.name} {name} #{origin.request} link {origin.link}{size}"
        case WorkDone():
            return f"done {type(event.token).__name__}"
        case _:
            return f"lost link {event.link} to {event.peer.name}: {event.reason}"
