"""Records that are lost or doubled fail the job, also where assertions are switched off."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from dfs.errors import JobFault
from examples.wordcount import WordCount
from mapreduce.conservation import check_conserved, check_job_conserved
from mapreduce.errors import RecordsLost
from mapreduce.job import MapOutcome, ReduceOutcome
from mapreduce.runners import inline
from mapreduce.task.reduce_task import run_reduce

SCRIPT = """
from mapreduce.conservation import check_conserved
from mapreduce.errors import RecordsLost
try:
    check_conserved("partition 1", 5, 4)
except RecordsLost as error:
    print(error)
"""


def outcomes(
    written: list[tuple[int, ...]], read: list[int]
) -> tuple[list[MapOutcome], list[ReduceOutcome]]:
    return [MapOutcome({}, records, 0) for records in written], [
        ReduceOutcome({}, records, 0) for records in read
    ]


def test_every_record_is_read_once() -> None:
    check_job_conserved(*outcomes([(1, 2), (3, 0)], [4, 2]))
    check_conserved("nowhere", 0, 0)


@pytest.mark.parametrize("read", [[3, 3], [4, 1], [5, 2]])
def test_a_partition_that_reads_another_number_is_named(read: list[int]) -> None:
    with pytest.raises(RecordsLost, match=r"partition [01]: \d records were written"):
        check_job_conserved(*outcomes([(1, 2), (3, 0)], read))
    assert issubclass(RecordsLost, JobFault)


def test_the_inline_runner_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reduce that counts one record too many, as a fault of the engine would."""

    def one_more(*arguments: Any) -> ReduceOutcome:
        outcome = run_reduce(*arguments)
        return msgspec.structs.replace(outcome, input_records=outcome.input_records + 1)

    assert WordCount().run_inline(["a b a"]) != []
    monkeypatch.setattr(inline, "run_reduce", one_more)
    with pytest.raises(RecordsLost, match="partition 0: "):
        WordCount().run_inline(["a b a"])


def test_without_assertions_too() -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("partition 1: 5 records were written and 4 were read")
