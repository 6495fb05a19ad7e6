"""The loop hands events to the step and carries out its actions; the pool keeps lanes in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from dfs.events import (
    Action,
    Event,
    Hangup,
    Note,
    Now,
    Origin,
    Peer,
    Reply,
    Role,
    Send,
    Work,
    WorkDone,
)
from dfs.net.loop import Loop
from dfs.net.pool import Pool
from dfs.wire.common import Ok, Ping

ANNA = Peer(Role.CLIENT, "anna")
NODE = Peer(Role.DATANODE, "datanode-1")


class Net:
    """A transport that plays a script of events and keeps what it is told."""

    def __init__(self, *script: list[Event]) -> None:
        self.script = deque(script)
        self.done: list[object] = []
        self.waits: list[int | None] = []
        self.wakes = 0

    def send(self, action: Send) -> None:
        self.done.append(action)

    def reply(self, action: Reply) -> None:
        self.done.append(action)

    def hangup(self, peer: Peer) -> None:
        self.done.append(peer)

    def poll(self, timeout_ns: int | None = None) -> list[Event]:
        self.waits.append(timeout_ns)
        return self.script.popleft() if self.script else []

    def wake(self) -> None:
        self.wakes += 1


class Answers:
    """A step that answers every batch with the same actions."""

    def __init__(self, *actions: Action, deadline: int | None = None) -> None:
        self.actions = list(actions)
        self.deadline = deadline
        self.batches: list[list[Event]] = []

    def run(self, events: list[Event], now: Now) -> list[Action]:
        self.batches.append(events)
        return self.actions

    def next_deadline(self) -> int | None:
        return self.deadline


class Bench:
    """A pool that ends work at once."""

    def __init__(self) -> None:
        self.done: list[WorkDone] = []

    def submit(self, work: Work) -> None:
        self.done.append(WorkDone(work.token, work.task))

    def take_done(self, limit: int) -> list[WorkDone]:
        done, self.done = self.done, []
        return done


def test_each_action_goes_where_it_belongs() -> None:
    actions = [
        Send(NODE, Ping(), 1),
        Reply(Origin(ANNA, 1, 2), Ok()),
        Hangup(NODE),
        Note("it happened"),
        Work("token", "task"),
    ]
    net, step, notes = Net(), Answers(*actions), list[str]()
    loop = Loop(step, net, Bench(), notes.append)
    loop.turn()
    assert net.done == [actions[0], actions[1], NODE]
    assert notes == ["it happened"]
    step.actions = []
    loop.turn()
    assert step.batches == [[], [WorkDone("token", "task")]]


def test_the_wait_ends_at_the_deadline() -> None:
    net, step = Net(), Answers(deadline=1500)
    loop = Loop(step, net, None, print, lambda: Now(1000, 0))
    loop.turn()
    step.deadline = None
    loop.turn()
    assert net.waits == [500, None]


def test_stop_ends_the_run_after_a_turn_and_wakes_the_wait() -> None:
    net = Net()
    loop = Loop(Answers(Note("x")), net, None, lambda text: loop.stop())
    loop.run()
    assert (len(net.waits), net.wakes) == (1, 1)


class Parts:
    """Parts for so many turns, and says so at first."""

    def __init__(self, turns: int) -> None:
        self.turns = turns

    def part(self, now: Now) -> list[Action]:
        return [Note("it parts")]

    def has_parted(self, now: Now) -> bool:
        self.turns -= 1
        return self.turns < 0


@pytest.mark.parametrize(("turns", "stops_at"), [(3, "nothing"), (1000, "it parts")])
def test_who_parts_is_waited_for_unless_it_is_told_again(turns: int, stops_at: str) -> None:
    notes: list[str] = []

    def log(text: str) -> None:
        notes.append(text)
        if text == stops_at or len(notes) == 1:
            loop.stop()

    loop = Loop(Answers(Note("x")), Net(), None, log)
    loop.let_part(Parts(turns))
    loop.run()
    assert notes == ["x", "it parts", *(["x"] * 3 if turns == 3 else [])]


def test_an_error_of_the_step_goes_through_and_nothing_is_sent() -> None:
    class Broken(Answers):
        def run(self, events: list[Event], now: Now) -> list[Action]:
            raise OSError("disk")

    net = Net()
    with pytest.raises(OSError, match="disk"):
        Loop(Broken(), net, None, print).run()
    assert net.done == []


class Harness:
    """A pool whose results can be waited for."""

    def __init__(self, execute: Callable[[Any], Any], threads: int) -> None:
        self._woken: SimpleQueue[None] = SimpleQueue()
        self.pool = Pool(execute, threads, lambda: self._woken.put(None), "test")

    def results(self, count: int) -> list[WorkDone]:
        done: list[WorkDone] = []
        for _ in range(count):
            self._woken.get(timeout=60)
            done += self.pool.take_done(1)
        return done


def test_a_lane_keeps_its_order_and_lanes_run_beside_each_other() -> None:
    gate = threading.Event()

    def execute(task: tuple[str, int]) -> tuple[str, int]:
        if task == ("slow", 0):
            gate.wait(60)
        return task

    harness = Harness(execute, threads=2)
    for number in range(20):
        harness.pool.submit(Work(number, ("slow", number), lane=1))
    harness.pool.submit(Work("other", ("quick", 0), lane=2))
    assert [d.result for d in harness.results(1)] == [("quick", 0)]
    gate.set()
    assert [d.result for d in harness.results(20)] == [("slow", n) for n in range(20)]
    harness.pool.close()


def test_an_error_comes_back_and_the_lane_goes_on() -> None:
    def execute(task: int) -> int:
        return 10 // task

    harness = Harness(execute, threads=1)
    harness.pool.submit(Work("bad", 0))
    harness.pool.submit(Work("good", 5))
    bad, good = harness.results(2)
    assert isinstance(bad.error, ZeroDivisionError)
    assert (bad.token, good.token, good.result) == ("bad", "good", 2)
    harness.pool.close()
    assert harness.pool.take_done(5) == []
