"""The worker's core by events: fetching segments, and serving runs."""

from __future__ import annotations

import pytest
from xxhash import xxh3_64_intdigest

from dfs.errors import NotFound, Unavailable
from dfs.events import (
    LinkLost,
    Peer,
    Reply,
    Role,
)
from dfs.limits import SECOND_NS
from dfs.wire.common import Failed, Ok, Ping
from mapreduce.errors import RunCorrupt
from mapreduce.wire import (
    FetchRun,
    FindRuns,
    KillAttempt,
    RegisterWorker,
    RunData,
    RunHeld,
    RunLocation,
    RunLocations,
    RunsLost,
    WorkerAddress,
)
from mapreduce.worker.fetching import FETCH_TRIES_MAX, FETCHES_MAX, GIVEN_UP_NS
from mapreduce.worker.holdings import SERVING_MAX
from mapreduce.worker.work import (
    DropRun,
    ReadRun,
    RunPiece,
    StoreSegment,
)
from tests.worker.worker_bench import (
    OTHER,
    SETTINGS,
    Bench,
    launch_reduce,
    map_attempt,
    reduce_attempt,
)


@pytest.fixture
def bench() -> Bench:
    return Bench().boot().register()


def registered_reduce(bench: Bench, maps: int) -> None:
    bench.master(launch_reduce(maps))
    bench.run_due()
    runs = tuple(RunLocation(index, 1, 0) for index in range(maps))
    address = WorkerAddress("worker-2", ("ipc:///w2", "tcp://127.0.0.1:2"), "host-2")
    bench.answer(FindRuns, RunLocations(runs, (address,), maps))


def piece(data: bytes, offset: int = 0, size_bytes: int = -1) -> RunData:
    size = len(data) if size_bytes < 0 else size_bytes
    return RunData(offset, size, 1, xxh3_64_intdigest(data))


def test_a_reduce_fetches_its_partition_of_each_map(bench: Bench) -> None:
    registered_reduce(bench, 1)
    send = bench.find(FetchRun)
    assert send.to == OTHER
    assert send.endpoints == ("tcp://127.0.0.1:2",)
    assert send.message == FetchRun(map_attempt(0), 0, 0)
    bench.answer(FetchRun, piece(b"abc", 0, 5), b"abc")
    stored = bench.find(StoreSegment).task
    assert (stored.attempt, stored.run) == (reduce_attempt(), map_attempt(0))
    bench.done(StoreSegment)
    assert bench.find(FetchRun).message == FetchRun(map_attempt(0), 0, 3)
    bench.answer(FetchRun, piece(b"de", 3, 5), b"de")
    bench.done(StoreSegment)
    bench.wait(60 * SECOND_NS)
    assert bench.take(FetchRun) == []
    assert bench.take(FindRuns) == []


def test_few_fetches_are_in_flight(bench: Bench) -> None:
    registered_reduce(bench, 20)
    assert len(bench.take(FetchRun)) == FETCHES_MAX


def test_maps_that_are_not_done_are_asked_for_again(bench: Bench) -> None:
    bench.master(launch_reduce(3))
    bench.run_due()
    address = WorkerAddress("worker-2", ("tcp://127.0.0.1:2",), "host-2")
    bench.answer(FindRuns, RunLocations((RunLocation(1, 1, 0),), (address,), 2))
    bench.run_due()
    assert bench.find(FindRuns).message.first == 2
    bench.answer(FindRuns, RunLocations((RunLocation(2, 1, 0),), (address,), 3))
    assert bench.take(FindRuns) == []
    bench.wait(SECOND_NS)
    assert bench.find(FindRuns).message.first == 0
    assert [fetch.map.index for fetch in bench.take(FetchRun)] == [1, 2]


def test_a_run_held_here_is_read_here() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    bench.master(launch_reduce())
    bench.run_due()
    mine = WorkerAddress("worker-1", SETTINGS.endpoints, "host-1")
    bench.answer(FindRuns, RunLocations((RunLocation(0, 1, 0),), (mine,), 1))
    assert bench.take(FetchRun) == []
    bench.done(ReadRun, RunPiece(b"abc", 3, 1, xxh3_64_intdigest(b"abc")))
    assert bench.find(StoreSegment).task.payload == b"abc"


def test_a_damaged_run_held_here_is_dropped_and_reported() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    bench.master(launch_reduce())
    bench.run_due()
    mine = WorkerAddress("worker-1", SETTINGS.endpoints, "host-1")
    bench.answer(FindRuns, RunLocations((RunLocation(0, 1, 0),), (mine,), 1))
    bench.done(ReadRun, error=RunCorrupt("cut short", 0))
    assert bench.take(DropRun) == [DropRun(map_attempt(0))]
    assert bench.take(RunsLost) == [RunsLost(reduce_attempt(), (map_attempt(0),))]


@pytest.mark.parametrize("how", ["dead link", "silence", "busy", "bad bytes"])
def test_a_holder_that_keeps_failing_is_given_up(bench: Bench, how: str) -> None:
    registered_reduce(bench, 1)
    for attempt in range(FETCH_TRIES_MAX):
        assert bench.take(RunsLost) == [], attempt
        if how == "dead link":
            bench.take(FetchRun)
            bench.actions += bench.core.handle(LinkLost(OTHER, 3, "refused"), bench.now)
        elif how == "busy":
            bench.answer(FetchRun, Failed.of(Unavailable("too much to do")))
        elif how == "bad bytes":
            bench.answer(FetchRun, piece(b"abc"), b"abX")
            bench.done(StoreSegment, error=RunCorrupt("damaged on its way", 0))
        else:
            bench.wait(10 * SECOND_NS)
        if attempt < FETCH_TRIES_MAX - 1:
            bench.wait(SECOND_NS)
    assert bench.take(RunsLost)[:1] == [RunsLost(reduce_attempt(), (map_attempt(0),))]


def test_a_run_that_is_gone_is_given_up_at_once_and_another_one_is_used(bench: Bench) -> None:
    registered_reduce(bench, 1)
    bench.answer(FetchRun, Failed.of(NotFound("no such run")))
    assert bench.take(RunsLost) == [RunsLost(reduce_attempt(), (map_attempt(0),))]
    address = WorkerAddress("worker-2", ("tcp://127.0.0.1:2",), "host-2")
    bench.wait(SECOND_NS)
    bench.answer(FindRuns, RunLocations((RunLocation(0, 1, 0),), (address,), 1))
    assert bench.take(FetchRun) == []
    bench.wait(SECOND_NS)
    bench.answer(FindRuns, RunLocations((RunLocation(0, 2, 0),), (address,), 1))
    assert bench.take(FetchRun) == [FetchRun(map_attempt(0, 2), 0, 0)]


def test_a_run_that_was_given_up_is_tried_again_when_its_holder_is_back(bench: Bench) -> None:
    registered_reduce(bench, 1)
    bench.answer(FetchRun, Failed.of(NotFound("no such run")))
    bench.wait(GIVEN_UP_NS)
    address = WorkerAddress("worker-2", ("tcp://127.0.0.1:2",), "host-2")
    bench.answer(FindRuns, RunLocations((RunLocation(0, 1, 0),), (address,), 1))
    bench.answer(FetchRun, piece(b"abc"), b"abc")
    assert bench.find(StoreSegment).task.run == map_attempt(0, 1)


def test_an_attempt_that_has_not_begun_gets_its_segment_later(bench: Bench) -> None:
    registered_reduce(bench, 1)
    for _ in range(2 * FETCH_TRIES_MAX):
        bench.answer(FetchRun, piece(b"abc"), b"abc")
        bench.done(StoreSegment, error=NotFound("not running"))
        bench.wait(SECOND_NS)
    assert bench.take(RunsLost) == []
    assert bench.find(FetchRun)


def test_nothing_is_fetched_for_an_attempt_that_is_over(bench: Bench) -> None:
    registered_reduce(bench, 10)
    bench.master(KillAttempt(1, reduce_attempt(), "lost its lease"))
    bench.answer(FetchRun, piece(b"abc"), b"abc")
    assert bench.take(StoreSegment) == []
    bench.actions.clear()
    bench.wait(60 * SECOND_NS)
    assert bench.take(FetchRun) == []


def test_an_answer_from_the_wrong_worker_is_dropped(bench: Bench) -> None:
    registered_reduce(bench, 1)
    request = bench.find(FetchRun).request
    bench.hear(Peer(Role.WORKER, "worker-3"), piece(b"abc"), request, b"abc")
    assert bench.take(StoreSegment) == []


# Serving.


def test_a_run_is_served_and_a_damaged_one_dropped() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    bench.hear(OTHER, FetchRun(map_attempt(0), 1, 4), 77)
    assert bench.find(ReadRun).task == ReadRun(map_attempt(0), 1, 4)
    bench.done(ReadRun, RunPiece(b"abc", 7, 2, 99))
    reply = bench.find(RunData)
    assert isinstance(reply, Reply)
    assert (reply.origin.request, reply.message, reply.payload) == (
        77,
        RunData(4, 7, 2, 99),
        b"abc",
    )
    bench.hear(OTHER, FetchRun(map_attempt(0), 1, 4), 78)
    bench.done(ReadRun, error=RunCorrupt("cut short", 0))
    assert bench.take(DropRun) == [DropRun(map_attempt(0))]
    bench.hear(OTHER, FetchRun(map_attempt(0), 1, 4), 79)
    assert bench.take(Failed)[-1].number == NotFound.number


def test_strange_messages_get_an_answer(bench: Bench) -> None:
    bench.hear(OTHER, Ping(), 1)
    bench.hear(OTHER, RegisterWorker((), "", "", 1), 2)
    assert len(bench.take(Ok)) == 1
    assert len(bench.take(Failed)) == 1


def test_only_so_many_pieces_are_read_at_a_time() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    for request in range(SERVING_MAX + 1):
        bench.hear(OTHER, FetchRun(map_attempt(0), 0, 0), request + 1)
    assert len(bench.take(ReadRun)) == SERVING_MAX
    assert [answer.number for answer in bench.take(Failed)] == [Unavailable.number]


def test_a_piece_that_was_read_makes_room_for_another() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    for request in range(SERVING_MAX + 1):
        bench.hear(OTHER, FetchRun(map_attempt(0), 0, 0), request + 1)
        bench.done(ReadRun, RunPiece(b"abc", 3, 1, 99))
    assert bench.take(Failed) == []
