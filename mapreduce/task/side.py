"""`to`, by which user code sends a record to a side output, and the writer of these outputs.

    yield mr.to("errors", line)

Such a record is an ordinary pair whose key says where it goes. It is taken out of its block
before the block goes on to a part or to the shuffle. No block is looked through before a
process has made the first such key: jobs without side outputs pay nothing.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

from mapreduce.conservation import check_conserved
from mapreduce.counters import TaskCounters
from mapreduce.errors import UserCodeError
from mapreduce.formats import OutputFormat
from mapreduce.formats.exact import Exact
from mapreduce.job import MapTask, ReduceTask
from mapreduce.job_class import Job
from mapreduce.limits import SIDE_OUTPUTS_MAX
from mapreduce.side_output import OUTPUTS, name_flaw
from mapreduce.task.env import TaskEnv
from mapreduce.task.failure import failure_of
from mapreduce.task.part_writer import PartWriter

Create = Callable[[str], BinaryIO]
"""Makes the task's file of the side output of this name."""


class SideKey:
    """The key of a record that goes to a side output."""

    __slots__ = ("key", "output")
    in_use = False
    """Has this process made one?"""

    def __init__(self, output: str, key: Any) -> None:
        SideKey.in_use = True
        self.output = output
        self.key = key

    def __repr__(self) -> str:
        return f"mr.to({self.output!r}, {self.key!r}, …)"

    def __reduce__(self) -> tuple[type[SideKey], tuple[str, Any]]:
        return SideKey, (self.output, self.key)


def to(name: str, *record: Any) -> tuple[SideKey, Any]:
    """A record for the side output `name`, to be yielded by a mapper or a reducer: `to(name,
    value)` or `to(name, key, value)`. Raises ValueError for a name that cannot be one."""
    flaw = name_flaw(name)
    if flaw:
        raise ValueError(f"mr.to: {flaw}")
    if not 1 <= len(record) <= 2:
        raise TypeError(f"mr.to(name, value) or mr.to(name, key, value), not {len(record)} values")
    key = record[0] if len(record) > 1 else None
    return SideKey(name, key), record[-1]


def side_outputs(task: MapTask | ReduceTask, job: Job, env: TaskEnv) -> SideOutputs:
    """Those of a task, in the format of the job's output."""
    part = task.side_part
    if not part:
        return dropped_outputs()
    return SideOutputs(job.writer(), lambda output: env.create_output(f"{output}/{part}"))


def dropped_outputs() -> SideOutputs:
    """Side outputs whose records are counted, and kept nowhere."""
    return SideOutputs(Exact(), lambda output: Nowhere())


class Nowhere(io.BytesIO):
    """A file that keeps nothing."""

    def write(self, data: Any) -> int:
        """Forget it."""
        return len(data)


class SideOutputs:
    """The side outputs of one task."""

    def __init__(self, form: OutputFormat, create: Create) -> None:
        self._format = form
        self._create = create
        self._parts: dict[str, PartWriter] = {}
        self._taken: dict[str, int] = {}

    def take(self, keys: list[Any], values: list[Any]) -> int:
        """Take a block's records for side outputs out of it; about how many bytes they hold.
        Raises UserCodeError for too many outputs and for what the format cannot hold."""
        if SideKey not in map(type, keys):
            return 0
        records: dict[str, tuple[list[Any], list[Any]]] = {}
        own_keys: list[Any] = []
        own_values: list[Any] = []
        for key, value in zip(keys, values, strict=True):
            where = (own_keys, own_values)
            if type(key) is SideKey:
                where = records.setdefault(key.output, ([], []))
                key = key.key
            where[0].append(key)
            where[1].append(value)
        keys[:], values[:] = own_keys, own_values
        return sum(self._add(output, *block) for output, block in records.items())

    def close(self, counters: TaskCounters) -> int:
        """All files are complete; how many bytes were written. Raises RecordsLost."""
        for output, part in self._parts.items():
            part.close()
            check_conserved(f"side output {output}", self._taken[output], part.records)
            counters.add(output, part.records, OUTPUTS)
        return sum(part.output_bytes for part in self._parts.values())

    def _add(self, output: str, keys: list[Any], values: list[Any]) -> int:
        self._taken[output] = self._taken.get(output, 0) + len(keys)
        if len(self._taken) > SIDE_OUTPUTS_MAX:
            error = ValueError(f"mr.to: a task writes to at most {SIDE_OUTPUTS_MAX} outputs")
            raise UserCodeError(failure_of(error, "output", record=repr(output)))
        if output not in self._parts:
            self._parts[output] = PartWriter(self._format, self._create(output))
        part = self._parts[output]
        before = part.output_bytes
        part.add(keys, values)
        return part.output_bytes - before
