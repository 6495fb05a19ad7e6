"""Faults of user code: told with their own traceback, the file, the offset and the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import mapreduce as mr
from dfs.errors import Unavailable
from mapreduce.errors import RunCorrupt, UserCodeError
from mapreduce.job import Failure, MapTask, ReduceTask, Settings
from mapreduce.shuffle.buffer import CombineBuffer
from mapreduce.task.map_task import run_map
from mapreduce.task.reduce_task import run_reduce
from tests.mapreduce.memory_env import MemoryEnv, MemoryRun, cut

TEXT = b"good\nbad line\ngood\n"


class Faulty(mr.Job):
    """Does what each test makes of it."""

    def mapper(self, key: Any, line: str) -> Any:
        yield line, 1

    def reducer(self, key: Any, values: Iterator[Any]) -> Any:
        yield key, list(values)


def failure_of_job(pieces: int = 1, text: bytes = TEXT, **body: Any) -> Failure:
    job = type("Job", (Faulty,), body)()
    with pytest.raises(UserCodeError) as caught:
        MemoryRun(job, cut(text, pieces), {"in": text}, 1 << 20)
    assert str(caught.value) == caught.value.failure.describe()
    return caught.value.failure


def explode(value: Any) -> None:
    raise LookupError(f"cannot take {value}")


def raising_mapper(self: Any, key: Any, line: str) -> Any:
    yield line, 1
    if line.startswith("bad"):
        explode(line)


def test_a_mapper_that_raises() -> None:
    failure = failure_of_job(mapper=raising_mapper)
    assert (failure.phase, failure.path, failure.offset) == ("mapper", "in", 5)
    assert failure.record == "'bad line'"
    assert failure.error == "LookupError: cannot take bad line"
    assert "in raising_mapper" in failure.traceback
    assert "in explode" in failure.traceback
    assert "map_task" not in failure.traceback
    told = failure.describe()
    assert told.startswith("Traceback (most recent call last):")
    assert told.endswith("in the mapper, input in, byte offset 5, record 'bad line'")


def test_the_same_fault_has_the_same_signature() -> None:
    one, again = failure_of_job(mapper=raising_mapper), failure_of_job(mapper=raising_mapper)
    elsewhere = failure_of_job(text=b"x" + TEXT, mapper=raising_mapper)
    assert one.signature == again.signature != elsewhere.signature


def test_the_offset_is_that_of_the_file_in_any_split() -> None:
    assert failure_of_job(pieces=3, mapper=raising_mapper).offset == 5


def no_generator(self: Any, key: Any, line: str) -> Any:
    explode(line)


def exits(self: Any, key: Any, line: str) -> Any:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("mapper", "error"),
    [
        (no_generator, "LookupError: cannot take good"),
        (exits, "SystemExit: 3"),
        (lambda self, key, line: [line], "must yield pairs"),
        (lambda self, key, line: [1], "must yield pairs"),
        (lambda self, key, line: 5, "not iterable"),
        (lambda self, key: [], "takes 2 positional arguments but 3 were given"),
    ],
)
def test_mappers_that_do_not_do_their_part(mapper: Callable[..., Any], error: str) -> None:
    failure = failure_of_job(mapper=mapper)
    assert error in failure.error
    assert (failure.path, failure.offset, failure.record) == ("in", 0, "'good'")


def test_a_long_record_is_cut() -> None:
    failure = failure_of_job(text=b"x" * 100_000, mapper=no_generator)
    assert len(failure.record) < 300
    assert failure.record.endswith("(100000 long)")


def test_keys_of_two_types_in_one_map() -> None:
    failure = failure_of_job(mapper=lambda self, key, line: [(1, 1), (True, 1)])
    assert "keys of two types: int and bool" in failure.error
    assert (failure.phase, failure.path, failure.record) == ("mapper", "in", "True")


def test_keys_of_two_types_in_two_maps() -> None:
    text = b"x\n" * 10

    def mapper(self: Any, key: Any, line: str) -> Any:
        yield (1 if key[1] < 10 else 1.0), 1

    failure = failure_of_job(pieces=2, text=text, mapper=mapper)
    assert "keys of two types: int and float" in failure.error
    assert failure.phase == "shuffle"


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (([1], 1), "a key of type list"),
        ((object(), 1), "a key of type object"),
        (("k", lambda: 1), "pickle"),
    ],
)
@pytest.mark.parametrize("combined", [False, True])
def test_records_that_cannot_travel(pair: Any, words: str, combined: bool) -> None:
    body: dict[str, Any] = {"mapper": lambda self, key, line: [pair]}
    if combined:
        body["combiner"] = Faulty.reducer
    assert words in failure_of_job(**body).error


def test_a_reducer_that_raises() -> None:
    def reducer(self: Any, key: str, values: Iterator[int]) -> Any:
        yield key, next(values)
        if key == "bad line":
            explode(key)

    failure = failure_of_job(reducer=reducer)
    assert (failure.phase, failure.record) == ("reducer", "'bad line'")
    assert "in explode" in failure.traceback


def test_a_reducer_that_raises_at_once() -> None:
    failure = failure_of_job(reducer=lambda self, key, values: explode(key))
    assert (failure.phase, failure.error[:11]) == ("reducer", "LookupError")


@pytest.mark.parametrize(
    ("combiner", "words"),
    [
        (lambda self, key, values: explode(key), "cannot take"),
        (lambda self, key, values: [("other", 1)], "the combiner yields the key 'other'"),
        (lambda self, key, values: [1], "must yield pairs"),
    ],
)
def test_combiners_at_fault(combiner: Callable[..., Any], words: str) -> None:
    failure = failure_of_job(combiner=combiner)
    assert failure.phase == "combiner"
    assert words in failure.error


@pytest.mark.parametrize("name", ["mapper_init", "mapper_final", "reducer_init", "reducer_final"])
def test_hooks_at_fault(name: str) -> None:
    assert failure_of_job(**{name: lambda self: explode(name)}).phase == name


@pytest.mark.parametrize("name", ["mapper_init", "mapper_final", "reducer_init", "reducer_final"])
def test_hooks_that_return_no_pairs(name: str) -> None:
    failure = failure_of_job(**{name: lambda self: 5})
    assert failure.phase == name
    assert "cannot unpack int: not an iterable of pairs" in failure.error


@pytest.mark.parametrize("name", ["combiner_init", "combiner_final"])
def test_combiner_hooks_at_fault(name: str) -> None:
    body = {"combiner": Faulty.reducer, name: lambda self: explode(name)}
    assert failure_of_job(**body).phase == name


@pytest.mark.parametrize("number", [-1, 4, 1.0, None, True])
def test_a_partition_out_of_range(number: Any) -> None:
    failure = failure_of_job(partition=lambda self, key, n: number)
    assert failure.phase == "partition"
    assert f"partition() gave {number!r}: 0 to 3 is needed" in failure.error


def test_a_partition_of_the_users_own() -> None:
    body = {"partition": lambda self, key, n: len(key) % n}
    job = type("Job", (Faulty,), body)()
    run = MemoryRun(job, cut(TEXT, 1), {"in": TEXT}, 1 << 20)
    assert run.partitions() == [[("bad line", [1]), ("good", [1, 1])], [], [], []]


def test_hooks_yield_records() -> None:
    class Hooked(Faulty):
        partitions = 1

        def mapper_init(self) -> Any:
            self.seen = 0

        def mapper(self, key: Any, line: str) -> Any:
            self.seen += 1

        def mapper_final(self) -> Any:
            yield "seen", self.seen

        def reducer_init(self) -> Any:
            yield "first", 0

        def reducer_final(self) -> Any:
            yield "last", 0

    run = MemoryRun(Hooked(), cut(TEXT, 2), {"in": TEXT}, 1 << 20)
    assert run.partitions() == [[("first", 0), ("seen", [2, 1]), ("last", 0)]]


class Unlucky(MemoryEnv):
    """An environment in which something breaks."""

    def open_map_output(self, map_index: int) -> Any:
        if map_index == 1:
            raise Unavailable("the worker is gone")
        return super().open_map_output(map_index)

    def create_scratch(self, name: str) -> Any:
        raise OSError(28, "No space left on device")


def greedy(self: Any, key: Any, values: Iterator[Any]) -> Any:
    try:
        yield key, list(values)
    except Exception:  # noqa: BLE001 - what user code may do
        yield key, []


def test_a_fault_of_the_environment_is_not_the_users() -> None:
    job = type("Job", (Faulty,), {"reducer": greedy})()
    run = MemoryRun(job, cut(TEXT, 2), {"in": TEXT}, 1 << 20)
    task = ReduceTask("j", 0, 0, 1, 2, run.step)
    with pytest.raises(Unavailable, match="the worker is gone"):
        run_reduce(task, job, Unlucky({}, run.runs, 0))
    spilling = MapTask("j", 0, 0, 1, cut(TEXT, 1)[0], run.step, Settings(spill_bytes=1))
    with pytest.raises(OSError, match="No space left"):
        run_map(spilling, job, Unlucky({"in": TEXT}, {}))


def test_a_run_that_breaks_off_inside_a_group_is_not_hidden() -> None:
    text = b"same %d\n" * 10
    body = {
        "partitions": 1,
        "mapper": lambda self, key, line: (("k", "x" * 1_000) for _ in range(1_000)),
        "reducer": greedy,
    }
    job = type("Job", (Faulty,), body)()
    run = MemoryRun(job, cut(text, 1), {"in": text}, 1 << 30)
    segment_end = len(run.runs["0"]) - 400
    damaged = bytearray(run.runs["0"])
    damaged[segment_end // 2] ^= 1
    with pytest.raises(RunCorrupt) as caught:
        run_reduce(ReduceTask("j", 0, 0, 1, 1, run.step), job, MemoryEnv({}, {"0": damaged}, 0))
    assert caught.value.map_index == 0


def test_counters_status_and_progress() -> None:
    class Counting(Faulty):
        partitions = 1

        def mapper(self, key: Any, line: str) -> Any:
            self.count("lines")
            mr.count("chars", len(line), "text")
            self.status(f"at {key[1]}")
            yield "k", 1

        combiner = Faulty.reducer

    text = b"line\n" * 5_000
    env = MemoryEnv({"in": text}, {})
    env.map_name = "0"
    job = Counting()
    task = MapTask("j", 0, 0, 1, cut(text, 1)[0], *job.describe_steps())
    counters = run_map(task, job, env).counters
    assert counters["user"] == {"lines": 5_000}
    assert counters["text"] == {"chars": 20_000}
    assert counters["records"] == {
        "combine_input": 5_000,
        "combine_output": 1,
        "map_input": 5_000,
        "map_output": 5_000,
    }
    assert [records for records, _, _ in env.reports] == [2_000, 4_000, 5_000, 5_000]
    assert env.reports[0][2] == "at 9995"


def test_each_task_starts_with_a_fresh_job() -> None:
    class Remembers(Faulty):
        seen: Any = ()

        def mapper(self, key: Any, line: str) -> Any:
            self.seen = (*self.seen, line)
            yield "k", self.seen

    text = b"a\nb\n"
    run = MemoryRun(Remembers(), cut(text, 2), {"in": text}, 1 << 20)
    groups = [group for part in run.partitions() for group in part]
    assert groups == [("k", [("a",), ("b",)])]


def test_the_charge_of_a_buffer_depends_on_records_alone() -> None:
    buffer = CombineBuffer(lambda key, values: iter([(key, sum(values))]))
    buffer.add(["a", "b", "a"], [1, 2, 3])
    first = buffer.held_bytes
    buffer.add(["a", "b", "a"], [1, 2, 3])
    assert 0 < buffer.held_bytes - first < first, "known keys are not charged again"
    assert buffer.drain().rows() == [("a", 8), ("b", 4)]
    assert buffer.held_bytes == 0
