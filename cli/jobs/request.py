"""What was asked of a run, and writing the records of one that named no output."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from dfs.errors import JobFault
from dfs.quantities import counted

if TYPE_CHECKING:
    from cli.invocation import Invocation
    from mapreduce.job_class import Job
    from mapreduce.result import Result

RECORDS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, beside the job itself."""

    inputs: tuple[str, ...]
    output: str | None
    overwrite: bool
    settings: dict[str, str]
    env: dict[str, str]
    py_files: tuple[str, ...]
    files: tuple[str, ...]
    name: str | None
    max_attempts: int | None
    task_timeout_ns: int | None
    task_memory_bytes: int | None
    speculative: bool | None
    detach: bool
    progress: str


def write_records(call: Invocation, job: Job, result: Result) -> None:
    """Records on stdout, as the job's output format writes them; side outputs have no place."""
    from mapreduce.formats import RecordError
    from mapreduce.side_output import OUTPUTS

    form = job.writer()
    for output, count in result.counters.get(OUTPUTS, {}).items():
        call.say(f"{counted(count, 'record')} for {output!r} dropped: name an output with -o")
    remaining = iter(result)
    while batch := list(islice(remaining, RECORDS_AT_ONCE)):
        try:
            text = form.encode([key for key, _ in batch], [value for _, value in batch])
        except RecordError as error:
            raise JobFault(f"{error}: record {error.record!r}") from None
        sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
