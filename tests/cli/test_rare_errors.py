"""What commands do about errors that hardly ever come."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from cli.admin.verify import Reading
from cli.cluster.look import ask
from cli.doctor.machine import judge_sync
from cli.errors import Failures
from cli.files.copying import copy_all
from cli.invocation import TIME, Invocation
from cli.jobs.request import write_records
from dfs.errors import JobFault, NotSupported
from dfs.testing.cluster import StorageCluster
from mapreduce.job_class import Job
from mapreduce.result import Result
from mapreduce.runners.asking import ask as ask_master
from mapreduce.wire import ListWorkers, WorkerList


def test_a_time_that_is_none_is_a_usage_error_that_names_the_spelling() -> None:
    with pytest.raises(click.BadParameter, match="soon"):
        TIME.convert("soon", None, None)
    assert TIME.convert("2", None, None) == 2_000_000_000


def test_output_that_nobody_reads_ends_the_whole_command() -> None:
    failures = Failures(Invocation("minidfs"))
    with pytest.raises(BrokenPipeError), failures.collect():
        raise BrokenPipeError
    failures.finish()


def test_output_that_nobody_reads_any_more_is_no_error_at_the_end_either() -> None:
    program = "import sys; from cli.errors import _flushed; print('x'); sys.exit(_flushed(3))"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    nobody, output = os.pipe()
    os.close(nobody)
    command = [sys.executable, "-c", program]
    child = subprocess.run(
        command, stdout=output, stderr=subprocess.PIPE, env=buffered, check=False
    )
    os.close(output)
    assert (child.returncode, child.stderr) == (3, b"")


def test_an_interrupt_begins_no_copy_more() -> None:
    def copies() -> Iterator[Callable[[], object]]:
        raise KeyboardInterrupt
        yield int

    with pytest.raises(KeyboardInterrupt):
        copy_all(copies(), 1, Failures(Invocation("minidfs")))


class Plain(Job):
    """A job whose output is tab-separated text."""


def test_a_record_that_is_no_line_of_the_output_is_named() -> None:
    result = Result("j", None, {}, lambda: iter([("k\nk", "v")]))
    with pytest.raises(JobFault, match="record"):
        write_records(Invocation("minimr"), Plain(), result)


def test_a_folder_that_cannot_be_written_fails_the_check_of_syncs(tmp_path: Path) -> None:
    assert "No such file" in judge_sync(tmp_path / "missing").found


def test_a_cluster_without_jobs_and_a_node_that_went_away() -> None:
    cluster = StorageCluster("no master")
    cluster.settle()
    with cluster.client() as fs:
        assert ask(fs).workers is None
        with pytest.raises(NotSupported, match="stores files only"):
            ask_master(fs, ListWorkers(), WorkerList)
        reading = Reading("datanode-9")
        assert reading.go_on(fs)
        assert (reading.is_done, reading.is_lost) == (True, True)
