"""Random jobs on the local runner: the files and counters of the inline runner."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapreduce.job import Settings
from mapreduce.job_class import Job
from mapreduce.runners import inline
from mapreduce.runners.local import LocalRunner
from mapreduce.runners.submission import Submission
from tests.mapreduce.replay_job import (
    Chained,
    Combined,
    MapOnly,
    MapsThenMaps,
    Records,
    Replay,
    Sided,
    line_of,
)
from tests.mapreduce.test_any_job import RECORDS


@pytest.fixture(scope="module")
def runner() -> Iterator[LocalRunner]:
    """Its processes stay warm from one example to the next."""
    with LocalRunner() as made:
        yield made


def files_in(output: Path) -> dict[str, bytes]:
    files = [path for path in output.rglob("*") if path.is_file()]
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


@pytest.mark.parametrize("job_class", [Replay, Combined, MapOnly, Sided, Chained, MapsThenMaps])
@settings(max_examples=13, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    records=RECORDS,
    per_line=st.integers(1, 9),
    pieces=st.sampled_from([1, 2, 7]),
    partitions=st.sampled_from([1, 3]),
    spill_bytes=st.sampled_from([1, 300, 1 << 20]),
)
def test_a_job_writes_the_same_bytes(
    runner: LocalRunner,
    tmp_path_factory: pytest.TempPathFactory,
    job_class: type[Job],
    records: Records,
    per_line: int,
    pieces: int,
    partitions: int,
    spill_bytes: int,
) -> None:
    folder = tmp_path_factory.mktemp("example")
    lines = [line_of(records[at : at + per_line]) for at in range(0, len(records), per_line)]
    inputs = [folder / "one", folder / "two"]
    for number, path in enumerate(inputs):
        path.write_text("".join(lines[number::2]), encoding="ascii")
    split_bytes = -(-inputs[0].stat().st_size // pieces)
    paths = [str(path) for path in inputs]
    choice = Settings(split_bytes=split_bytes, spill_bytes=spill_bytes)
    job = job_class()
    job.partitions = partitions
    reference = inline.run(job, paths, str(folder / "inline"), choice)
    found = runner.run(job, paths, str(folder / "local"), Submission(choice))
    assert files_in(folder / "local") == files_in(folder / "inline")
    assert found.counters == reference.counters
    shutil.rmtree(folder)
