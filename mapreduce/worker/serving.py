"""Answers the questions of one task: its input, its output, the segments that it merges.

The task asks one thing at a time and is not trusted: it reads only its own input, writes only
names of its own parts into the folder of its attempt, and holds few files. A file that it
never closed, because it failed or died, is discarded with ``close``.

What lies in a chunk of its input that a datanode of this machine has, it reads itself: it gets the
chunk's open file, and no other.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple, Protocol, TypeVar

from dfs.client.read_file import OpenChunk
from dfs.disk import LocalFile
from dfs.errors import BadArgument, DfsError, StorageFault, Unavailable
from mapreduce.job import MapTask, ReduceTask
from mapreduce.limits import SIDE_OUTPUTS_MAX
from mapreduce.side_output import check_file
from mapreduce.worker.segments import Segments
from mapreduce.worker.task_messages import (
    READ_BYTES,
    ChunkHere,
    CloseInput,
    CloseOutput,
    CreateOutput,
    Data,
    Done,
    Failed,
    OpenInput,
    OpenSegment,
    Progress,
    Question,
    ReadInput,
    SegmentAt,
    ToTask,
    WriteOutput,
)
from mapreduce.worker.work import RunAttempt

OPEN_FILES_MAX = 64
REPLICAS_BETWEEN_STEPS = 1
"""What one step leaves to the next can be made again."""

T = TypeVar("T")


class Answer(NamedTuple):
    """What the task is told, with bytes or with an open file. The task gets a descriptor of its
    own: this one is to be closed once the answer is sent, or cannot be."""

    message: ToTask
    payload: bytes = b""
    file: LocalFile | None = None

    def close(self) -> None:
        """The answer was sent, or nobody hears it any more."""
        if self.file is not None:
            self.file.close()


_DONE = Answer(Done())


class InputFile(Protocol):
    """A file that a map reads; errors are as in ``TaskFiles``."""

    def open_chunk(self, offset: int) -> OpenChunk | None:
        """The open file of the chunk that holds a byte, where one is to be had here."""

    def read(self, offset: int, length: int) -> bytes:
        """At most so many bytes from an offset on; none at the end."""

    def close(self) -> None:
        """It is not read any more."""


class OutputFile(Protocol):
    """A file being written to the DFS."""

    def write(self, data: bytearray) -> object:
        """Append."""

    def close(self) -> None:
        """Make it a file, durably."""

    def discard(self) -> None:
        """It shall never have been."""


class TaskFiles(Protocol):
    """What a task's input is read from and its parts are written to; errors are DfsError and,
    where files of this machine are meant, OSError."""

    def open_input(self, path: str, inode: int) -> InputFile:
        """A file. Raises NotFound when the path names another inode."""

    def create_output(self, path: str, replication: int) -> OutputFile:
        """A new file with so many replicas, 0: the cluster's default; what has the name is
        replaced when it is closed."""


class WholeFiles(Protocol):
    """What the code and the side files of jobs are read from; errors are DfsError and, where files
    of this machine are meant, OSError."""

    def read(self, path: str) -> bytes:
        """A whole, small file."""

    def open(self, path: str) -> BinaryIO:
        """A file, to be read forward."""


class Storage(TaskFiles, WholeFiles, Protocol):
    """What a worker needs of the DFS."""


class TaskService:
    """Serves one attempt, in one thread."""

    def __init__(self, order: RunAttempt, storage: TaskFiles, segments: Segments) -> None:
        self._order = order
        self._storage = storage
        self._segments = segments
        self._inputs: dict[int, InputFile] = {}
        self._outputs: dict[int, OutputFile] = {}
        self._write_errors: dict[int, DfsError | OSError] = {}
        self.progress = Progress(0, 0.0, "")
        self.input_failed = False
        """Did reading the input fail?"""
        self.files: list[str] = []
        """Names of the parts that are complete."""

    def answer(self, question: Question, payload: bytearray) -> Answer | None:
        """The answer to a question, None if it needs none."""
        try:
            return self._answer(question, payload)
        except DfsError as error:
            return Answer(Failed(error.number, error.message, error.path))
        except OSError as error:
            return Answer(Failed(StorageFault.number, f"{type(error).__name__}: {error}"))

    def close(self) -> None:
        """Discard what the task left open."""
        for file in self._inputs.values():
            file.close()
        for output in self._outputs.values():
            output.discard()
        self._inputs.clear()
        self._outputs.clear()

    def _answer(self, question: Question, payload: bytearray) -> Answer | None:
        match question:
            case OpenInput():
                return self._open_input(question)
            case ReadInput():
                return self._read_input(question)
            case CloseInput():
                _take(self._inputs, question.handle).close()
                return _DONE
            case OpenSegment():
                return self._open_segment(question)
            case CreateOutput():
                return self._create_output(question)
            case WriteOutput():
                self._write_output(question, payload)
                return None
            case CloseOutput():
                return self._close_output(question)
            case Progress():
                self.progress = question
                return None

    def _open_input(self, question: OpenInput) -> Answer:
        task = self._order.task
        if not isinstance(task, MapTask) or question.path != task.split.path:
            raise BadArgument("a task reads its own input only", question.path)
        _check_handle(question.handle, self._inputs)
        try:
            file = self._storage.open_input(question.path, self._order.inode)
        except DfsError:
            self.input_failed = True
            raise
        self._inputs[question.handle] = file
        return _DONE

    def _read_input(self, question: ReadInput) -> Answer:
        file = _get(self._inputs, question.handle)
        try:
            chunk = None if question.as_bytes else file.open_chunk(question.offset)
            if chunk is not None:
                return Answer(ChunkHere(chunk.start, *chunk.facts), file=chunk.file)
            return Answer(Data(), file.read(question.offset, READ_BYTES))
        except DfsError:
            self.input_failed = True
            raise

    def _open_segment(self, question: OpenSegment) -> Answer:
        place = self._segments.wait(question.map_index)
        if place is None:
            raise Unavailable("the attempt is being stopped")
        return Answer(SegmentAt(str(place.path), place.offset))

    def _create_output(self, question: CreateOutput) -> Answer:
        task, name = self._order.task, question.name
        check_file(name, task.part_name, task.side_part)
        if name in self.files or len(self.files) > SIDE_OUTPUTS_MAX:
            raise BadArgument(f"{name}: a task writes a file once, and at most {SIDE_OUTPUTS_MAX}")
        _check_handle(question.handle, self._outputs)
        path = f"{self._order.folder}/{name}"
        made = self._storage.create_output(path, replication_of(task, name))
        self._outputs[question.handle] = made
        self.files.append(name)
        return _DONE

    def _write_output(self, question: WriteOutput, payload: bytearray) -> None:
        """Errors wait for the close: the task does not listen before."""
        if question.handle in self._write_errors:
            return
        try:
            _get(self._outputs, question.handle).write(payload)
        except (DfsError, OSError) as error:
            self._write_errors[question.handle] = error

    def _close_output(self, question: CloseOutput) -> Answer:
        error = self._write_errors.get(question.handle)
        if error is not None:
            raise error
        _get(self._outputs, question.handle).close()
        del self._outputs[question.handle]
        return _DONE


def replication_of(task: MapTask | ReduceTask, name: str) -> int:
    """How many replicas a file of a task gets, 0: the cluster's default."""
    is_between = name == task.part_name and not task.is_last
    return REPLICAS_BETWEEN_STEPS if is_between else 0


def _check_handle(handle: int, files: dict[int, InputFile] | dict[int, OutputFile]) -> None:
    if handle in files or len(files) >= OPEN_FILES_MAX:
        raise BadArgument(f"a task may have {OPEN_FILES_MAX} files open, each under its own handle")


def _get(files: dict[int, T], handle: int) -> T:
    if handle not in files:
        raise BadArgument(f"there is no open file {handle}")
    return files[handle]


def _take(files: dict[int, T], handle: int) -> T:
    file = _get(files, handle)
    del files[handle]
    return file
