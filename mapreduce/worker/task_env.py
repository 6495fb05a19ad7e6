"""The environment of a task in its own process: private files here, the rest by the worker.

Scratch files, and the run file that a map leaves, are plain files of the attempt's folder.
Outputs of the DFS go through the worker, which has the connections and the keys, and so do inputs,
unless they lie on this machine (see ``task_input``); the segments that a reducer merges are fetched
by the worker into the attempt's folder.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from dfs.errors import ProtocolError, from_wire
from mapreduce.worker.channel import TakingChannel
from mapreduce.worker.task_input import Ask, TaskInput
from mapreduce.worker.task_messages import (
    READ_BYTES,
    ChunkHere,
    CloseOutput,
    CreateOutput,
    Data,
    Done,
    Failed,
    OpenInput,
    OpenSegment,
    Progress,
    Question,
    SegmentAt,
    ToTask,
    WriteOutput,
)

Tell = Callable[[WriteOutput, "bytes | memoryview"], None]


class WorkerEnv:
    """A ``TaskEnv`` over the channel to the worker. Errors: ``DfsError``, ``ChannelClosed``."""

    def __init__(
        self, channel: TakingChannel[Any], folder: Path, run_path: Path | None = None
    ) -> None:
        self._channel = channel
        self._folder = folder
        self._run_path = run_path
        self._handles = 0

    def open_input(self, path: str, offset: int) -> BinaryIO:
        """A file of the DFS from a byte on."""
        handle = self._new_handle()
        self._ask(OpenInput(handle, path))
        file = TaskInput(self._ask, self._channel.take_descriptor, handle, offset)
        return io.BufferedReader(file, READ_BYTES)

    def create_scratch(self, name: str) -> BinaryIO:
        """A new private file."""
        return (self._folder / name).open("xb")

    def open_scratch(self, name: str) -> BinaryIO:
        """A private file written before."""
        return (self._folder / name).open("rb")

    def remove_scratch(self, name: str) -> None:
        """Remove a private file."""
        (self._folder / name).unlink()

    def create_map_output(self) -> BinaryIO:
        """The run file of this map."""
        assert self._run_path is not None, "only a map leaves a run"
        return self._run_path.open("xb")

    def open_map_output(self, map_index: int) -> BinaryIO:
        """This reducer's segment of one map's run; waits until the worker has it here."""
        answer, _ = self._ask(OpenSegment(map_index))
        if not isinstance(answer, SegmentAt):
            raise ProtocolError(f"{answer} is no answer to OpenSegment")
        path = Path(answer.path)
        file = path.open("rb")
        file.seek(answer.offset)
        return file

    def create_output(self, name: str) -> BinaryIO:
        """A part file of this attempt in the DFS."""
        handle = self._new_handle()
        self._ask(CreateOutput(handle, name))
        return io.BufferedWriter(_Output(self._ask, self._tell, handle), READ_BYTES)

    def progress(self, records: int, fraction: float, status: str) -> None:
        """Tell the worker that the task lives and how far it is."""
        self._channel.send(Progress(records, fraction, status))

    def _new_handle(self) -> int:
        self._handles += 1
        return self._handles

    def _ask(self, question: Question) -> tuple[ToTask, bytearray]:
        self._channel.send(question)
        answer, payload = self._channel.receive()
        if isinstance(answer, Failed):
            raise from_wire(answer.number, answer.text, answer.path)
        if not isinstance(answer, Done | Data | SegmentAt | ChunkHere):
            raise ProtocolError(f"{type(answer).__name__} is no answer")
        return answer, payload

    def _tell(self, message: WriteOutput, payload: bytes | memoryview) -> None:
        self._channel.send(message, payload)


class _Output(io.RawIOBase):
    """A part file; errors of writing are raised when it is closed."""

    def __init__(self, ask: Ask, tell: Tell, handle: int) -> None:
        self._ask = ask
        self._tell = tell
        self._handle = handle

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for at in range(0, len(view), READ_BYTES):
            self._tell(WriteOutput(self._handle), view[at : at + READ_BYTES])
        return len(view)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._ask(CloseOutput(self._handle))
