"""The worker's core by events: fetching segments."""

from __future__ import annotations

import pytest
from xxhash import xxh3_64_intdigest

from dfs.errors import Unavailable
from dfs.events import (
    LinkLost,
    Peer,
    Role,
)
from dfs.limits import SECOND_NS
from dfs.wire.common import Failed
from mapreduce.errors import RunCorrupt
from mapreduce.limits import (
    FETCH_MAX_BYTES,
    FETCHES_MAX,
    RUNS_PER_FETCH_MAX,
)
from mapreduce.wire import (
    FetchRuns,
    FindRuns,
    KillAttempt,
    RunAsked,
    RunHeld,
    RunLocation,
    RunLocations,
    RunsData,
    RunsLost,
    SegmentPiece,
    WorkerAddress,
)
from mapreduce.worker.fetching import FETCH_TRIES_MAX, GIVEN_UP_NS, RUNS_BY_TRIES
from mapreduce.worker.work import (
    DropRun,
    ReadRuns,
    RunPack,
    StoreSegments,
)
from tests.worker.worker_bench import (
    JOB,
    OTHER,
    SETTINGS,
    Bench,
    fetch_runs,
    launch_reduce,
    map_attempt,
    reduce_attempt,
)

ADDRESS = WorkerAddress("worker-2", ("ipc:///w2", "tcp://127.0.0.1:2"), "host-2")
HERE = WorkerAddress(SETTINGS.name, SETTINGS.endpoints, SETTINGS.host)


@pytest.fixture
def bench() -> Bench:
    return Bench().boot().register()


def registered_reduce(bench: Bench, maps: int, source: WorkerAddress = ADDRESS) -> None:
    bench.master(launch_reduce(maps))
    bench.run_due()
    runs = tuple(RunLocation(index, 1, 0) for index in range(maps))
    bench.answer(FindRuns, RunLocations(runs, (source,), maps))


def whole(*maps: int, data: bytes = b"abc", gone: tuple[int, ...] = ()) -> RunsData:
    """An answer with the same bytes for each of these maps; its payload is ``data`` as often."""
    pieces = tuple(SegmentPiece(index, len(data), len(data)) for index in maps)
    return RunsData(pieces, gone, xxh3_64_intdigest(data * len(maps)))


def piece(index: int, data: bytes, size_bytes: int) -> RunsData:
    return RunsData((SegmentPiece(index, len(data), size_bytes),), (), xxh3_64_intdigest(data))


def asked_maps(bench: Bench) -> list[list[int]]:
    """The maps of each fetch that was asked for."""
    return [[run.map for run in fetch.runs] for fetch in bench.take(FetchRuns)]


def test_a_reduce_fetches_its_partition_of_each_map(bench: Bench) -> None:
    registered_reduce(bench, 1)
    send = bench.find(FetchRuns)
    assert send.to == OTHER
    assert send.endpoints == ("tcp://127.0.0.1:2",)
    assert send.message == fetch_runs(0)
    bench.answer(FetchRuns, piece(0, b"abc", 5), b"abc")
    stored = bench.find(StoreSegments).task
    assert (stored.attempt, stored.runs) == (reduce_attempt(), (map_attempt(0),))
    bench.done(StoreSegments)
    assert bench.find(FetchRuns).message == fetch_runs(0, offset=3)
    bench.answer(FetchRuns, piece(0, b"de", 5), b"de")
    assert bench.find(StoreSegments).task.offset == 3
    bench.done(StoreSegments)
    bench.wait(60 * SECOND_NS)
    assert bench.take(FetchRuns) == []
    assert bench.take(FindRuns) == []


def test_few_fetches_are_in_flight(bench: Bench) -> None:
    registered_reduce(bench, 20)
    assert asked_maps(bench) == [[at, at + 1, at + 2, at + 3] for at in range(0, 20, 4)]


def test_a_fetch_names_many_runs_of_one_worker(bench: Bench) -> None:
    registered_reduce(bench, 10 * RUNS_PER_FETCH_MAX)
    first = [fetch.runs for fetch in bench.take(FetchRuns)]
    assert [len(runs) for runs in first] == [RUNS_PER_FETCH_MAX] * FETCHES_MAX


def test_what_one_answer_brings_is_stored_at_once(bench: Bench) -> None:
    registered_reduce(bench, 10)
    bench.answer(FetchRuns, whole(8, 9), b"abcabc")
    (stored,) = bench.take(StoreSegments)
    assert stored.runs == (map_attempt(8), map_attempt(9))
    assert (stored.offset, stored.payload) == (0, b"abcabc")


def test_what_had_no_room_is_asked_for_again(bench: Bench) -> None:
    registered_reduce(bench, 10)
    bench.answer(FetchRuns, whole(8), b"abc")
    bench.actions = [a for a in bench.actions if a is bench.find(StoreSegments)]
    bench.done(StoreSegments)
    assert asked_maps(bench) == [[9]]


def test_few_runs_are_named_when_segments_are_large(bench: Bench) -> None:
    registered_reduce(bench, 40)
    data = bytes(FETCH_MAX_BYTES // 3)
    bench.answer(FetchRuns, whole(32, 33, data=data), data * 2)
    bench.actions = [bench.find(StoreSegments)]
    bench.done(StoreSegments)
    assert asked_maps(bench) == [[34, 35, 36]]


def test_maps_that_are_not_done_are_asked_for_again(bench: Bench) -> None:
    bench.master(launch_reduce(3))
    bench.run_due()
    bench.answer(FindRuns, RunLocations((RunLocation(1, 1, 0),), (ADDRESS,), 2))
    bench.run_due()
    assert bench.find(FindRuns).message.first == 2
    bench.answer(FindRuns, RunLocations((RunLocation(2, 1, 0),), (ADDRESS,), 3))
    assert bench.take(FindRuns) == []
    bench.wait(SECOND_NS)
    assert bench.find(FindRuns).message.first == 0
    assert asked_maps(bench) == [[1], [2]]


def test_runs_held_here_are_read_here() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    registered_reduce(bench, 1, HERE)
    assert bench.take(FetchRuns) == []
    pieces = (SegmentPiece(0, 3, 3),)
    bench.done(ReadRuns, RunPack(pieces, {}, xxh3_64_intdigest(b"abc"), b"abc"))
    assert bench.find(StoreSegments).task.payload == b"abc"


def test_a_damaged_run_held_here_is_dropped_and_reported() -> None:
    bench = Bench().boot(RunHeld(map_attempt(8), 9), RunHeld(map_attempt(9), 9)).register()
    registered_reduce(bench, 10, HERE)
    pieces = (SegmentPiece(9, 3, 3),)
    bench.done(ReadRuns, RunPack(pieces, {map_attempt(8): "cut short"}, 7, b"abc"))
    assert bench.take(DropRun) == [DropRun(map_attempt(8))]
    assert bench.take(RunsLost) == [RunsLost(reduce_attempt(), (map_attempt(8),))]
    assert bench.find(StoreSegments).task.runs == (map_attempt(9),)


def test_runs_held_here_that_could_not_be_read_are_read_again() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    registered_reduce(bench, 1, HERE)
    bench.done(ReadRuns, error=MemoryError())
    assert bench.take(RunsLost) == []
    bench.wait(SECOND_NS)
    assert bench.take(ReadRuns) == [ReadRuns((map_attempt(0),), 0, 0)]


HOW = ["dead link", "silence", "busy", "bad bytes", "answer to something else"]


def fail(bench: Bench, how: str) -> None:
    """The newest fetch, of one run, fails in one of these ways."""
    (asked,) = bench.find(FetchRuns).message.runs
    if how == "dead link":
        bench.take(FetchRuns)
        bench.actions += bench.core.handle(LinkLost(OTHER, 3, "refused"), bench.now)
    elif how == "busy":
        bench.answer(FetchRuns, Failed.of(Unavailable("too much to do")))
    elif how == "bad bytes":
        bench.answer(FetchRuns, whole(asked.map), b"abX")
        bench.done(StoreSegments, error=RunCorrupt("damaged on its way", 0))
    elif how == "answer to something else":
        bench.answer(FetchRuns, whole(asked.map + 1), b"abc")
    else:
        bench.wait(10 * SECOND_NS)


@pytest.mark.parametrize("how", HOW)
def test_a_holder_that_keeps_failing_is_given_up(bench: Bench, how: str) -> None:
    registered_reduce(bench, 1)
    for attempt in range(FETCH_TRIES_MAX):
        assert bench.take(RunsLost) == [], attempt
        fail(bench, how)
        if attempt < FETCH_TRIES_MAX - 1:
            bench.wait(SECOND_NS)
    assert bench.take(RunsLost)[:1] == [RunsLost(reduce_attempt(), (map_attempt(0),))]


def test_a_broken_link_costs_each_run_one_try(bench: Bench) -> None:
    registered_reduce(bench, 10 * RUNS_PER_FETCH_MAX)
    bench.take(FetchRuns)
    bench.actions += bench.core.handle(LinkLost(OTHER, 3, "reset"), bench.now)
    assert bench.take(RunsLost) == []
    bench.run_due()
    assert {len(maps) for maps in asked_maps(bench)} == {RUNS_PER_FETCH_MAX}
    bench.actions += bench.core.handle(LinkLost(OTHER, 3, "reset"), bench.now)
    bench.wait(SECOND_NS // 2)
    assert {len(maps) for maps in asked_maps(bench)} == {RUNS_BY_TRIES[1]}
    assert bench.take(RunsLost) == []


def test_a_run_that_hinders_its_holder_is_given_up_alone(bench: Bench) -> None:
    """Whatever is asked for together with map 3 fails; all others come."""
    registered_reduce(bench, 40)
    came: set[int] = set()
    lost: list[RunsLost] = []
    for _ in range(200):
        while any(isinstance(getattr(a, "message", 0), FetchRuns) for a in bench.actions):
            maps = [run.map for run in bench.find(FetchRuns).message.runs]
            if 3 in maps:
                bench.answer(FetchRuns, Failed.of(Unavailable("stumbles")))
            else:
                bench.answer(FetchRuns, whole(*maps), b"abc" * len(maps))
                came |= set(maps)
                bench.done(StoreSegments)
        bench.wait(SECOND_NS // 10)
        lost = lost or bench.take(RunsLost)
    assert lost == [RunsLost(reduce_attempt(), (map_attempt(3),))]
    assert came == set(range(40)) - {3}


def test_a_run_that_is_gone_is_given_up_at_once_and_another_one_is_used(bench: Bench) -> None:
    registered_reduce(bench, 1)
    bench.answer(FetchRuns, whole(gone=(0,)))
    assert bench.take(RunsLost) == [RunsLost(reduce_attempt(), (map_attempt(0),))]
    assert bench.take(StoreSegments) == []
    bench.wait(SECOND_NS)
    bench.answer(FindRuns, RunLocations((RunLocation(0, 1, 0),), (ADDRESS,), 1))
    assert bench.take(FetchRuns) == []
    bench.wait(SECOND_NS)
    bench.answer(FindRuns, RunLocations((RunLocation(0, 2, 0),), (ADDRESS,), 1))
    assert bench.take(FetchRuns) == [FetchRuns(JOB, 0, 0, (RunAsked(0, 2),))]


def test_runs_that_are_gone_are_no_fault_of_the_others(bench: Bench) -> None:
    registered_reduce(bench, 20)
    bench.answer(FetchRuns, whole(17, 19, gone=(16, 18)), b"abcabc")
    assert bench.take(RunsLost) == [RunsLost(reduce_attempt(), (map_attempt(16), map_attempt(18)))]
    assert bench.find(StoreSegments).task.runs == (map_attempt(17), map_attempt(19))


def test_a_run_that_was_given_up_is_tried_again_when_its_holder_is_back(bench: Bench) -> None:
    registered_reduce(bench, 1)
    bench.answer(FetchRuns, whole(gone=(0,)))
    bench.wait(GIVEN_UP_NS)
    bench.answer(FindRuns, RunLocations((RunLocation(0, 1, 0),), (ADDRESS,), 1))
    bench.answer(FetchRuns, whole(0), b"abc")
    assert bench.find(StoreSegments).task.runs == (map_attempt(0, 1),)


def test_an_attempt_that_has_not_begun_gets_its_segment_later(bench: Bench) -> None:
    registered_reduce(bench, 1)
    for _ in range(2 * FETCH_TRIES_MAX):
        bench.answer(FetchRuns, whole(0), b"abc")
        bench.done(StoreSegments, error=FileNotFoundError("not running"))
        bench.wait(SECOND_NS)
    assert bench.take(RunsLost) == []
    assert bench.find(FetchRuns)


def test_nothing_is_fetched_for_an_attempt_that_is_over(bench: Bench) -> None:
    registered_reduce(bench, 10)
    bench.master(KillAttempt(1, reduce_attempt(), "lost its lease"))
    bench.answer(FetchRuns, whole(8, 9), b"abcabc")
    assert bench.take(StoreSegments) == []
    bench.actions.clear()
    bench.wait(60 * SECOND_NS)
    assert bench.take(FetchRuns) == []


def test_what_is_read_or_stored_for_an_attempt_that_is_over_changes_nothing() -> None:
    bench = Bench().boot(RunHeld(map_attempt(0), 9)).register()
    registered_reduce(bench, 1, HERE)
    reading = bench.find(ReadRuns)
    pack = RunPack((SegmentPiece(0, 3, 3),), {}, xxh3_64_intdigest(b"abc"), b"abc")
    bench.done(ReadRuns, pack)
    bench.master(KillAttempt(1, reduce_attempt(), "lost its lease"))
    bench.done(StoreSegments)
    bench.actions.append(reading)
    bench.done(ReadRuns, pack)
    assert bench.take(StoreSegments) == []


def test_an_answer_from_the_wrong_worker_is_dropped(bench: Bench) -> None:
    registered_reduce(bench, 1)
    request = bench.find(FetchRuns).request
    stranger = Peer(Role.WORKER, "worker-3")
    bench.hear(stranger, whole(0), request, b"abc")
    bench.hear(stranger, Failed.of(Unavailable("busy")), request)
    assert bench.take(StoreSegments) == []
    bench.answer(FetchRuns, whole(0), b"abc")
    assert len(bench.take(StoreSegments)) == 1


WRONG = {
    "nothing": (RunsData((), (), 0), b""),
    "a stranger": (whole(5), b"abc"),
    "one twice": (whole(8, 8), b"abcabc"),
    "there and gone": (whole(8, gone=(8,)), b"abc"),
    "too few bytes": (whole(8), b"ab"),
    "two pieces, one cut": (
        RunsData((SegmentPiece(8, 3, 3), SegmentPiece(9, 3, 9)), (), 0),
        b"abcabc",
    ),
    "an empty piece": (piece(8, b"", 9), b""),
    "more than there is": (piece(8, b"abc", 2), b"abc"),
    "a negative piece": (
        RunsData((SegmentPiece(8, 6, 6), SegmentPiece(9, -3, -3)), (), 0),
        b"abc",
    ),
}


def test_a_piece_that_reaches_too_far_counts_as_a_failed_try(bench: Bench) -> None:
    registered_reduce(bench, 1)
    bench.answer(FetchRuns, piece(0, b"abc", 5), b"abc")
    bench.done(StoreSegments)
    bench.answer(FetchRuns, piece(0, b"def", 5), b"def")
    assert bench.take(StoreSegments) == []
    bench.wait(SECOND_NS)
    assert bench.take(FetchRuns) == [fetch_runs(0)]


@pytest.mark.parametrize("what", WRONG)
def test_a_strange_answer_counts_as_a_failed_try(bench: Bench, what: str) -> None:
    registered_reduce(bench, 10)
    assert bench.find(FetchRuns).message == fetch_runs(8, 9)
    bench.answer(FetchRuns, *WRONG[what])
    assert bench.take(StoreSegments) == []
    bench.take(FetchRuns)
    bench.wait(SECOND_NS)
    assert asked_maps(bench) == [[8, 9]]
    assert bench.take(RunsLost) == []
