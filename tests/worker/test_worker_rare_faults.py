"""What a worker does when a process, a file or a folder is gone, or takes no more bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from xxhash import xxh3_64_intdigest

from mapreduce.wire import AttemptId, FailureKind, SegmentPiece
from mapreduce.worker.attempt_log import AttemptLog
from mapreduce.worker.attempt_run import AttemptRun
from mapreduce.worker.process_tree import is_alive, memory_of, unlinked_bytes
from mapreduce.worker.whereabouts import read_where
from mapreduce.worker.work import SampleAttempts, StoreSegments

from .test_executor import Bench, failed
from .worker_bench import map_attempt

NOBODY = 1 << 22
"""One more than the highest number that Linux gives a process."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.executor.close()


def test_a_process_that_is_gone_is_not_alive_and_holds_nothing() -> None:
    assert not is_alive(NOBODY)
    assert memory_of([NOBODY], -1) == 0


def test_a_descriptor_that_is_closed_while_we_look_counts_for_nothing() -> None:
    """The one with which the folder of descriptors is read is in it."""
    assert unlinked_bytes([os.getpid()], -1) == 0


def test_a_task_that_did_not_say_where_it_is_is_nowhere(tmp_path: Path) -> None:
    assert read_where(tmp_path / "missing") == ""


def test_what_is_printed_on_a_full_disk_is_lost_and_nobody_fails() -> None:
    log = AttemptLog(Path("/dev/full"))
    log.write(b"lost")
    log.close()


def test_a_process_whose_folder_cannot_be_emptied_is_not_used_again() -> None:
    def tidy() -> bool:
        raise PermissionError

    child: Any = SimpleNamespace(memory_bytes=lambda enough_bytes: 0, tidy=tidy)
    run: Any = SimpleNamespace(_limit_bytes=100)
    assert not AttemptRun._is_reusable(run, child)


def test_a_segment_that_cannot_be_stored_is_a_fault_of_the_node(bench: Bench) -> None:
    order = bench.reduce_order()
    thread, ends = bench.in_background(order)
    while not bench.executor.execute(SampleAttempts()):
        thread.join(0.001)
    shutil.rmtree(bench.scratch / "attempts")
    piece = StoreSegments(
        AttemptId.of(order.task),
        (map_attempt(),),
        (SegmentPiece(0, 3, 3),),
        0,
        xxh3_64_intdigest(b"abc"),
        b"abc",
    )
    with pytest.raises(FileNotFoundError):
        bench.executor.execute(piece)
    thread.join()
    report: Any = ends[0]
    assert "a segment cannot be stored" in failed(report, FailureKind.NODE).text
