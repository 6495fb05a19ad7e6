"""A job, its tasks and what tasks report, as plain values: what the wire and the log carry.

Nothing here knows the user's code. A job names it by the digest of its bundle, and only a
task process opens that. The tasks of a job are a pure function of its `JobSpec` and its
splits, never of nodes, so every runner makes the same tasks and the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from string import hexdigits

import msgspec

from dfs.errors import BadArgument
from dfs.quantities import parse_size
from mapreduce.limits import SIDE_FILES_MAX, SIDE_FILES_MAX_BYTES
from mapreduce.side_output import side_part

DEFAULT_PARTITIONS = 4
MAX_PARTITIONS = 10_000
MIN_SPILL_BYTES = 1 << 10
DIGEST_BYTES = 32
"""Size of the digests that name bundles and side files."""
PRIORITY_MAX = 100

ParamValue = bool | int | float | str
"""What a parameter of a job may be."""

Counters = dict[str, dict[str, int]]
"""Group, name, count."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the engine for one job (`-D` on the command line)."""

    split_bytes: int = 0
    """Size of a split; 0 means the chunk size of each input file."""
    spill_bytes: int = 100 << 20
    """What a map task may hold in memory, by count of records and bytes, before it spills."""
    priority: int = 0
    """Jobs of higher priority get free slots first; ``-PRIORITY_MAX`` to ``PRIORITY_MAX``."""


class FileSplit(msgspec.Struct, frozen=True):
    """A byte range of an input file; records belong to the split in which they begin."""

    path: str
    start: int
    length: int
    file_bytes: int
    input: int = 0
    """Which of the inputs that the job names itself it belongs to."""

    @property
    def end(self) -> int:
        """The offset behind the last byte in which a record of this split may begin."""
        return self.start + self.length


class StepSpec(msgspec.Struct, frozen=True):
    """One map phase and, with a reducer, one reduce phase behind it."""

    partitions: int
    has_combiner: bool
    has_reducer: bool

    @property
    def output_prefix(self) -> str:
        """How the names of the step's part files begin."""
        return "part-r" if self.has_reducer else "part-m"


class SideFile(msgspec.Struct, frozen=True):
    """A file that the caller ships with the job."""

    name: str
    """What the job's code calls it."""
    digest: str
    """BLAKE2b digest (hex) of what it holds."""
    size_bytes: int


class JobSpec(msgspec.Struct, frozen=True):
    """A job as it is submitted: everything but its inputs and its output."""

    name: str
    bundle: str
    """BLAKE2b digest (hex) of the bundle that holds the user's code."""
    entry: str
    """Name of the job file inside the bundle."""
    class_name: str
    """The Job class in the entry file; '' for a file with module-level functions."""
    params: dict[str, ParamValue]
    steps: tuple[StepSpec, ...]
    settings: Settings = Settings()
    collect: bool = False
    """There is no output path: parts hold exact records for the caller, not text."""
    cuts: tuple[bytes, ...] = ()
    """Cut points of the first step's partitions, where it has `TotalOrder`."""
    files: tuple[SideFile, ...] = ()


class MapTask(msgspec.Struct, frozen=True):
    """One attempt at the map of one split."""

    job_id: str
    step: int
    index: int
    attempt: int
    split: FileSplit
    spec: StepSpec
    settings: Settings = Settings()
    collect: bool = False
    is_last: bool = True
    """Is the step the job's last? Else its parts are what the next one reads."""

    @property
    def name(self) -> str:
        """The name of the task, as people see it: `m-00017`."""
        return task_name(self.step, "m", self.index)

    @property
    def is_exact(self) -> bool:
        """Do its parts hold exact records?"""
        return self.collect or not self.is_last

    @property
    def part_name(self) -> str:
        """The part that the task leaves, '' if it leaves a run to reducers."""
        return "" if self.spec.has_reducer else part_name(self.spec, self.index)

    @property
    def side_part(self) -> str:
        """The name of its file in each side output; '' for a job without output path, whose side
        outputs are dropped."""
        return "" if self.collect else side_part("m", self.step, self.index, self.is_last)


class ReduceTask(msgspec.Struct, frozen=True):
    """One attempt at the reduce of one partition of all maps."""

    job_id: str
    step: int
    index: int
    """The partition."""
    attempt: int
    map_count: int
    spec: StepSpec
    settings: Settings = Settings()
    collect: bool = False
    is_last: bool = True
    """Is the step the job's last? Else its parts are what the next one reads."""

    @property
    def name(self) -> str:
        """The name of the task, as people see it: `r-00003`."""
        return task_name(self.step, "r", self.index)

    @property
    def is_exact(self) -> bool:
        """Do its parts hold exact records?"""
        return self.collect or not self.is_last

    @property
    def part_name(self) -> str:
        """The part that the task leaves."""
        return part_name(self.spec, self.index)

    @property
    def side_part(self) -> str:
        """The name of its file in each side output; '' for a job without output path, whose side
        outputs are dropped."""
        return "" if self.collect else side_part("r", self.step, self.index, self.is_last)


class MapOutcome(msgspec.Struct, frozen=True):
    """What a successful map attempt reports."""

    counters: Counters
    partition_records: tuple[int, ...]
    """Records in the run file, by partition; empty for a map-only task."""
    output_bytes: int
    """Size of all segments of the run file, or of the part of a map-only task."""
    key_type: str = ""
    """Type of the keys in the run file; '' if there are none."""


class ReduceOutcome(msgspec.Struct, frozen=True):
    """What a successful reduce attempt reports."""

    counters: Counters
    input_records: int
    output_bytes: int


class Failure(msgspec.Struct, frozen=True):
    """Why user code failed, for people and for the decision whether to try again."""

    phase: str
    """mapper, combiner, reducer, partition, a hook, or loading."""
    error: str
    """Type and message of the exception, one line."""
    traceback: str
    """The user's own frames, as Python prints them."""
    path: str = ""
    """The input file, '' if the failure has none (a reducer)."""
    offset: int = -1
    """Byte offset of the record in the input file, -1 if unknown."""
    record: str = ""
    """The record or key at fault, as bounded `repr`."""
    signature: str = ""
    """Equal for the same fault in another attempt: exception type, file, line, record."""

    def describe(self) -> str:
        """Traceback first, then one line that says where in the input it happened."""
        place = f"in the {self.phase}"
        if self.path:
            place += f", input {self.path}"
        if self.offset >= 0:
            place += f", byte offset {self.offset}"
        if self.record:
            place += f", record {self.record}"
        return f"{self.traceback.rstrip()}\n{place}" if self.traceback else f"{self.error} {place}"


def part_name(step: StepSpec, index: int) -> str:
    """`part-r-00003` or `part-m-00017`."""
    return f"{step.output_prefix}-{index:05d}"


def task_name(step: int, letter: str, index: int) -> str:
    """`m-00017` or `r-00003`; of a later step with its number, counted from 1: `2:m-00017`."""
    return f"{step + 1}:{letter}-{index:05d}" if step else f"{letter}-{index:05d}"


def parse_settings(given: Mapping[str, str | int]) -> Settings:
    """Settings from the caller's names and values; sizes may be text such as `64M`.

    Raises BadArgument for an unknown name (with the nearest one) or a value out of range.
    """
    values: dict[str, int] = {}
    for name, value in given.items():
        if name not in Settings.__struct_fields__:
            known = Settings.__struct_fields__
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise BadArgument(f"unknown setting {name!r}: {hint}")
        if name == "priority":
            values[name] = check_priority(value)
            continue
        values[name] = parse_size(value) if isinstance(value, str) else value
    settings = Settings(**values)
    if settings.split_bytes < 0 or settings.spill_bytes < MIN_SPILL_BYTES:
        raise BadArgument(
            f"split_bytes must not be negative and spill_bytes at least {MIN_SPILL_BYTES}"
        )
    return settings


def check_priority(value: str | int) -> int:
    """A priority, given as a number or its text; raises BadArgument."""
    try:
        priority = int(value)
    except ValueError:
        priority = PRIORITY_MAX + 1
    if not -PRIORITY_MAX <= priority <= PRIORITY_MAX:
        raise BadArgument(
            f"priority is {value!r}: a whole number from {-PRIORITY_MAX} to {PRIORITY_MAX}"
        )
    return priority


def check_side_files(files: Sequence[SideFile]) -> None:
    """Raise BadArgument unless a job may ship these files."""
    if len(files) > SIDE_FILES_MAX or sum(f.size_bytes for f in files) > SIDE_FILES_MAX_BYTES:
        raise BadArgument(
            f"a job ships at most {SIDE_FILES_MAX} files and {SIDE_FILES_MAX_BYTES >> 30}G in all:"
            " put large data into the DFS"
        )
    for file in files:
        if file.name in ("", ".", "..") or "/" in file.name or "\0" in file.name:
            raise BadArgument(f"{file.name!r} is no name of a side file")
        if len(file.digest) != 2 * DIGEST_BYTES or not set(file.digest) <= set(hexdigits):
            raise BadArgument(f"{file.name}: {file.digest[:8]!r} is no digest")


def check_partitions(partitions: int) -> int:
    """`partitions` if a job may have so many; raises BadArgument."""
    if not 1 <= partitions <= MAX_PARTITIONS:
        raise BadArgument(f"{partitions} partitions: a job has 1 to {MAX_PARTITIONS}")
    return partitions
