"""mapper_raw: each file once, whole, readable in any order wherever it came from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import mapreduce as mr
from dfs.errors import BadArgument, Unavailable
from mapreduce.errors import UserCodeError
from mapreduce.job import FileSplit, MapTask
from mapreduce.loader import load_job
from mapreduce.task.map_task import run_map
from tests.mapreduce.memory_env import MemoryEnv


class Members(mr.Job):
    """Names and sizes of the members of zip files."""

    def mapper_raw(self, path: str, file: BinaryIO) -> Iterator[tuple[str, Any]]:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                yield path, (member.filename, archive.read(member).decode())


def zipped(members: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return data.getvalue()


class Pipe(io.BytesIO):
    """Can be read forward only."""

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation("seek")


class PipeEnv(MemoryEnv):
    """Inputs come through pipes."""

    def open_input(self, path: str, offset: int) -> BinaryIO:
        return Pipe(self.inputs[path])


class GoneEnv(MemoryEnv):
    """Inputs cannot be read."""

    def open_input(self, path: str, offset: int) -> BinaryIO:
        class Gone(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                raise Unavailable("no replica answers")

        return Gone(self.inputs[path])


def task(job: mr.Job, data: bytes) -> MapTask:
    split = FileSplit("in", 0, len(data), len(data))
    return MapTask("j", 0, 0, 1, split, job.describe_steps()[0], collect=True)


@pytest.mark.parametrize("kind", [MemoryEnv, PipeEnv])
def test_a_file_can_be_read_in_any_order(kind: type[MemoryEnv]) -> None:
    data = zipped({"a": "1", "b": "2" * 100})
    env = kind({"in": data}, {})
    outcome = run_map(task(Members(), data), Members(), env)
    assert outcome.counters["records"] == {"map_input": 1, "map_output": 2}
    assert env.scratch == {}
    shares = [share for _, share, _ in env.reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_each_file_is_one_call_whatever_the_splits(tmp_path: Path) -> None:
    class Sizes(mr.Job):
        def mapper_raw(self, path: str, file: BinaryIO) -> list[tuple[str, int]]:
            return [(path.rpartition("/")[2], sum(map(len, file)))]

    sizes = {"a": 0, "b": 10, "c": 3_000_000}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"x" * size)
    result = Sizes().run([str(tmp_path)], None, "inline", {"split_bytes": 1_000})
    assert list(result) == list(sizes.items())
    assert result.counters["records"]["map_input"] == 3
    assert Sizes().run_inline(["abc", "de"]) == [("lines", 7)]


def test_hooks_stand_around_a_raw_file() -> None:
    class Hooks(mr.Job):
        def mapper_init(self) -> None:
            self.seen = 0

        def mapper_raw(self, path: str, file: BinaryIO) -> None:
            self.seen += len(file.read())

        def mapper_final(self) -> Iterator[tuple[str, int]]:
            yield "bytes", self.seen

    assert Hooks().run_inline(["abc"]) == [("bytes", 4)]


def test_what_user_code_raises_is_told_with_the_file() -> None:
    with pytest.raises(UserCodeError) as caught:
        run_map(task(Members(), b"no zip"), Members(), MemoryEnv({"in": b"no zip"}, {}))
    failure = caught.value.failure
    assert (failure.phase, failure.path) == ("mapper_raw", "in")
    assert "BadZipFile" in failure.error


@pytest.mark.parametrize("swallows", [True, False])
def test_a_fault_of_the_input_is_not_the_users(swallows: bool) -> None:
    class Reads(mr.Job):
        def mapper_raw(self, path: str, file: BinaryIO) -> list[tuple[str, int]]:
            try:
                return [(path, len(file.read()))]
            except Exception:
                if swallows:
                    return []
                raise

    with pytest.raises(Unavailable, match="no replica answers"):
        run_map(task(Reads(), b"abc"), Reads(), GoneEnv({"in": b"abc"}, {}))


def test_two_ways_to_read_are_refused() -> None:
    class Two(Members):
        def mapper(self, key: Any, line: str) -> None: ...

    class Format(Members):
        input_format = mr.KeyValue

    with pytest.raises(BadArgument, match="Two has mapper and mapper_raw: keep one"):
        Two().run_inline(["x"])
    with pytest.raises(BadArgument, match="mapper_raw reads the file itself"):
        Format().run_inline(["x"])


def test_a_plain_function_reads_raw_files(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_text("def mapper_raw(path, file):\n    yield file.read(), 1\n", encoding="utf-8")
    assert load_job(str(path))().run_inline(["ab"]) == [(b"ab\n", 1)]
