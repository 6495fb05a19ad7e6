"""The worker's core by events: serving the runs that it holds."""

from __future__ import annotations

import pytest

from dfs.errors import BadArgument, Unavailable
from dfs.events import Reply
from dfs.wire.common import Failed, Ok, Ping
from mapreduce.limits import FETCHES_SERVED_MAX, RUNS_PER_FETCH_MAX
from mapreduce.wire import RegisterWorker, RunHeld, RunsData, SegmentPiece
from mapreduce.worker.work import DropRun, ReadRuns, RunPack
from tests.worker.worker_bench import OTHER, Bench, fetch_runs, map_attempt


@pytest.fixture
def bench() -> Bench:
    return Bench().boot().register()


def pack(data: bytes, size_bytes: int) -> RunPack:
    return RunPack((SegmentPiece(0, len(data), size_bytes),), {}, 99, data)


def test_runs_are_served_and_damaged_ones_dropped() -> None:
    bench = Bench().boot(*(RunHeld(map_attempt(index), 9) for index in range(3))).register()
    bench.hear(OTHER, fetch_runs(0, 1, 7, 2, partition=1), 77)
    held = tuple(map_attempt(index) for index in range(3))
    assert bench.find(ReadRuns).task == ReadRuns(held, 1, 0)
    pieces = (SegmentPiece(0, 1, 1), SegmentPiece(2, 2, 2))
    bench.done(ReadRuns, RunPack(pieces, {map_attempt(1): "cut short"}, 99, b"abc"))
    reply = bench.find(RunsData)
    assert isinstance(reply, Reply)
    assert (reply.origin.request, reply.message, reply.payload) == (
        77,
        RunsData(pieces, (7, 1), 99),
        b"abc",
    )
    assert bench.take(DropRun) == [DropRun(map_attempt(1))]
    bench.take(RunsData)
    bench.hear(OTHER, fetch_runs(1), 79)
    assert bench.take(RunsData) == [RunsData((), (1,), 0)]


def test_a_large_segment_is_served_from_where_it_is_asked_for() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9), RunHeld(map_attempt(1), 9)).register()
    bench.hear(OTHER, fetch_runs(0, 1, offset=4), 77)
    bench.hear(OTHER, fetch_runs(7, 1, offset=4), 78)
    assert bench.take(ReadRuns) == [
        ReadRuns((map_attempt(0), map_attempt(1)), 0, 4),
        ReadRuns((map_attempt(1),), 0, 0),
    ]


def test_runs_that_could_not_be_read_just_now_stay() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    bench.hear(OTHER, fetch_runs(0), 77)
    bench.done(ReadRuns, error=MemoryError())
    assert [answer.number for answer in bench.take(Failed)] == [Unavailable.number]
    assert bench.take(DropRun) == []


@pytest.mark.parametrize("count", [0, RUNS_PER_FETCH_MAX + 1])
def test_too_many_runs_at_a_time_are_refused(bench: Bench, count: int) -> None:
    bench.hear(OTHER, fetch_runs(*range(count)), 77)
    assert [answer.number for answer in bench.take(Failed)] == [BadArgument.number]


def test_strange_messages_get_an_answer(bench: Bench) -> None:
    bench.hear(OTHER, Ping(), 1)
    bench.hear(OTHER, RegisterWorker((), "", "", 1), 2)
    assert len(bench.take(Ok)) == 1
    assert len(bench.take(Failed)) == 1


def test_only_so_many_fetches_are_served_at_a_time() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    for request in range(FETCHES_SERVED_MAX + 1):
        bench.hear(OTHER, fetch_runs(0), request + 1)
    assert len(bench.take(ReadRuns)) == FETCHES_SERVED_MAX
    assert [answer.number for answer in bench.take(Failed)] == [Unavailable.number]


def test_a_fetch_that_was_served_makes_room_for_another() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    for request in range(FETCHES_SERVED_MAX + 1):
        bench.hear(OTHER, fetch_runs(0), request + 1)
        bench.done(ReadRuns, pack(b"abc", 3))
    assert bench.take(Failed) == []
