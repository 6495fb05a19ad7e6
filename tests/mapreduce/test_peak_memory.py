"""Tasks that are given far more than their memory, in processes of their own.

The bound is memory, not time: a process that held the values as a list would need much more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mapreduce.job import Settings
from mapreduce.job_class import Job
from mapreduce.runners import local
from mapreduce.runners.submission import Submission
from tests.mapreduce.peak_job import MAPS, OneGroup, OneKey

STR_BYTES = 49
BOUND_MIB = 250


@pytest.mark.parametrize(
    ("job", "thousands", "last"),
    [(OneKey(), 2000, 1_999_999), (OneGroup(value_bytes=1000), 400, 0)],
    ids=["one key", "one sorted group"],
)
def test_a_key_with_very_many_values(tmp_path: Path, job: Job, thousands: int, last: int) -> None:
    held_mib = thousands * 1000 * (job.params["value_bytes"] + STR_BYTES) >> 20
    assert held_mib > 1.4 * BOUND_MIB, "the test could not fail"
    text = tmp_path / "in"
    text.write_text("".join(f"{n}\n" for n in range(thousands)), encoding="utf-8")
    settings = Settings(split_bytes=text.stat().st_size // 2 + 1, spill_bytes=4 << 20)
    found = dict(local.run(job, [str(text)], None, Submission(settings)))
    assert (found["count"], found["last"]) == (thousands * 1000, last)
    assert found[f"{MAPS} last"] < BOUND_MIB
    assert found["reduce"] < BOUND_MIB
