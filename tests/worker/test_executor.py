"""Attempts in real task processes: what they leave and how each kind of end is reported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfs.errors import Corrupt, NotFound
from mapreduce import bundle
from mapreduce.job import FileSplit, JobSpec, MapTask, ReduceTask, Settings, StepSpec
from mapreduce.wire import (
    BUNDLE_FOLDER,
    AttemptFailed,
    AttemptId,
    AttemptSucceeded,
    FailureKind,
    TaskKind,
)
from mapreduce.worker.attempt_run import AttemptRun
from mapreduce.worker.executor import AttemptExecutor
from mapreduce.worker.process_pool import ProcessPool
from mapreduce.worker.process_tree import TAG_VARIABLE
from mapreduce.worker.task_child import TaskChild
from mapreduce.worker.task_watch import default_limits
from mapreduce.worker.work import (
    DropJob,
    FindHeldRuns,
    ReadRuns,
    RunAttempt,
    SampleAttempts,
    StopAttempt,
    StoreSegments,
)
from tests.worker.map_inputs import BytesInput

JOB_ID = "j-20261121-0001"
INPUT = "/in/text"
TEXT = b"a b\nb\nquit 0\n"
CODE = """
import os, sys, time, subprocess
import mapreduce as mr

class Words(mr.Job):
    partitions = 1
    act: str = mr.param("")

    def mapper(self, key, line):
        if self.act:
            getattr(self, self.act)()
        for word in line.split():
            yield word, 1

    def raises(self):
        raise ValueError("no such luck")

    def exits(self):
        print("last words", flush=True)
        os._exit(3)

    def kills(self):
        os.kill(os.getpid(), 9)

    def hangs(self):
        subprocess.Popen(["setsid", "sleep", "1000"])
        print("hanging", flush=True)
        while True:
            pass

    def breaks(self):
        import mapreduce.task.map_task
        mapreduce.task.map_task.write_run = None

    def loses(self):
        import mapreduce.task.map_task
        from mapreduce.errors import RecordsLost
        def lose(*arguments):
            raise RecordsLost("5 records were written and 4 were read")
        mapreduce.task.map_task.write_run = lose

    def prints(self):
        print("environment", sorted(os.environ), os.getcwd())
        print("pid", os.getpid(), os.environ.get("GREETING"))

    def silences(self):
        sys.stdout.close()

    def reducer(self, word, counts):
        yield word, sum(counts)
"""


class MemoryOutput:
    """A file of the DFS being written; appears in ``files`` when it is closed."""

    def __init__(self, files: dict[str, bytes], path: str) -> None:
        self._files, self._path, self._data = files, path, bytearray()

    def write(self, data: bytearray) -> None:
        self._data += data

    def close(self) -> None:
        self._files[self._path] = bytes(self._data)

    def discard(self) -> None:
        self._data.clear()


class MemoryStorage:
    """A ``Storage`` of files in memory."""

    def __init__(self, code: str = CODE) -> None:
        packed = bundle.pack({"job.py": code.encode()})
        self.digest = bundle.digest_of(packed)
        self.files = {INPUT: TEXT, f"{BUNDLE_FOLDER}/{self.digest}.zip": packed}
        self.corrupt = False
        self.input: BytesInput | None = None  # else the one in ``files``

    def open_input(self, path: str, inode: int) -> BytesInput:
        if self.corrupt:
            raise Corrupt("no good replica", path)
        return self.input or BytesInput(self.read(path))

    def create_output(self, path: str, replication: int) -> MemoryOutput:
        return MemoryOutput(self.files, path)

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise NotFound(f"no such file: {path}", path)
        return self.files[path]


class Bench:
    """An executor over memory, and orders for it."""

    def __init__(self, folder: Path, code: str = CODE) -> None:
        self.scratch = folder / "scratch"
        self.storage = MemoryStorage(code)
        self.executor = AttemptExecutor(self.scratch, 1, self.storage, default_limits())
        self.split: FileSplit | None = None  # of every map, else the whole text

    def order(
        self, act: str = "", attempt: int = 1, reducer: bool = True, digest: str = ""
    ) -> RunAttempt:
        step, digest = StepSpec(1, False, reducer), digest or self.storage.digest
        job = JobSpec("words", digest, "job.py", "Words", {"act": act}, (step,), Settings())
        split = self.split or FileSplit(INPUT, 0, len(TEXT), len(TEXT))
        task = MapTask(JOB_ID, 0, 0, attempt, split, step)
        return RunAttempt(task, job, {"GREETING": "hello"}, "/.jobs/x", 7)

    def reduce_order(self, attempt: int = 1) -> RunAttempt:
        order = self.order()
        task = ReduceTask(JOB_ID, 0, 0, attempt, 1, order.job.steps[0])
        return RunAttempt(task, order.job, {}, "/.jobs/x")

    def run(self, order: RunAttempt) -> AttemptSucceeded | AttemptFailed:
        report = self.executor.execute(order)
        assert isinstance(report, AttemptSucceeded | AttemptFailed)
        return report

    def log(self, attempt: AttemptId) -> str:
        folder = self.scratch / "logs" / attempt.job
        return (folder / f"{attempt.step}-{attempt}.log").read_text()

    def in_background(self, order: RunAttempt) -> tuple[threading.Thread, list[object]]:
        ends: list[object] = []
        thread = threading.Thread(target=lambda: ends.append(self.executor.execute(order)))
        thread.start()
        return thread, ends


def processes_of(scratch: Path) -> set[int]:
    """The living processes that carry a tag of this scratch folder."""
    tag = f"{TAG_VARIABLE}={scratch.resolve()}/".encode()
    found = set()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if tag in entry.read_bytes():
                found.add(int(entry.parent.name))
        except OSError:
            continue
    return found


def failed(report: AttemptSucceeded | AttemptFailed, kind: FailureKind) -> AttemptFailed:
    assert isinstance(report, AttemptFailed)
    assert report.kind is kind, report
    return report


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.executor.close()
    assert processes_of(made.scratch) == set()
    assert list((made.scratch / "tasks").iterdir()) == []


def pid_printed(bench: Bench, attempt: int) -> str:
    text = bench.log(AttemptId(JOB_ID, 0, TaskKind.MAP, 0, attempt))
    return next(line for line in text.splitlines() if line.startswith("pid"))


def test_a_map_and_its_reduce_give_the_counts(bench: Bench) -> None:
    mapped = bench.run(bench.order())
    assert isinstance(mapped, AttemptSucceeded), mapped
    assert (mapped.records_in, mapped.records_out, mapped.files) == (3, 5, ())
    (held,) = bench.executor.execute(FindHeldRuns())
    assert (held.map, held.size_bytes) == (mapped.attempt, mapped.output_bytes)

    order = bench.reduce_order()
    thread, ends = bench.in_background(order)
    reduce = AttemptId.of(order.task)
    while not bench.executor.execute(SampleAttempts()):
        time.sleep(0.001)
    pack = bench.executor.execute(ReadRuns((held.map,), 0, 0))
    bench.executor.execute(
        StoreSegments(reduce, (held.map,), pack.pieces, 0, pack.check, pack.payload)
    )
    thread.join()
    (reduced,) = ends
    assert isinstance(reduced, AttemptSucceeded), reduced
    assert (reduced.records_in, reduced.records_out) == (5, 4)
    assert reduced.files == ("part-r-00000",)
    assert bench.storage.files["/.jobs/x/part-r-00000"] == b"0\t1\na\t1\nb\t2\nquit\t1\n"

    bench.executor.execute(DropJob(JOB_ID))
    assert bench.executor.execute(FindHeldRuns()) == ()


def test_a_map_without_reducer_writes_its_part(bench: Bench) -> None:
    report = bench.run(bench.order(reducer=False))
    assert isinstance(report, AttemptSucceeded), report
    assert report.files == ("part-m-00000",)
    assert bench.storage.files["/.jobs/x/part-m-00000"].startswith(b"a\t1\nb\t1\n")


def test_a_process_is_used_again_and_knows_nothing_of_its_worker(bench: Bench) -> None:
    os.environ["SECRET_OF_THE_WORKER"] = "x"
    try:
        for attempt in (1, 2):
            assert isinstance(bench.run(bench.order("prints", attempt)), AttemptSucceeded)
    finally:
        del os.environ["SECRET_OF_THE_WORKER"]
    assert pid_printed(bench, 1) == pid_printed(bench, 2)
    assert pid_printed(bench, 1).endswith("hello")
    assert "SECRET" not in bench.log(AttemptId(JOB_ID, 0, TaskKind.MAP, 0, 1))


@pytest.mark.parametrize(
    ("act", "said"), [("breaks", "TypeError"), ("loses", "5 records were written")]
)
def test_a_fault_of_our_own_code_counts_since_it_will_come_again(
    bench: Bench, act: str, said: str
) -> None:
    assert said in failed(bench.run(bench.order(act)), FailureKind.CRASH).text


def test_an_exception_of_user_code_comes_with_its_place(bench: Bench) -> None:
    failure = failed(bench.run(bench.order("raises")), FailureKind.USER).failure
    assert failure is not None
    assert failure.error == "ValueError: no such luck"
    assert (failure.path, failure.offset, failure.record) == (INPUT, 0, "'a b'")
    assert 'raise ValueError("no such luck")' in failure.traceback
    assert isinstance(bench.run(bench.order("", 2)), AttemptSucceeded)


def test_a_process_that_exits_is_a_crash_with_status_and_last_words(bench: Bench) -> None:
    text = failed(bench.run(bench.order("exits")), FailureKind.CRASH).text
    assert "the process of m-00000.1 exited with status 3" in text
    assert text.endswith("last words")


def test_a_process_killed_from_outside_names_the_signal(bench: Bench) -> None:
    text = failed(bench.run(bench.order("kills")), FailureKind.CRASH).text
    assert "was killed by signal SIGKILL" in text


def test_an_endless_loop_is_stopped_with_what_it_started(bench: Bench) -> None:
    thread, ends = bench.in_background(bench.order("hangs"))
    attempt = AttemptId.of(bench.order().task)
    log = bench.scratch / "logs" / JOB_ID / f"0-{attempt}.log"
    while not (log.exists() and len(processes_of(bench.scratch)) > 2):
        time.sleep(0.01)
    bench.executor.execute(StopAttempt(attempt))
    thread.join()
    failed(ends[0], FailureKind.CRASH)  # type: ignore[arg-type]
    assert list((bench.scratch / "attempts").iterdir()) == []


def test_an_attempt_can_be_stopped_while_it_waits_for_segments(bench: Bench) -> None:
    order = bench.reduce_order()
    thread, ends = bench.in_background(order)
    while not bench.executor.execute(SampleAttempts()):
        time.sleep(0.001)
    bench.executor.execute(StopAttempt(AttemptId.of(order.task)))
    thread.join()
    assert isinstance(ends[0], AttemptFailed)


def test_a_damaged_segment_names_the_run_it_came_from(bench: Bench) -> None:
    mapped = bench.run(bench.order())
    run = mapped.attempt
    path = bench.scratch / "runs" / JOB_ID / f"0-{run}.run"
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    order = bench.reduce_order()
    thread, ends = bench.in_background(order)
    while not bench.executor.execute(SampleAttempts()):
        time.sleep(0.001)
    pack = bench.executor.execute(ReadRuns((run,), 0, 0))
    bench.executor.execute(
        StoreSegments(AttemptId.of(order.task), (run,), pack.pieces, 0, pack.check, pack.payload)
    )
    thread.join()
    assert failed(ends[0], FailureKind.FETCH).runs == (run,)  # type: ignore[arg-type]


def test_input_that_cannot_be_read_is_not_the_users_fault(bench: Bench) -> None:
    bench.storage.corrupt = True
    assert "no good replica" in failed(bench.run(bench.order()), FailureKind.INPUT).text


def test_code_that_is_not_there_is_a_fault_of_the_node(bench: Bench) -> None:
    report = bench.run(bench.order(digest="0" * 64))
    assert "no such file" in failed(report, FailureKind.NODE).text


def test_a_task_may_close_what_it_prints_to(bench: Bench) -> None:
    assert isinstance(bench.run(bench.order("silences")), AttemptSucceeded)


def test_a_run_that_cannot_be_kept_is_a_fault_of_the_node(bench: Bench) -> None:
    shutil.rmtree(bench.scratch / "runs")
    assert "runs" in failed(bench.run(bench.order()), FailureKind.NODE).text


def test_a_process_that_cannot_be_started_is_a_fault_of_the_node(
    bench: Bench, tmp_path: Path
) -> None:
    pool = ProcessPool(tmp_path / "pool", 0, 1)
    shutil.rmtree(tmp_path / "pool")
    watch = bench.executor._watch
    run = AttemptRun(bench.order(), tmp_path / "attempt", bench.storage, watch)
    report = run.run(pool, bench.executor._files, bench.executor._runs)
    assert "no task process can be started" in failed(report, FailureKind.NODE).text
    assert not (tmp_path / "attempt").exists()
    pool.close()


def test_a_process_whose_worker_hangs_up_ends(tmp_path: Path) -> None:
    child = TaskChild.start(tmp_path / "task")
    child.channel.receive()
    child.channel.hang_up()
    while child.alive:
        time.sleep(0.01)
    assert child.kill() == "exited with status 0"


def test_a_new_executor_kills_what_an_earlier_one_left(bench: Bench) -> None:
    thread, ends = bench.in_background(bench.order("hangs"))
    while len(processes_of(bench.scratch)) < 3:
        time.sleep(0.01)
    second = AttemptExecutor(bench.scratch, 1, bench.storage, default_limits())
    thread.join()
    assert "SIGKILL" in failed(ends[0], FailureKind.CRASH).text  # type: ignore[arg-type]
    second.close()


WORKER_THAT_DIES = """
import sys, threading
from pathlib import Path
from tests.worker.test_executor import Bench
bench = Bench(Path(sys.argv[1]))
bench.executor.execute(bench.order("hangs"))
"""


def test_tasks_die_with_a_killed_worker(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    worker = subprocess.Popen([sys.executable, "-c", WORKER_THAT_DIES, str(tmp_path)])
    while len(processes_of(scratch)) < 3:
        time.sleep(0.01)
    worker.kill()
    worker.wait()
    while len(processes_of(scratch)) > 1:
        time.sleep(0.01)
    (left,) = processes_of(scratch)  # what left its task's session: the next worker ends it
    assert b"sleep" in Path(f"/proc/{left}/cmdline").read_bytes()
    Bench(tmp_path).executor.close()
    assert processes_of(scratch) == set()
