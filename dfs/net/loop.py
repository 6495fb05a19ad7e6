"""The loop of a process: wait, step, act. One thread, for ever.

The loop decides nothing. It hands what arrived to the step, at most a bounded batch
at a time, and carries out the actions that the step releases. An exception that
comes out of the step means that the process must end, and goes through.

One who has work to hand over may *part*: told to stop, its loop turns until it has parted, or
until it is told again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from dfs.events import Action, Event, Hangup, Note, Now, Peer, Reply, Send, Work, WorkDone
from dfs.limits import STEP_MAX_EVENTS
from dfs.net.step import Step


class Transport(Protocol):
    """What a loop needs of the network; ``dfs.net.transport`` says what it promises."""

    def send(self, action: Send) -> None:
        """Send to a peer."""

    def reply(self, action: Reply) -> None:
        """Answer a request."""

    def hangup(self, peer: Peer) -> None:
        """Close the links to a peer."""

    def poll(self, timeout_ns: int | None = None) -> list[Event]:
        """What happened; waits for it at most so long."""

    def wake(self) -> None:
        """Let ``poll`` return; from any thread."""


class WorkPool(Protocol):
    """What carries out work beside the loop and calls ``Transport.wake`` when some has ended."""

    def submit(self, work: Work) -> None:
        """Begin a piece of work, or put it in its lane."""

    def take_done(self, limit: int) -> list[WorkDone]:
        """What has ended."""


class Parting(Protocol):
    """A core that has something to do before its process ends. It takes a bounded time."""

    def part(self, now: Now) -> list[Action]:
        """The process is to end: begin to part."""

    def has_parted(self, now: Now) -> bool:
        """May it end now? Asked after each turn."""


def read_clock() -> Now:
    """The time of this machine."""
    return Now(time.monotonic_ns(), time.time_ns())


class Loop:
    """Drives ``step``. ``log`` gets the notes; ``clock`` is read twice a turn."""

    def __init__(
        self,
        step: Step,
        transport: Transport,
        pool: WorkPool | None,
        log: Callable[[str], None],
        clock: Callable[[], Now] = read_clock,
    ) -> None:
        self._step = step
        self._transport = transport
        self._pool = pool
        self._log = log
        self._clock = clock
        self._parting: Parting | None = None
        self._stops = 0

    def let_part(self, parting: Parting) -> None:
        """Have this core part when the loop is told to stop."""
        self._parting = parting

    def run(self) -> None:
        """Turn until ``stop``, and then until whoever wants to has parted."""
        while not self._stops:
            self.turn()
        if self._parting is None:
            return
        self._carry_out_all(self._parting.part(self._clock()))
        while self._stops == 1 and not self._parting.has_parted(self._clock()):
            self.turn()

    def stop(self) -> None:
        """End ``run`` after the turn it is in; the second time also if somebody has not parted.
        From any thread or a signal handler."""
        self._stops += 1
        self._transport.wake()

    def turn(self) -> None:
        """Wait for events or the next deadline, and deal with them."""
        deadline = self._step.next_deadline()
        timeout_ns = None if deadline is None else deadline - self._clock().mono_ns
        events = self._transport.poll(timeout_ns)
        if self._pool is not None:
            events += self._pool.take_done(STEP_MAX_EVENTS)
        self._carry_out_all(self._step.run(events, self._clock()))

    def _carry_out_all(self, actions: list[Action]) -> None:
        for action in actions:
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Reply():
                self._transport.reply(action)
            case Send():
                self._transport.send(action)
            case Work():
                assert self._pool is not None, f"no pool for {action}"
                self._pool.submit(action)
            case Hangup():
                self._transport.hangup(action.to)
            case Note():
                self._log(action.text)
