"""What a task may ask of its worker, and what it may not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dfs.client.read_file import OpenChunk
from dfs.datanode.chunkfile import HEADER_BYTES
from dfs.errors import BadArgument, Corrupt, NotFound, StorageFault, Unavailable
from mapreduce.job import FileSplit, JobSpec, MapTask, StepSpec
from mapreduce.limits import SIDE_OUTPUTS_MAX
from mapreduce.worker.segments import Segments
from mapreduce.worker.serving import Answer, TaskService, replication_of
from mapreduce.worker.task_messages import (
    ChunkHere,
    CloseInput,
    CloseOutput,
    CreateOutput,
    Data,
    Done,
    Failed,
    FromTask,
    OpenInput,
    OpenSegment,
    Progress,
    Question,
    ReadInput,
    WriteOutput,
)
from mapreduce.worker.work import RunAttempt
from tests.worker.map_inputs import BytesInput, ChunkedInput

STEP = StepSpec(1, False, False)
TASK = MapTask("j-1", 0, 0, 1, FileSplit("/in", 0, 10, 10), STEP)
ORDER = RunAttempt(TASK, JobSpec("j", "0", "job.py", "", {}, (STEP,)), {}, "/.jobs/a", 5)


class OneOutput:
    """Keeps what happened to one file."""

    def __init__(self, error: Exception | None) -> None:
        self.content = b""
        self.state = "open"
        self._error = error

    def write(self, data: bytearray) -> None:
        if self._error is not None:
            raise self._error
        self.content += data

    def close(self) -> None:
        self.state = "closed"

    def discard(self) -> None:
        self.state = "discarded"


class OneFile:
    """A ``Storage`` with one input."""

    def __init__(self) -> None:
        self.input = BytesInput(b"0123456789")
        self.outputs: dict[str, OneOutput] = {}
        self.write_error: Exception | None = None

    def open_input(self, path: str, inode: int) -> BytesInput:
        assert (path, inode) == ("/in", 5)
        return self.input

    def create_output(self, path: str, replication: int) -> OneOutput:
        self.outputs[path] = OneOutput(self.write_error)
        return self.outputs[path]

    def read(self, path: str) -> bytes:
        raise AssertionError("a task opens files, it does not read them whole")


class BrokenInput(BytesInput):
    """A file that cannot be read."""

    def __init__(self, error: Exception) -> None:
        super().__init__(b"")
        self._error = error

    def read(self, offset: int, length: int) -> bytes:
        raise self._error


@pytest.fixture
def storage() -> OneFile:
    return OneFile()


@pytest.fixture
def service(storage: OneFile, tmp_path: Path) -> TaskService:
    return TaskService(ORDER, storage, Segments(tmp_path))


def ask(service: TaskService, question: Question, payload: bytes = b"") -> object:
    answer = service.answer(question, bytearray(payload))
    return None if answer is None else answer.message


def refused(service: TaskService, question: Question, number: int = BadArgument.number) -> str:
    answer = ask(service, question)
    assert isinstance(answer, Failed)
    assert answer.number == number
    return answer.text


def test_input_is_read_from_any_offset_to_its_end(service: TaskService) -> None:
    assert ask(service, OpenInput(1, "/in")) == Done()
    assert service.answer(ReadInput(1, 3), bytearray()) == Answer(Data(), b"3456789")
    assert service.answer(ReadInput(1, 10), bytearray()) == Answer(Data())
    assert ask(service, CloseInput(1)) == Done()
    refused(service, ReadInput(1, 0))


def test_a_chunk_of_this_machine_is_handed_over(
    service: TaskService, storage: OneFile, tmp_path: Path
) -> None:
    storage.input = chunks = ChunkedInput(tmp_path, b"0123456789", 4)
    ask(service, OpenInput(1, "/in"))
    answer = service.answer(ReadInput(1, 5), bytearray())
    assert answer is not None
    assert answer.message == ChunkHere(4, "c", 2, 1, 4, chunks.facts[2].digest)
    assert answer.payload == b""
    assert answer.file is not None
    assert answer.file.read_at(HEADER_BYTES, 4) == b"4567"
    answer.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        answer.file.read_at(0, 1)
    assert service.answer(ReadInput(1, 5, True), bytearray()) == Answer(Data(), b"567")
    chunks.away.add(3)
    assert service.answer(ReadInput(1, 8), bytearray()) == Answer(Data(), b"89")


def test_a_chunk_that_cannot_be_located_is_input_that_failed(
    service: TaskService, storage: OneFile
) -> None:
    class Lost(BytesInput):
        def open_chunk(self, offset: int) -> OpenChunk | None:
            raise NotFound("/in was replaced", "/in")

    storage.input = Lost(b"")
    ask(service, OpenInput(1, "/in"))
    refused(service, ReadInput(1, 0), NotFound.number)
    assert service.input_failed


@pytest.mark.parametrize("offset", [-1, 1 << 62, 1 << 63])
def test_offsets_are_those_of_files(offset: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(ReadInput(1, offset)), type=FromTask)


def test_other_files_are_refused(service: TaskService) -> None:
    assert "its own input" in refused(service, OpenInput(1, "/secret"))
    assert "not a part of" in refused(service, CreateOutput(1, "../x"))
    refused(service, CloseOutput(1))


def test_input_that_fails_is_remembered(service: TaskService, storage: OneFile) -> None:
    storage.input = BrokenInput(Corrupt("no good replica", "/in"))
    ask(service, OpenInput(1, "/in"))
    refused(service, ReadInput(1, 0), Corrupt.number)
    assert service.input_failed


def test_a_part_is_there_when_it_was_closed(service: TaskService, storage: OneFile) -> None:
    assert ask(service, CreateOutput(1, "part-m-00000")) == Done()
    assert ask(service, WriteOutput(1), b"abc") is None
    assert ask(service, WriteOutput(1), b"de") is None
    assert ask(service, CloseOutput(1)) == Done()
    output = storage.outputs["/.jobs/a/part-m-00000"]
    assert (output.content, output.state) == (b"abcde", "closed")
    assert service.files == ["part-m-00000"]


def test_side_outputs_are_few_and_of_the_task(service: TaskService, storage: OneFile) -> None:
    for n in range(SIDE_OUTPUTS_MAX + 1):
        name = f"{n}/part-m-00000" if n else "part-m-00000"
        assert ask(service, CreateOutput(n, name)) == Done()
        assert ask(service, CloseOutput(n)) == Done()
    assert storage.outputs["/.jobs/a/7/part-m-00000"].state == "closed"
    assert "at most 32" in refused(service, CreateOutput(99, "more/part-m-00000"))
    assert "a file once" in refused(service, CreateOutput(99, "7/part-m-00000"))
    for wrong in ("a/part-m-00001", "a/part-r-00000", "../part-m-00000", "_a/part-m-00000"):
        assert "not a part of" in refused(service, CreateOutput(99, wrong))


def test_only_what_lies_between_steps_has_one_replica() -> None:
    first = msgspec.structs.replace(TASK, is_last=False)
    assert replication_of(first, "part-m-00000") == 1
    assert replication_of(first, "errors/step-1-part-m-00000") == 0
    assert replication_of(TASK, "part-m-00000") == 0


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (Unavailable("too few datanodes"), Unavailable.number),
        (OSError(28, "too few bytes of a local disk"), StorageFault.number),
    ],
)
def test_a_write_that_fails_is_told_at_the_close(
    service: TaskService, storage: OneFile, error: Exception, number: int
) -> None:
    storage.write_error = error
    ask(service, CreateOutput(1, "part-m-00000"))
    assert ask(service, WriteOutput(1), b"abc") is None
    assert ask(service, WriteOutput(1), b"abc") is None
    assert "too few" in refused(service, CloseOutput(1), number)


def test_a_write_to_no_file_harms_nobody(service: TaskService) -> None:
    assert ask(service, WriteOutput(9), b"abc") is None
    refused(service, CloseOutput(9))


def test_what_was_left_open_is_discarded(service: TaskService, storage: OneFile) -> None:
    ask(service, OpenInput(1, "/in"))
    ask(service, CreateOutput(2, "part-m-00000"))
    ask(service, WriteOutput(2), b"abc")
    service.close()
    assert storage.input.closed
    assert storage.outputs["/.jobs/a/part-m-00000"].state == "discarded"


def test_a_local_disk_that_fails_is_told(service: TaskService, storage: OneFile) -> None:
    storage.input = BrokenInput(OSError(5, "Input/output error"))
    ask(service, OpenInput(1, "/in"))
    refused(service, ReadInput(1, 0), StorageFault.number)


def test_a_handle_is_used_once(service: TaskService) -> None:
    ask(service, OpenInput(1, "/in"))
    refused(service, OpenInput(1, "/in"))


def test_segments_of_a_stopped_attempt(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.close()
    service = TaskService(ORDER, OneFile(), segments)
    refused(service, OpenSegment(0), Unavailable.number)


def test_progress_is_kept(service: TaskService) -> None:
    assert ask(service, Progress(5, 0.5, "half")) is None
    assert service.progress == Progress(5, 0.5, "half")
