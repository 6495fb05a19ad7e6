"""The client's core: runs operations, and matches what arrives to who waits for it.

Rules of the file:

* Each request number belongs to one operation and one peer. Messages under other numbers,
  or from another peer, are late or strange and are dropped.
* A request leaves the tables when it is answered, when its link is lost, when its time is
  over, or with its operation. After the last operation every table is empty.
* An operation waits for one effect at a time and has at most one deadline.
* ``LinkLost`` ends every request to that peer, whichever of its links they were sent on:
  a request is told once too often that it may be lost, never once too seldom.

What an operation raises is its result, as with a future; it never reaches the caller of
``handle``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dfs.client import effects as fx
from dfs.errors import DfsError, Refused
from dfs.events import Action, Event, LinkLost, Now, Payload, Peer, Received, Send, Work, WorkDone
from dfs.limits import LOCAL_READ_NS
from dfs.wire.codec import Message
from dfs.wire.common import Failed


class Finished(NamedTuple):
    """An operation ended with a result or, if ``error`` is not None, with an error."""

    operation: int
    result: Any
    error: BaseException | None


class ReadToken(NamedTuple):
    """Names a local read: its operation, and which of all reads it is."""

    operation: int
    number: int


class _Request(NamedTuple):
    operation: int
    to: Peer
    endpoints: tuple[str, ...]


@dataclass(slots=True)
class _Running:
    """An operation under way. ``waits_for`` is what suspended it last."""

    number: int
    generator: fx.Operation[Any]
    waits_for: fx.Effect | None = None
    asked: int = 0
    reading: ReadToken | None = None
    deadline_ns: int | None = None
    requests: dict[int, None] = field(default_factory=dict)
    inbox: deque[Any] = field(default_factory=deque)
    heard: deque[fx.Heard | fx.StreamLost] = field(default_factory=deque)


_SUSPENDED = object()


class ClientCore:
    """All operations of one client. See the module's text."""

    def __init__(self) -> None:
        self._operations: dict[int, _Running] = {}
        self._requests: dict[int, _Request] = {}
        self._requests_to: dict[Peer, dict[int, None]] = {}
        self._last_operation = 0
        self._last_request = 0
        self._now_ns = 0
        self._actions: list[Action] = []
        self._finished: list[Finished] = []
        self._consumed: list[int] = []

    def start(self, operation: fx.Operation[Any], now: Now) -> tuple[int, list[Action]]:
        """Begin an operation; its number, under which its end will be reported."""
        self._now_ns = now.mono_ns
        self._last_operation += 1
        running = _Running(self._last_operation, operation)
        self._operations[running.number] = running
        self._resume(running, None)
        return running.number, self._take_actions()

    def feed(self, operation: int, item: Any, now: Now) -> list[Action]:
        """Hand an item to an operation; ignored when the operation has ended."""
        self._now_ns = now.mono_ns
        running = self._operations.get(operation)
        if running is not None:
            running.inbox.append(item)
            self._deliver(running)
        return self._take_actions()

    def abandon(self, operation: int) -> None:
        """Nobody waits for this operation any more: end it without a result."""
        running = self._operations.get(operation)
        if running is not None:
            self._forget(running)
            running.generator.close()

    def handle(self, event: Event, now: Now) -> list[Action]:
        """Take in what arrived."""
        self._now_ns = now.mono_ns
        if isinstance(event, Received):
            self._received(event)
        elif isinstance(event, LinkLost):
            self._link_lost(event)
        else:
            self._read_ended(event)
        return self._take_actions()

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` wants to be called, in monotonic ns; None: never."""
        return min(
            (r.deadline_ns for r in self._operations.values() if r.deadline_ns is not None),
            default=None,
        )

    def on_deadline(self, now: Now) -> list[Action]:
        """Wake every operation whose time has come."""
        self._now_ns = now.mono_ns
        for running in list(self._operations.values()):
            if running.deadline_ns is not None and running.deadline_ns <= now.mono_ns:
                self._expire(running)
        return self._take_actions()

    def take_finished(self) -> list[Finished]:
        """The operations that ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def take_consumed(self) -> list[int]:
        """The operations that took an item fed to them since the last call, one by one."""
        consumed, self._consumed = self._consumed, []
        return consumed

    @property
    def idle(self) -> bool:
        """Is no operation under way and nothing remembered of those that were?"""
        return not (self._operations or self._requests or self._requests_to)

    def _take_actions(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    # What arrives.

    def _received(self, event: Received) -> None:
        request = self._requests.get(event.origin.request)
        if request is None or request.to != event.origin.peer:
            return
        running = self._operations[request.operation]
        number = event.origin.request
        if number != running.asked:
            running.heard.append(fx.Heard(number, event.message, event.payload))
            self._deliver(running)
            return
        self._drop_request(running, number)
        if isinstance(event.message, Failed):
            self._resume(running, None, event.message.error())
        else:
            self._resume(running, fx.Answer(event.message, event.payload))

    def _link_lost(self, event: LinkLost) -> None:
        for number in self._requests_to.pop(event.peer, {}):
            request = self._requests.get(number)
            if request is None:
                continue  # its operation ended with an earlier one of this loop
            running = self._operations[request.operation]
            self._drop_request(running, number)
            if number == running.asked:
                self._resume(running, None, _link_error(event))
            else:
                running.heard.append(fx.StreamLost(number, event.reason))
                self._deliver(running)

    def _read_ended(self, event: WorkDone) -> None:
        assert isinstance(event.token, ReadToken), f"nobody asked for the work {event.token!r}"
        running = self._operations.get(event.token.operation)
        if running is None or running.reading != event.token:
            return  # it was given up
        self._resume(running, event.result, event.error)

    def _expire(self, running: _Running) -> None:
        effect = running.waits_for
        if isinstance(effect, fx.Ask):
            self._drop_request(running, running.asked)
            seconds = effect.timeout_ns / 1e9
            text = f"{effect.to.name} did not answer within {seconds:g} s"
            self._resume(running, None, fx.NoAnswer(text))
        elif isinstance(effect, fx.Receive):
            self._resume(running, fx.TimedOut())
        elif isinstance(effect, fx.ReadLocally):
            text = f"{effect.endpoint} did not answer within {LOCAL_READ_NS / 1e9:g} s"
            self._resume(running, None, fx.NoAnswer(text))
        else:
            self._resume(running, None)

    def _deliver(self, running: _Running) -> None:
        """Resume an operation that waits in ``Receive`` if there is something for it."""
        if isinstance(running.waits_for, fx.Receive):
            happening = self._next_happening(running, running.waits_for)
            if happening is not None:
                self._resume(running, happening)

    def _next_happening(self, running: _Running, effect: fx.Receive) -> fx.Happening | None:
        if running.heard:
            return running.heard.popleft()
        if effect.take_input and running.inbox:
            self._consumed.append(running.number)
            return fx.Fed(running.inbox.popleft())
        if effect.deadline_ns is not None and effect.deadline_ns <= self._now_ns:
            return fx.TimedOut()
        return None

    # Running operations.

    def _resume(self, running: _Running, value: Any, error: Exception | None = None) -> None:
        """Run an operation until it has to wait or ends."""
        running.waits_for, running.asked, running.deadline_ns = None, 0, None
        running.reading = None
        generator = running.generator
        while True:
            try:
                effect = generator.send(value) if error is None else generator.throw(error)
            except StopIteration as end:
                self._finish(running, end.value, None)
                return
            except Exception as failure:  # noqa: BLE001 - it belongs to who waits for the result
                self._finish(running, None, failure)
                return
            error = None
            value = self._perform(running, effect)
            if value is _SUSPENDED:
                running.waits_for = effect
                return

    def _perform(self, running: _Running, effect: fx.Effect) -> Any:
        """Carry out an effect: its value, or ``_SUSPENDED`` when that comes later."""
        match effect:
            case fx.Ask():
                running.asked = self._new_request(running, effect.to, effect.endpoints)
                running.deadline_ns = self._now_ns + effect.timeout_ns
                self._send(running.asked, effect.message, effect.payload)
                return _SUSPENDED
            case fx.Receive():
                happening = self._next_happening(running, effect)
                if happening is not None:
                    return happening
                running.deadline_ns = effect.deadline_ns
                return _SUSPENDED
            case fx.Sleep():
                running.deadline_ns = self._now_ns + effect.duration_ns
                return _SUSPENDED
            case fx.Stream():
                return self._new_request(running, effect.to, effect.endpoints)
            case fx.Tell():
                self._send(effect.stream, effect.message, effect.payload)
                return None
            case fx.EndStream():
                self._end_stream(running, effect.stream)
                return None
            case fx.CurrentTime():
                return self._now_ns
            case fx.ReadLocally():
                self._last_request += 1
                running.reading = ReadToken(running.number, self._last_request)
                running.deadline_ns = self._now_ns + LOCAL_READ_NS
                self._actions.append(Work(running.reading, effect, lane=running.number))
                return _SUSPENDED

    def _finish(self, running: _Running, result: Any, error: Exception | None) -> None:
        self._forget(running)
        self._finished.append(Finished(running.number, result, error))

    def _forget(self, running: _Running) -> None:
        del self._operations[running.number]
        for number in list(running.requests):
            self._drop_request(running, number)

    # Requests.

    def _new_request(self, running: _Running, to: Peer, endpoints: tuple[str, ...]) -> int:
        self._last_request += 1
        number = self._last_request
        self._requests[number] = _Request(running.number, to, endpoints)
        self._requests_to.setdefault(to, {})[number] = None
        running.requests[number] = None
        return number

    def _send(self, number: int, message: Message, payload: Payload) -> None:
        request = self._requests.get(number)
        if request is not None:
            self._actions.append(Send(request.to, message, number, payload, request.endpoints))

    def _end_stream(self, running: _Running, stream: int) -> None:
        self._drop_request(running, stream)
        if running.heard:
            running.heard = deque(h for h in running.heard if h.stream != stream)

    def _drop_request(self, running: _Running, number: int) -> None:
        running.requests.pop(number, None)
        request = self._requests.pop(number, None)
        if request is None:
            return
        siblings = self._requests_to.get(request.to)
        if siblings is not None:
            siblings.pop(number, None)
            if not siblings:
                del self._requests_to[request.to]


def _link_error(event: LinkLost) -> DfsError:
    if event.refused:
        return Refused(event.reason)
    return fx.LinkDown(f"{event.peer.name} cannot be reached: {event.reason}")
