"""Mistakes of jobs and files that hardly ever come are named in one line."""

from __future__ import annotations

import os
import signal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from dfs.errors import BadArgument, Exists, NotFound
from mapreduce.bundle import _read as read
from mapreduce.errors import UserCodeError
from mapreduce.formats.text_output import TSV
from mapreduce.loader import import_file
from mapreduce.runners.files import LocalFiles, OutputDirectory
from mapreduce.task.failure import bounded_repr
from mapreduce.task.part_writer import PartWriter
from mapreduce.worker.task_child import describe_exit


def test_a_job_file_with_a_zero_byte_is_no_source(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_bytes(b"x = 1\0\n")
    with pytest.raises(BadArgument, match=r"job\.py"):
        import_file(job)


def test_a_file_that_is_gone_before_it_is_packed_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read(tmp_path / "gone.py")


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError("not me")


def test_a_record_that_cannot_be_printed_is_named_by_its_class() -> None:
    assert bounded_repr(Shy()) == "<Shy whose repr raises RuntimeError>"


def test_an_unknown_signal_is_called_by_number() -> None:
    assert describe_exit(-signal.SIGKILL) == "was killed by signal SIGKILL"
    assert describe_exit(-120) == "was killed by signal 120"


def test_an_output_that_appeared_meanwhile_is_refused(tmp_path: Path) -> None:
    files = LocalFiles()
    (tmp_path / "new").mkdir()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "part").write_text("x", encoding="ascii")
    new, old = f"file:{tmp_path}/new", f"file:{tmp_path}/old"
    with pytest.raises(Exists, match="appeared meanwhile"):
        files.rename(new, old)
    with pytest.raises(FileNotFoundError):
        files.rename(f"file:{tmp_path}/none", f"file:{tmp_path}/other")


def test_an_output_that_is_discarded_is_gone_whatever_its_disk_says(tmp_path: Path) -> None:
    output = LocalFiles().create(str(tmp_path / "part"))
    output.write(bytearray(b"half"))
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), output.fileno())  # type: ignore[attr-defined]
    output.discard()
    assert list(tmp_path.iterdir()) == []


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("not me")


@pytest.mark.parametrize(
    ("record", "text"), [(("k\nk", "v"), "line|newline"), ((Mute(), "v"), "not me")]
)
def test_a_record_that_the_output_cannot_hold_is_a_fault_of_the_users_code(
    record: tuple[Any, Any], text: str
) -> None:
    file = BytesIO()
    writer = PartWriter(TSV(), file)
    with pytest.raises(UserCodeError, match=text):
        writer.add([record[0]], [record[1]])
    assert file.getvalue() == b""


class Unlucky(LocalFiles):
    """Files of which a finished output cannot get its name."""

    def rename(self, source: str, target: str) -> None:
        if source.endswith(".unfinished"):
            raise OSError("no luck")
        super().rename(source, target)


def test_an_output_that_cannot_be_committed_leaves_the_old_one(tmp_path: Path) -> None:
    old = tmp_path / "out"
    old.mkdir()
    (old / "part").write_text("old", encoding="ascii")
    output = OutputDirectory(f"file:{old}", overwrite=True)
    output._files = Unlucky()
    output.begin()
    with pytest.raises(OSError, match="no luck"):
        output.commit()
    assert (old / "part").read_text(encoding="ascii") == "old"
