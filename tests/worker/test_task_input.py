"""A map's input as its task reads it: the same bytes wherever chunks lie and whatever breaks."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.client.read_file import OpenChunk
from dfs.errors import Corrupt, ProtocolError
from dfs.limits import MIB, SLICE_BYTES
from mapreduce.job import FileSplit, JobSpec, MapTask, StepSpec
from mapreduce.worker.segments import Segments
from mapreduce.worker.serving import TaskService
from mapreduce.worker.task_input import TaskInput
from mapreduce.worker.task_messages import Failed, OpenInput, Question, ToTask
from mapreduce.worker.work import RunAttempt
from tests.worker.map_inputs import ChunkedInput, open_descriptors

STEP = StepSpec(1, False, False)
TASK = MapTask("j-1", 0, 0, 1, FileSplit("/in", 0, 10, 10), STEP)
ORDER = RunAttempt(TASK, JobSpec("j", "0", "job.py", "", {}, (STEP,)), {}, "/.jobs/a", 5)
CONTENT = random.Random(1).randbytes(5 * SLICE_BYTES + 321)


class Talk:
    """A task that asks, and its worker's service, without a socket between them. Descriptors of the
    chunks in ``lost`` do not arrive."""

    def __init__(self, source: ChunkedInput) -> None:
        storage: Any = self
        self._service = TaskService(ORDER, storage, Segments(Path("/nonexistent")))
        self._source = source
        self.lost: set[int] = set()
        self.descriptor: int | None = None
        """The one that came last and was not taken, open or closed by now."""
        self._arrived: int | None = None
        self.ask(OpenInput(1, "/in"))

    def open_input(self, path: str, inode: int) -> ChunkedInput:
        return self._source

    def ask(self, question: Question) -> tuple[ToTask, bytearray]:
        answer = self._service.answer(question, bytearray())
        assert answer is not None
        assert not isinstance(answer.message, Failed), answer
        if answer.file is not None:
            if self._source.number_at(question.offset) not in self.lost:  # type: ignore[union-attr]
                self._arrived = self.descriptor = os.dup(answer.file.fileno())
            answer.close()
        return answer.message, bytearray(answer.payload)

    def take(self) -> int | None:
        taken, self._arrived = self._arrived, None
        return taken

    def input(self, offset: int) -> TaskInput:
        return TaskInput(self.ask, self.take, 1, offset)


def chunks_sent(source: ChunkedInput) -> set[int]:
    """The chunks of which bytes came from the worker."""
    return {source.number_at(at) for at, _ in source.sent}


@pytest.mark.parametrize("offset", [0, 1, SLICE_BYTES, 2 * SLICE_BYTES - 1, len(CONTENT)])
def test_chunks_of_this_machine_are_read_here(tmp_path: Path, offset: int) -> None:
    source = ChunkedInput(tmp_path, CONTENT, 2 * SLICE_BYTES)
    before = open_descriptors()
    with io.BufferedReader(Talk(source).input(offset), MIB) as file:
        assert file.read() == CONTENT[offset:]
    assert source.sent == []
    assert source.closed
    assert open_descriptors() == before


def test_a_large_chunk_is_read_in_pieces(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(2 * MIB + 5)
    source = ChunkedInput(tmp_path, content, 4 * MIB)
    file = Talk(source).input(7)
    first = file.read(2 * MIB)
    assert first is not None
    assert len(first) == MIB - 7  # to the end of the first piece of the chunk
    assert first + file.readall() == content[7:]
    file.close()


def test_behind_a_damaged_slice_the_worker_sends_the_rest_of_the_chunk(tmp_path: Path) -> None:
    content = random.Random(3).randbytes(5 * MIB)
    source = ChunkedInput(tmp_path, content, 2 * MIB)
    source.damage(2, MIB + 5)
    with Talk(source).input(0) as file:
        assert file.readall() == content
    assert source.sent == [(3 * MIB, MIB)]


def test_a_replica_that_is_another_one_is_not_believed(tmp_path: Path) -> None:
    source = ChunkedInput(tmp_path, CONTENT, 2 * SLICE_BYTES)
    source.path(1).write_bytes(source.path(2).read_bytes())
    with Talk(source).input(0) as file:
        assert file.readall() == CONTENT
    assert chunks_sent(source) == {1}


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_descriptor_that_is_gone_or_another_file_is_a_fault(
    tmp_path: Path, is_replaced: bool
) -> None:
    content = random.Random(4).randbytes(2 * MIB)
    source = ChunkedInput(tmp_path, content, 2 * MIB)
    talk = Talk(source)
    with talk.input(0) as file, Path("/dev/null").open("rb") as other:
        first = file.read(1) or b""
        assert talk.descriptor is not None
        if is_replaced:
            os.dup2(other.fileno(), talk.descriptor)
        else:
            os.close(talk.descriptor)
        assert first + file.readall() == content
    assert source.sent == [(MIB, MIB)]


def test_the_worker_has_the_last_word_on_a_fault(tmp_path: Path) -> None:
    class Damaged(ChunkedInput):
        def read(self, offset: int, length: int) -> bytes:
            raise Corrupt("no good replica", "/in")

    source = Damaged(tmp_path, CONTENT, len(CONTENT))
    source.damage(1, 0)
    talk = Talk(source)
    with pytest.raises(AssertionError, match="no good replica"):
        talk.input(0).read(1)


def test_a_chunk_that_lies_elsewhere_in_the_file_is_no_answer(tmp_path: Path) -> None:
    class Confused(ChunkedInput):
        def open_chunk(self, offset: int) -> OpenChunk | None:
            return super().open_chunk(0)

    source = Confused(tmp_path, CONTENT, SLICE_BYTES)
    with pytest.raises(ProtocolError, match="does not lie in"):
        Talk(source).input(SLICE_BYTES).read(1)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_place_of_the_chunks_gives_the_same_bytes(data: st.DataObject) -> None:
    content = CONTENT[: data.draw(st.integers(1, len(CONTENT)))]
    chunk_bytes = data.draw(st.sampled_from([4096, 5000, SLICE_BYTES, 100_000, 200_000]))
    offset = data.draw(st.integers(0, len(content)))
    numbers = st.sets(st.integers(1, -(-len(content) // chunk_bytes)), max_size=5)
    before = open_descriptors()
    with tempfile.TemporaryDirectory() as folder:
        source = ChunkedInput(Path(folder), content, chunk_bytes)
        source.away, damaged = data.draw(numbers), data.draw(numbers)
        talk = Talk(source)
        talk.lost = data.draw(numbers)
        for number in damaged:
            source.damage(number, 0)
        got = bytearray()
        with io.BufferedReader(talk.input(offset), data.draw(st.integers(1, 200_000))) as file:
            while piece := file.read(data.draw(st.integers(1, len(content)))):
                got += piece
    assert got == content[offset:]
    assert chunks_sent(source) <= source.away | talk.lost | damaged
    assert chunks_sent(source) >= {
        n for n in source.away | talk.lost if n > offset // chunk_bytes + 1
    }
    assert open_descriptors() == before


def test_what_comes_as_bytes_is_no_more_than_a_message(tmp_path: Path) -> None:
    source = ChunkedInput(tmp_path, bytes(3 * MIB), 3 * MIB)
    source.away = {1}
    with Talk(source).input(0) as file:
        assert file.readall() == bytes(3 * MIB)
    assert source.sent == [(0, MIB), (MIB, MIB), (2 * MIB, MIB)]


def test_a_task_process_starts_without_sockets_of_the_cluster() -> None:
    script = (
        "import sys, mapreduce.worker.task_process\n"
        "print([n for n in ('zmq', 'lmdb', 'dfs.wire.codec', 'dfs.disk') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
