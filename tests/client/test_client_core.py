"""The client's core: effects in, messages out, and nothing left behind."""

from __future__ import annotations

from contextlib import suppress

from dfs.client.core import ClientCore
from dfs.client.effects import (
    Answer,
    Ask,
    CurrentTime,
    EndStream,
    Fed,
    Heard,
    LinkDown,
    LocalSlices,
    NoAnswer,
    Operation,
    ReadLocally,
    Receive,
    Sleep,
    Stream,
    StreamLost,
    Tell,
    TimedOut,
)
from dfs.errors import Corrupt, NotFound, Refused
from dfs.events import NAMENODE, LinkLost, Now, Origin, Peer, Received, Role, Send, Work, WorkDone
from dfs.limits import LOCAL_READ_NS
from dfs.wire.common import Failed, Ok, Ping

OTHER = Peer(Role.DATANODE, "datanode-1")


def at(mono_ns: int) -> Now:
    return Now(mono_ns, 0)


def ask_once(to: Peer = NAMENODE, timeout_ns: int = 100) -> Operation[Answer]:
    return (yield Ask(to, Ping(), endpoints=("tcp://x",), timeout_ns=timeout_ns))


def collect(core: ClientCore) -> list[object]:
    """Results of what finished, errors as their classes."""
    return [end.result if end.error is None else type(end.error) for end in core.take_finished()]


def reply(request: int, peer: Peer = NAMENODE, message: object = Ok(3)) -> Received:
    return Received(Origin(peer, 9, request), message)  # type: ignore[arg-type]


def test_an_ask_is_sent_and_resumed_with_its_answer() -> None:
    core = ClientCore()
    number, actions = core.start(ask_once(), at(10))
    assert actions == [Send(NAMENODE, Ping(), 1, b"", ("tcp://x",))]
    assert core.next_deadline() == 110
    core.handle(reply(1), at(20))
    assert core.take_finished() == [(number, Answer(Ok(3)), None)]
    assert core.idle
    assert core.next_deadline() is None


def test_a_failed_answer_is_raised_as_its_own_class() -> None:
    core = ClientCore()
    core.start(ask_once(), at(0))
    core.handle(reply(1, message=Failed.of(NotFound("no such file"))), at(1))
    assert collect(core) == [NotFound]
    assert core.idle


def test_late_strange_and_repeated_answers_are_dropped() -> None:
    core = ClientCore()
    core.start(ask_once(), at(0))
    core.handle(reply(7), at(1))
    core.handle(reply(1, peer=OTHER), at(1))
    assert core.take_finished() == []
    core.on_deadline(at(100))
    assert collect(core) == [NoAnswer]
    core.handle(reply(1), at(101))
    assert core.take_finished() == []
    assert core.idle


def test_a_lost_link_ends_all_requests_to_that_peer_only() -> None:
    core = ClientCore()
    for to in (NAMENODE, OTHER, NAMENODE):
        core.start(ask_once(to), at(0))
    core.handle(LinkLost(NAMENODE, 4, "it is gone"), at(1))
    assert collect(core) == [LinkDown, LinkDown]
    core.handle(LinkLost(OTHER, 5, "another cluster", refused=True), at(1))
    assert collect(core) == [Refused]
    assert core.idle


def test_a_request_made_while_a_loss_is_told_survives_it() -> None:
    def persistent() -> Operation[Answer]:
        try:
            return (yield Ask(NAMENODE, Ping()))
        except LinkDown:
            return (yield Ask(NAMENODE, Ping()))

    core = ClientCore()
    core.start(persistent(), at(0))
    again = core.handle(LinkLost(NAMENODE, 4, "it is gone"), at(1))
    assert [action.request for action in again if isinstance(action, Send)] == [2]
    core.handle(reply(2), at(2))
    assert collect(core) == [Answer(Ok(3))]


def test_streams_carry_many_messages_and_their_loss() -> None:
    heard = []

    def talk() -> Operation[None]:
        stream = yield Stream(OTHER, ("ipc://x",))
        yield Tell(stream, Ping(), b"data")
        while not isinstance(happening := (yield Receive()), StreamLost):
            heard.append(happening)
        yield Tell(stream, Ping())

    core = ClientCore()
    _, actions = core.start(talk(), at(0))
    assert actions == [Send(OTHER, Ping(), 1, b"data", ("ipc://x",))]
    core.handle(reply(1, OTHER), at(1))
    core.handle(reply(1, OTHER, Failed.of(NotFound("gone"))), at(1))
    assert core.handle(LinkLost(OTHER, 4, "broke"), at(2)) == []
    assert heard == [Heard(1, Ok(3)), Heard(1, Failed.of(NotFound("gone")))]
    assert core.idle


def test_an_ended_stream_is_heard_no_more() -> None:
    def listen() -> Operation[object]:
        first = yield Stream(OTHER)
        second = yield Stream(OTHER)
        yield Sleep(10)
        yield EndStream(first)
        return (yield Receive()), second

    core = ClientCore()
    core.start(listen(), at(0))
    core.handle(reply(1, OTHER), at(1))
    core.handle(reply(2, OTHER), at(1))
    core.on_deadline(at(10))
    assert collect(core) == [(Heard(2, Ok(3)), 2)]


def test_input_waits_until_it_is_wanted() -> None:
    def eat() -> Operation[list[object]]:
        first = yield Receive(deadline_ns=50)
        return [first, (yield Receive(take_input=True)), (yield Receive(take_input=True))]

    core = ClientCore()
    number, _ = core.start(eat(), at(0))
    core.feed(number, "a", at(1))
    assert core.take_consumed() == []
    core.on_deadline(at(50))
    assert core.take_consumed() == [number]
    core.feed(number, "b", at(51))
    assert core.take_consumed() == [number]
    assert collect(core) == [[TimedOut(), Fed("a"), Fed("b")]]
    assert core.feed(number, "c", at(52)) == []
    assert core.idle


def test_time_passes_only_as_told() -> None:
    def nap() -> Operation[tuple[int, int]]:
        before = yield CurrentTime()
        yield Sleep(30)
        return before, (yield CurrentTime())

    core = ClientCore()
    core.start(nap(), at(5))
    assert core.next_deadline() == 35
    core.on_deadline(at(34))
    assert core.take_finished() == []
    core.on_deadline(at(40))
    assert collect(core) == [(5, 40)]


# Reads of files on this machine.

FRAMES = LocalSlices({0: b"abc"}, b"12345678")


def read_once() -> Operation[LocalSlices]:
    return (yield ReadLocally("fd:/x", "c", 7, 1, 3, b"", b"", ((0, 3),)))


def begin_read(core: ClientCore, now_ns: int = 0) -> tuple[int, Work]:
    number, (work,) = core.start(read_once(), at(now_ns))
    assert isinstance(work, Work)
    assert (work.task, work.lane) == (next(read_once()), number)
    return number, work


def test_a_local_read_is_work_and_ends_with_its_result_or_its_fault() -> None:
    core = ClientCore()
    number, work = begin_read(core, 10)
    assert core.next_deadline() == 10 + LOCAL_READ_NS
    core.handle(WorkDone(work.token, FRAMES), at(20))
    assert core.take_finished() == [(number, FRAMES, None)]
    _, work = begin_read(core)
    core.handle(WorkDone(work.token, error=Corrupt("bad")), at(20))
    assert collect(core) == [Corrupt]
    assert core.idle


def test_a_local_read_that_takes_too_long_is_given_up_and_its_end_is_dropped() -> None:
    core = ClientCore()
    _, slow = begin_read(core)
    core.on_deadline(at(LOCAL_READ_NS - 1))
    assert core.take_finished() == []
    core.on_deadline(at(LOCAL_READ_NS))
    assert collect(core) == [NoAnswer]
    core.handle(WorkDone(slow.token, FRAMES), at(LOCAL_READ_NS + 1))
    assert core.take_finished() == []
    assert core.idle
    assert core.next_deadline() is None


def test_the_end_of_a_read_that_was_given_up_is_not_taken_for_the_next_one() -> None:
    def read_twice() -> Operation[LocalSlices]:
        with suppress(NoAnswer):
            yield next(read_once())
        return (yield next(read_once()))

    core = ClientCore()
    _, (first,) = core.start(read_twice(), at(0))
    (second,) = core.on_deadline(at(LOCAL_READ_NS))
    assert isinstance(first, Work)
    assert isinstance(second, Work)
    core.handle(WorkDone(first.token, LocalSlices({}, b"")), at(LOCAL_READ_NS))
    assert core.take_finished() == []
    core.handle(WorkDone(second.token, FRAMES), at(LOCAL_READ_NS))
    assert collect(core) == [FRAMES]


def test_an_abandoned_local_read_ends_without_a_trace() -> None:
    core = ClientCore()
    number, work = begin_read(core)
    core.abandon(number)
    core.handle(WorkDone(work.token, FRAMES), at(1))
    assert core.take_finished() == []
    assert core.idle


def test_a_bug_in_an_operation_is_that_operations_result() -> None:
    def broken() -> Operation[int]:
        yield Sleep(1)
        return 1 // 0

    core = ClientCore()
    core.start(broken(), at(0))
    core.start(ask_once(), at(0))
    core.on_deadline(at(1))
    assert collect(core) == [ZeroDivisionError]
    core.handle(reply(1), at(2))
    assert collect(core) == [Answer(Ok(3))]


def test_an_abandoned_operation_leaves_nothing_and_cleans_up() -> None:
    cleaned = []

    def careful() -> Operation[None]:
        yield Stream(OTHER)
        try:
            yield Ask(NAMENODE, Ping())
        finally:
            cleaned.append(True)

    core = ClientCore()
    number, _ = core.start(careful(), at(0))
    core.abandon(number)
    core.abandon(number)
    core.handle(reply(2), at(1))
    assert core.take_finished() == []
    assert cleaned == [True]
    assert core.idle


def test_many_operations_with_every_kind_of_end_leave_no_state() -> None:
    core = ClientCore()
    for turn in range(10_000):
        now = at(turn)
        number, actions = core.start(ask_once(timeout_ns=1), now)
        request = next(action.request for action in actions if isinstance(action, Send))
        match turn % 4:
            case 0:
                core.handle(reply(request), now)
            case 1:
                core.handle(LinkLost(NAMENODE, turn, "gone"), now)
            case 2:
                core.on_deadline(at(turn + 1))
            case 3:
                core.abandon(number)
        assert core.idle
        core.take_finished()
    assert core.next_deadline() is None
