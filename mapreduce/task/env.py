"""What a task may ask of the world around it: files, and an ear for its progress.

The same task code runs over local files (inline), over a socket to a worker (task process)
and over memory (simulation); only the `TaskEnv` differs. Its rules:

* Every file is a plain blocking binary file; the task closes what it opened or created.
* Input, map outputs and scratch files are only read forward; a copy of the input is also seeked.
* What a task created is visible to nobody until its attempt is committed by its runner. After
  an error the runner discards it all; the task cleans nothing up.
* A failure of the environment is raised as DfsError or OSError and ends the attempt; it is
  never blamed on user code.
"""

from __future__ import annotations

from typing import BinaryIO, Protocol


class TaskEnv(Protocol):
    """Files and progress of one attempt."""

    def open_input(self, path: str, offset: int) -> BinaryIO:
        """The input file from byte `offset` to its end; `read(n)` may return fewer bytes."""
        ...

    def create_scratch(self, name: str) -> BinaryIO:
        """A new private file, for writing."""
        ...

    def open_scratch(self, name: str) -> BinaryIO:
        """A private file written and closed before, for reading and seeking."""
        ...

    def remove_scratch(self, name: str) -> None:
        """The private file is not needed any more."""
        ...

    def create_map_output(self) -> BinaryIO:
        """The run file that this map leaves to the reducers, for writing."""
        ...

    def open_map_output(self, map_index: int) -> BinaryIO:
        """This reducer's segment of one map's run file: exactly the bytes that
        `mapreduce.shuffle.run_index.read_entry` gives for the partition. May block until
        the map has finished and its segment is fetched."""
        ...

    def create_output(self, name: str) -> BinaryIO:
        """The part file `name`, for writing."""
        ...

    def progress(self, records: int, fraction: float, status: str) -> None:
        """Records read so far, the share of the input read (0 to 1) and the user's status
        text. Called at most once every few thousand records; raises to stop the task."""
        ...
