"""The edge of the client: one thread that owns the transport and runs operations for others.

Any thread may start an operation and wait for its end. What the threads say to the I/O
thread stands in a queue of commands; ``transport.wake`` ends its sleep. Whatever happens to
the I/O thread, nobody waits for ever: when it ends, every operation under way ends with the
error that ended it.

Locks are re-entrant and never held while waiting for the I/O thread, since a finalizer may
run here in any thread at any moment.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from dfs.client.core import ClientCore
from dfs.client.effects import Operation
from dfs.client.local_chunks import read_locally
from dfs.errors import BadArgument, DfsError
from dfs.events import Action, Event, Now, Send, Work
from dfs.limits import (
    CLOSE_WAIT_NS,
    INTERRUPT_LOOK_NS,
    LOCAL_READ_THREADS,
    SECOND_NS,
    STEP_MAX_EVENTS,
    WRITE_AHEAD_FRAMES,
)
from dfs.net.descriptors import open_chunk
from dfs.net.pool import Pool

T = TypeVar("T")


class Transport(Protocol):
    """What the I/O thread needs of a transport."""

    def send(self, action: Send) -> None:
        """Send a message, connecting if need be."""

    def poll(self, timeout_ns: int | None) -> list[Event]:
        """What arrived; waits for the first event at most so long (None: for ever)."""

    def wake(self) -> None:
        """Make ``poll`` return; from any thread."""

    def close(self) -> None:
        """Close all connections."""


def read_clock() -> Now:
    """The time, from the system."""
    return Now(time.monotonic_ns(), time.time_ns())


class Running(Generic[T]):
    """An operation under way, as the thread that started it sees it."""

    def __init__(self, io: IoThread) -> None:
        self._io = io
        self._changed = threading.Condition()
        self._done = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._queued = 0
        self.number = 0
        """The operation's number in the core, once it was started there."""

    @property
    def done(self) -> bool:
        """Has it ended?"""
        return self._done

    def wait(self, timeout_ns: int | None = None) -> T:
        """Its result, or its error raised. Raises ``TimeoutError`` when the time is over."""
        end_ns = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        with self._changed:
            while not self._done:
                if end_ns is not None and time.monotonic_ns() >= end_ns:
                    raise TimeoutError("the operation is still under way")
                self._pause()
        if self._error is not None:
            raise self._error
        result: T = self._result
        return result

    def feed(self, item: object) -> None:
        """Hand an item to the operation; waits while it has enough. Raises its error."""
        with self._changed:
            while not self._done and self._queued >= WRITE_AHEAD_FRAMES:
                self._pause()
            if self._done:
                raise self._error or BadArgument("the operation has ended")
            self._queued += 1
        self.feed_at_once(item)

    def feed_at_once(self, item: object) -> None:
        """Hand an item to the operation without waiting; ignored when it has ended."""
        self._io.submit(lambda core, now: core.feed(self.number, item, now))

    def drain(self) -> None:
        """Wait until the operation has taken everything fed to it. Raises its error."""
        with self._changed:
            while not self._done and self._queued:
                self._pause()
        if self._error is not None:
            raise self._error

    def _pause(self) -> None:
        """Until something changed, or not for long: a library in the same process may have made
        its own handler of Ctrl-C, behind which the system goes on waiting (``SA_RESTART``), and
        Python would not hear of it before the wait is over."""
        self._changed.wait(INTERRUPT_LOOK_NS / SECOND_NS)

    def abandon(self) -> None:
        """Nobody wants its result any more."""
        self._io.submit(self._abandon)

    def _abandon(self, core: ClientCore, now: Now) -> list[Action]:
        core.abandon(self.number)
        self._io.forget(self)
        self.end(None, BadArgument("the operation was abandoned"))
        return []

    def consumed(self) -> None:
        """The operation took an item. Called by the I/O thread."""
        with self._changed:
            self._queued -= 1
            self._changed.notify_all()

    def end(self, result: Any, error: BaseException | None) -> None:
        """The operation ended. Called by the I/O thread."""
        with self._changed:
            if not self._done:
                self._done, self._result, self._error = True, result, error
            self._changed.notify_all()


Command = Callable[[ClientCore, Now], list[Action]]


class IoThread:
    """The thread, its core and its transport."""

    def __init__(self, core: ClientCore, transport: Transport) -> None:
        self._core = core
        self._transport = transport
        self._files: Pool | None = None
        self._commands: deque[Command] = deque()
        self._lock = threading.RLock()
        self._running: dict[int, Running[Any]] = {}
        self._starting: dict[Running[Any], None] = {}
        self._process = os.getpid()
        self._ended: BaseException | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="minidfs client", daemon=True)
        self._thread.start()

    def start(self, operation: Operation[T]) -> Running[T]:
        """Begin an operation."""
        running: Running[T] = Running(self)
        with self._lock:
            self._check_usable()
            self._starting[running] = None
            self.submit(lambda core, now: self._start(running, operation, core, now))
        return running

    def run(self, operation: Operation[T]) -> T:
        """The result of an operation. Interrupted, it is abandoned."""
        running = self.start(operation)
        try:
            return running.wait()
        except BaseException:
            if not running.done:
                running.abandon()
            raise

    def submit(self, command: Command) -> None:
        """Have a command carried out by the I/O thread, in the order given."""
        with self._lock:
            if self._ended is None:
                self._commands.append(command)
                self._transport.wake()

    def forget(self, running: Running[Any]) -> None:
        """An operation was abandoned. Called by the I/O thread."""
        self._running.pop(running.number, None)

    def stop(self, last: Operation[None]) -> None:
        """Run a last operation for a moment, then end the thread. May be called twice."""
        if os.getpid() != self._process or self._ended is not None:
            return
        if threading.current_thread() is not self._thread:
            with suppress(TimeoutError, DfsError):  # it is a courtesy
                self.start(last).wait(CLOSE_WAIT_NS)
        self._stopping = True
        self.submit(lambda core, now: [])
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_WAIT_NS / SECOND_NS)

    def _check_usable(self) -> None:
        if os.getpid() != self._process:
            raise BadArgument("this client belongs to another process: connect after the fork")
        if self._stopping or self._ended is not None:
            raise self._ended or BadArgument("this client is closed")

    def _start(
        self, running: Running[T], operation: Operation[T], core: ClientCore, now: Now
    ) -> list[Action]:
        running.number, actions = core.start(operation, now)
        self._running[running.number] = running
        del self._starting[running]
        return actions

    def _loop(self) -> None:
        error: BaseException = BadArgument("this client is closed")
        try:
            while not self._stopping:
                self._turn()
        except Exception as failure:  # noqa: BLE001 - the edge: whoever waits is told
            error = failure
        with self._lock:
            self._ended = error
            self._commands.clear()
        for running in [*self._running.values(), *self._starting]:
            running.end(None, error)
        if self._files is not None:
            self._files.close(wait_s=0)
        self._transport.close()

    def _turn(self) -> None:
        """Wait for something, tell the core, send what it wants sent, report what ended."""
        core = self._core
        events = self._transport.poll(self._timeout_ns())
        now = read_clock()
        actions: list[Action] = []
        while self._commands:
            actions += self._commands.popleft()(core, now)
        for event in events:
            actions += core.handle(event, now)
        for done in self._files.take_done(STEP_MAX_EVENTS) if self._files is not None else ():
            actions += core.handle(done, now)
        deadline_ns = core.next_deadline()
        if deadline_ns is not None and deadline_ns <= now.mono_ns:
            actions += core.on_deadline(now)
        for action in actions:
            self._carry_out(action)
        for number in core.take_consumed():
            if number in self._running:
                self._running[number].consumed()
        for finished in core.take_finished():
            running = self._running.pop(finished.operation)
            running.end(finished.result, finished.error)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Send():
                self._transport.send(action)
            case Work():
                if self._files is None:
                    read = partial(read_locally, open_chunk)
                    self._files = Pool(read, LOCAL_READ_THREADS, self._transport.wake, "chunks")
                self._files.submit(action)
            case _:
                raise AssertionError(f"the client's core cannot ask for {action}")

    def _timeout_ns(self) -> int | None:
        if self._commands:
            return 0
        deadline_ns = self._core.next_deadline()
        return None if deadline_ns is None else max(0, deadline_ns - time.monotonic_ns())
