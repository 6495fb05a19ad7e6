"""Reading the master's tables: jobs by number or by what people type, splits, tasks.

The number of a job stands in its id, ``j-20261121-0001`` is number 1, so no index is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from dfs.errors import BadArgument, NotFound
from dfs.limits import SECOND_NS
from dfs.namenode.keys import get_row, load_row, number_key, number_of, pair_key
from dfs.namenode.table import Table, scan_prefix
from mapreduce.tables import JobRow, TaskRow, task_of
from mapreduce.wire import PlannedSplit, TaskKind

LAST = "@last"
_ABOVE_ALL = b"\xff" * 9

_split_decoder = msgspec.msgpack.Decoder(PlannedSplit)


def job_id(number: int, wall_ns: int) -> str:
    """The id of a job submitted at this time: ``j-20261121-0001``, the day in UTC."""
    day = datetime.fromtimestamp(wall_ns // SECOND_NS, UTC)
    return f"j-{day:%Y%m%d}-{number:04d}"


def number_in(job: str) -> int:
    """The number of a job by its full id."""
    return int(job.rpartition("-")[2])


def next_number(table: Table) -> int:
    """The number that the next job gets."""
    last = table.last("jobs", _ABOVE_ALL)
    return 1 if last is None else number_of(last[0]) + 1


def all_jobs(table: Table) -> Iterator[tuple[int, JobRow]]:
    """Every job, oldest first."""
    for key, value in scan_prefix(table, "jobs", b"", b"\0"):
        yield number_of(key), load_row(JobRow, value)


def jobs_before(table: Table, number: int | None) -> Iterator[tuple[int, JobRow]]:
    """The jobs below a number (None: all), newest first."""
    key = _ABOVE_ALL if number is None else number_key(number)
    while (found := table.last("jobs", key)) is not None:
        key = found[0]
        yield number_of(key), load_row(JobRow, found[1])


def get_job(table: Table, job: str) -> tuple[int, JobRow] | None:
    """A job by its full id."""
    digits = job.rpartition("-")[2]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        return None
    row = get_row(table, "jobs", number_key(int(digits)), JobRow)
    return (int(digits), row) if row is not None and row.job == job else None


def must_job(table: Table, job: str) -> tuple[int, JobRow]:
    """A job that runs, and so has a row."""
    found = get_job(table, job)
    assert found is not None, f"job {job} runs and has no row"
    return found


def resolve(table: Table, text: str) -> tuple[int, JobRow]:
    """The job that somebody means: an id, a unique beginning of one, or ``@last``.

    Raises ``NotFound``, and ``BadArgument`` when several begin like this.
    """
    exact = get_job(table, text)
    if exact is not None:
        return exact
    if text == LAST:
        found = list(_first(jobs_before(table, None), 1))
    else:
        matching = (item for item in all_jobs(table) if text and item[1].job.startswith(text))
        found = list(_first(matching, 3))
    if not found:
        raise NotFound(f"no job {text!r}; `minimr list --all` shows them", text)
    if len(found) > 1:
        names = ", ".join(row.job for _, row in found)
        raise BadArgument(f"{text!r} may be {names}: write more of it")
    return found[0]


def _first(jobs: Iterator[tuple[int, JobRow]], count: int) -> Iterator[tuple[int, JobRow]]:
    for _, item in zip(range(count), jobs, strict=False):
        yield item


def get_split(table: Table, number: int, index: int) -> PlannedSplit:
    """The input of a map."""
    data = table.get("splits", pair_key(number, index))
    assert data is not None, f"map {index} of job number {number} has no split"
    return _split_decoder.decode(data)


def split_indexes(table: Table, number: int, limit: int) -> list[int]:
    """The first splits of a job that are still there."""
    rows = scan_prefix(table, "splits", number_key(number))
    return [number_of(key[8:]) for _, (key, _) in zip(range(limit), rows, strict=False)]


def task_rows(table: Table, number: int) -> Iterator[tuple[int, TaskKind, int, TaskRow]]:
    """The tasks of a job of which an attempt started, with their step: maps first, by index."""
    for key, value in scan_prefix(table, "tasks", number_key(number)):
        yield *task_of(key), load_row(TaskRow, value)


def task_keys(table: Table, number: int, limit: int) -> list[bytes]:
    """The keys of the first task rows of a job."""
    rows = scan_prefix(table, "tasks", number_key(number))
    return [key for _, (key, _) in zip(range(limit), rows, strict=False)]
