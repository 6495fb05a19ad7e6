"""Task processes that read open chunk files: what comes of it, and that none stays open."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapreduce.job import FileSplit
from mapreduce.wire import AttemptId, AttemptSucceeded, FailureKind
from mapreduce.worker.work import StopAttempt

from .map_inputs import ChunkedInput, open_descriptors
from .test_executor import INPUT, JOB_ID, Bench, failed

CHUNK_BYTES = 100_000
LINES = b"".join(b"%d some words of a line\n" % n for n in range(60_000))
PART = "/.jobs/x/part-m-00000"
CODE = """
import os
import mapreduce as mr

class Words(mr.Job):
    act: str = mr.param("")

    def mapper(self, key, line):
        if self.act and key[1] > 1_100_000:
            getattr(self, self.act)()
            self.act = ""
        yield line, 1

    def closes(self):
        for name in os.listdir("/proc/self/fd"):
            target = f"/proc/self/fd/{name}"
            if os.path.exists(target) and "/chunks/" in os.readlink(target):
                os.close(int(name))

    def hangs_up(self):
        os.closerange(3, 1000)

    def kills(self):
        os.kill(os.getpid(), 9)

    def mapper_init(self):
        print(os.getpid(), flush=True)
"""


@pytest.fixture
def source(tmp_path: Path) -> ChunkedInput:
    folder = tmp_path / "chunks"
    folder.mkdir()
    return ChunkedInput(folder, LINES, CHUNK_BYTES)


@pytest.fixture
def bench(tmp_path: Path, source: ChunkedInput) -> Iterator[Bench]:
    """Whatever a test does, no descriptor is left when its executor is closed."""
    before = open_descriptors()
    made = Bench(tmp_path, CODE)
    made.storage.input = source
    made.split = FileSplit(INPUT, 0, len(LINES), len(LINES))
    yield made
    made.executor.close()
    assert open_descriptors() == before


def mapped(bench: Bench, act: str = "", attempt: int = 1) -> list[bytes]:
    """The lines of a map that must succeed."""
    report = bench.run(bench.order(act, attempt, reducer=False))
    assert isinstance(report, AttemptSucceeded), report
    assert report.records_in == LINES.count(b"\n")
    return [line.rpartition(b"\t")[0] for line in bench.storage.files[PART].splitlines()]


def test_a_map_reads_the_chunks_of_its_machine_itself(bench: Bench, source: ChunkedInput) -> None:
    assert mapped(bench) == LINES.splitlines()
    assert source.sent == []
    held = open_descriptors()
    for attempt in (2, 3):
        assert mapped(bench, attempt=attempt) == LINES.splitlines()
    assert open_descriptors() == held


def test_what_is_damaged_or_elsewhere_is_sent(bench: Bench, source: ChunkedInput) -> None:
    source.damage(3, 17)
    source.away.add(7)
    assert mapped(bench) == LINES.splitlines()
    assert source.sent == [(2 * CHUNK_BYTES, CHUNK_BYTES), (6 * CHUNK_BYTES, CHUNK_BYTES)]


def test_user_code_may_close_what_it_finds_open(bench: Bench) -> None:
    assert mapped(bench, "closes") == LINES.splitlines()


@pytest.mark.parametrize("act", ["hangs_up", "kills"])
def test_a_task_that_breaks_off(bench: Bench, act: str) -> None:
    failed(bench.run(bench.order(act, reducer=False)), FailureKind.CRASH)


def test_an_attempt_is_stopped_while_a_chunk_is_opened_for_it(
    bench: Bench, source: ChunkedInput
) -> None:
    order = bench.order(reducer=False)
    stop = StopAttempt(AttemptId.of(order.task))
    source.on_open = lambda number: bench.executor.execute(stop) if number == 5 else None
    failed(bench.run(order), FailureKind.CRASH)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_does_not_hear_the_answer(
    bench: Bench, source: ChunkedInput, number: signal.Signals
) -> None:
    """It is dead, or holds still: then the descriptor waits in its socket."""
    order, opening = bench.order(reducer=False), threading.Event()

    def strike(chunk: int) -> None:
        if chunk == 5:
            os.kill(int(log.read_text()), number)
            opening.set()

    log = bench.scratch / "logs" / JOB_ID / f"0-{AttemptId.of(order.task)}.log"
    source.on_open = strike
    thread, ends = bench.in_background(order)
    opening.wait()
    if number == signal.SIGSTOP:
        bench.executor.execute(StopAttempt(AttemptId.of(order.task)))
    thread.join()
    failed(ends[0], FailureKind.CRASH)  # type: ignore[arg-type]
