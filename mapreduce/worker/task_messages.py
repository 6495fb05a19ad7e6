"""What a worker and a task process say to each other.

The worker speaks first: it opens a job once per process and then gives it tasks, one at a time.
While a task runs it asks, and each question has one answer before the next is asked, so that
neither side can wait for the other to make room. ``WriteOutput`` and ``Progress`` are not
answered; a write that failed is told when the output is closed. The last word of a task is
``Succeeded``, ``UserFailed`` or ``EnvironmentFailed``; then the process waits for another.

=====================  ==============================================  ====================
task                   meaning                                         answer
=====================  ==============================================  ====================
``Ready``              the process is warm, or the job is open
``OpenInput``          read a file of the DFS                          ``Done``, ``Failed``
``ReadInput``          the bytes at an offset; an empty payload is     ``Data``, ``Failed``,
                       the end                                         ``ChunkHere``
``CloseInput``         no more of this file                            ``Done``
``OpenSegment``        this partition of a map's run, once fetched     ``SegmentAt``,
                                                                       ``Failed``
``CreateOutput``       a part file of this attempt in the DFS          ``Done``, ``Failed``
``WriteOutput``        its next bytes
``CloseOutput``        it is complete                                  ``Done``, ``Failed``
=====================  ==============================================  ====================

``ChunkHere`` comes with a descriptor (SCM_RIGHTS) of the chunk's file, when a datanode of this
machine has it: the task reads and verifies the bytes of this chunk itself and asks again at its
end. If it cannot, whatever the reason, it asks for them ``as_bytes``.

Handles are numbers that the task chooses. ``Failed`` carries an error of ``dfs.errors`` by its
number; it fails the attempt and is not the fault of user code.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from mapreduce.job import Failure, JobSpec, MapOutcome, MapTask, ReduceOutcome, ReduceTask

READ_BYTES = 1 << 20
"""What one ``Data`` brings at most, and one ``WriteOutput`` carries."""

Offset: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
"""A byte of a file, as a task names it."""


class OpenJob(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Everything that follows belongs to this job; ``env`` are variables of its environment,
    ``memory_bytes`` is what its worker lets a task have, and ``files`` are the paths of its side
    files by name."""

    job: JobSpec
    bundle_path: str
    env: dict[str, str] = {}
    memory_bytes: int = 0
    files: dict[str, str] = {}


class StartMap(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Run one map; private files of the attempt lie in ``folder``, the run at ``run_path``."""

    task: MapTask
    folder: str
    run_path: str


class StartReduce(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Run one reduce; private files of the attempt lie in ``folder``."""

    task: ReduceTask
    folder: str


class Done(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """It is done."""


class Data(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The payload holds the bytes asked for."""


class SegmentAt(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The segment begins at this byte of a local file; its head says where it ends."""

    path: str
    offset: int


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The question could not be answered."""

    number: int
    text: str
    path: str = ""


class ChunkHere(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The byte asked for lies in a chunk whose open file comes with this.

    The chunk's first byte is byte ``start`` of the input; the rest is what its file must prove, see
    ``dfs.client.chunk_file``.
    """

    start: int
    cluster: str
    chunk: int
    generation: int
    length: int
    digest: bytes


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """The process waits for orders."""


class OpenInput(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """Open an input file."""

    handle: int
    path: str


class ReadInput(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """Bytes of an open input from ``offset`` on; ``as_bytes``: and no descriptor."""

    handle: int
    offset: Offset
    as_bytes: bool = False


class CloseInput(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """The input is not needed any more."""

    handle: int


class OpenSegment(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """Where is this reducer's segment of a map's run?"""

    map_index: int


class CreateOutput(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """Create a part file."""

    handle: int
    name: str


class WriteOutput(msgspec.Struct, frozen=True, array_like=True, tag=26):
    """The payload is what comes next in the part file."""

    handle: int


class CloseOutput(msgspec.Struct, frozen=True, array_like=True, tag=27):
    """The part file is complete."""

    handle: int


class Progress(msgspec.Struct, frozen=True, array_like=True, tag=28):
    """Records read, the share of the input read (0 to 1), and the user's status text."""

    records: int
    fraction: float
    status: str


class Succeeded(msgspec.Struct, frozen=True, array_like=True, tag=29):
    """The task is done; for a map or for a reduce."""

    map: MapOutcome | None = None
    reduce: ReduceOutcome | None = None


class UserFailed(msgspec.Struct, frozen=True, array_like=True, tag=30):
    """User code failed."""

    failure: Failure


class EnvironmentFailed(msgspec.Struct, frozen=True, array_like=True, tag=31):
    """Something around the user's code failed: input, disk, a damaged run.

    ``map_index`` names the map whose output is damaged, -1 if that is not the reason.
    """

    number: int
    text: str
    map_index: int = -1


Order: TypeAlias = OpenJob | StartMap | StartReduce
ToTask: TypeAlias = Order | Done | Data | SegmentAt | Failed | ChunkHere
Question: TypeAlias = (
    OpenInput
    | ReadInput
    | CloseInput
    | OpenSegment
    | CreateOutput
    | WriteOutput
    | CloseOutput
    | Progress
)
End: TypeAlias = Succeeded | UserFailed | EnvironmentFailed
FromTask: TypeAlias = Ready | Question | End
