"""The worker's core by events: a scratch folder whose disk hangs holds nobody up for ever."""

from __future__ import annotations

import pytest
from xxhash import xxh3_64_intdigest

from dfs.errors import StorageFault
from dfs.events import Note
from dfs.limits import SECOND_NS
from mapreduce.limits import ATTEMPT_STOP_NS, SCRATCH_PIECE_NS
from mapreduce.wire import (
    AttemptFailed,
    FailureKind,
    FetchRuns,
    FindRuns,
    KillAttempt,
    RunLocation,
    RunLocations,
    RunsData,
    SegmentPiece,
    WorkerAddress,
    WorkerHeartbeat,
)
from mapreduce.worker.core import SCRATCH_HANGS
from mapreduce.worker.work import DropRun, RunAttempt, StopAttempt, StoreSegments
from tests.worker.worker_bench import (
    SETTINGS,
    Bench,
    launch_map,
    launch_reduce,
    map_attempt,
    reduce_attempt,
    succeeded,
)

ELSEWHERE = WorkerAddress("worker-2", ("tcp://127.0.0.1:2",), "host-2")
CAME = RunsData((SegmentPiece(0, 3, 3),), (), xxh3_64_intdigest(b"abc"))
HERE = WorkerAddress(SETTINGS.name, SETTINGS.endpoints, SETTINGS.host)


@pytest.fixture
def bench() -> Bench:
    return Bench().boot().register()


def reduce_that_stores(bench: Bench, source: WorkerAddress = ELSEWHERE) -> None:
    """A reduce runs, and the disk of its worker has a piece of its only segment."""
    bench.master(launch_reduce(1))
    bench.run_due()
    bench.answer(FindRuns, RunLocations((RunLocation(0, 1, 0),), (source,), 1))
    if source is ELSEWHERE:
        bench.answer(FetchRuns, CAME, b"abc")
        bench.find(StoreSegments)


def notes(bench: Bench) -> list[str]:
    return [action.text for action in bench.actions if isinstance(action, Note)]


def alive(bench: Bench) -> list[object]:
    """The attempts that the newest heartbeat names."""
    return [progress.attempt for progress in bench.take(WorkerHeartbeat)[-1].attempts]


@pytest.mark.parametrize("source", [ELSEWHERE, HERE], ids=["store", "read"])
def test_a_piece_that_the_disk_does_not_take_or_give_stops_its_attempt(
    bench: Bench, source: WorkerAddress
) -> None:
    reduce_that_stores(bench, source)
    bench.wait(SCRATCH_PIECE_NS - SECOND_NS)
    assert bench.take(StopAttempt) == []
    bench.wait(2 * SECOND_NS)
    assert bench.take(StopAttempt)[0].attempt == reduce_attempt()
    bench.done(RunAttempt, AttemptFailed(reduce_attempt(), FailureKind.CRASH, "killed"))
    (report,) = bench.take(AttemptFailed)
    assert (report.kind, report.text) == (FailureKind.NODE, SCRATCH_HANGS)


def test_pieces_that_are_stored_in_time_stop_nothing(bench: Bench) -> None:
    reduce_that_stores(bench)
    bench.wait(SCRATCH_PIECE_NS - SECOND_NS)
    bench.done(StoreSegments, error=StorageFault("no room"))
    for _ in range(3):
        bench.wait(SECOND_NS)
        bench.answer(FetchRuns, CAME, b"abc")
        bench.wait(SCRATCH_PIECE_NS // 2)
        bench.done(StoreSegments, error=StorageFault("no room"))
    assert bench.take(StopAttempt) == []


def test_an_attempt_that_does_not_end_is_reported_and_named(bench: Bench) -> None:
    reduce_that_stores(bench)
    bench.wait(SCRATCH_PIECE_NS + ATTEMPT_STOP_NS + 2 * SECOND_NS)
    report = bench.take(AttemptFailed)[0]
    assert report.text == f"r-00000.1 was stopped and does not end: {SCRATCH_HANGS}"
    assert f"{report.text}; its slot stays taken" in notes(bench)
    bench.done(RunAttempt, AttemptFailed(reduce_attempt(), FailureKind.CRASH, "killed"))
    bench.done(StoreSegments)
    bench.actions.clear()
    bench.wait(3 * SECOND_NS)
    assert {report.text for report in bench.take(AttemptFailed)} <= {report.text}


def test_what_the_master_gave_up_and_does_not_end_is_named_only(bench: Bench) -> None:
    bench.master(launch_map())
    bench.master(KillAttempt(1, map_attempt(), "not wanted"))
    bench.wait(ATTEMPT_STOP_NS + 2 * SECOND_NS)
    assert notes(bench) == ["m-00000.1 was stopped and does not end; its slot stays taken"]
    assert bench.take(AttemptFailed) == []
    bench.done(RunAttempt, succeeded(map_attempt()))
    assert bench.take(DropRun) == [DropRun(map_attempt())]


def test_nothing_waits_for_a_slot_when_none_gets_free(bench: Bench) -> None:
    for index in range(3):
        bench.master(launch_map(index))
    bench.wait(29 * SECOND_NS)  # their timeout is 30 s
    assert alive(bench) == [map_attempt(0), map_attempt(1), map_attempt(2)]
    bench.wait(ATTEMPT_STOP_NS + 3 * SECOND_NS)
    reports = {report.attempt: report.text for report in bench.take(AttemptFailed)}
    assert set(reports) == {map_attempt(index) for index in range(3)}
    assert "no slot of this worker gets free" in reports[map_attempt(2)]
    bench.master(launch_map(3))
    assert "no free slot" in bench.take(AttemptFailed)[-1].text
    bench.done(RunAttempt, succeeded(map_attempt(1)))
    bench.actions.clear()
    bench.master(launch_map(4))
    assert [run.task.index for run in bench.take(RunAttempt)] == [4]
