"""What is told of processes, dead ones and our own; what a task says of itself is not believed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dfs.limits import MIB
from mapreduce.worker.process_tree import (
    end_family,
    end_orphans,
    family,
    is_alive,
    memory_of,
    unlinked_bytes,
)
from mapreduce.worker.whereabouts import WHERE_MAX_BYTES, read_where


def dead_pid() -> int:
    """A process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_of_a_process_that_has_ended_nothing_is_known() -> None:
    pid = dead_pid()
    assert not is_alive(pid)
    assert family(pid) == [pid]
    assert (memory_of([pid], 0), memory_of([pid], -1)) == (0, 0)
    assert unlinked_bytes([pid], 0) == 0


def test_what_processes_share_is_counted_once_when_it_matters() -> None:
    mine = os.getpid()
    quick_bytes = memory_of([mine], 1 << 50)
    assert 0 < memory_of([mine], 0) <= quick_bytes


def test_files_without_a_name_are_counted(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    before_bytes = unlinked_bytes([os.getpid()], device)
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(bytes(MIB))
        file.flush()
        os.fsync(file.fileno())
        more_bytes = unlinked_bytes([os.getpid()], device) - before_bytes
        assert MIB <= more_bytes < 2 * MIB
        assert unlinked_bytes([os.getpid()], device + 1) < before_bytes + MIB


def test_a_family_ends_whole_and_its_neighbours_live() -> None:
    code = "import subprocess, time; subprocess.Popen(['sleep', '1000']); print(1, flush=True)"
    command = [sys.executable, "-c", f"{code}; time.sleep(1000)"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as parent,
        subprocess.Popen(["sleep", "1000"]) as neighbour,
    ):
        assert parent.stdout is not None
        parent.stdout.readline()
        _, child = family(parent.pid)
        end_family(parent.pid)
        parent.wait()
        assert not is_alive(child)
        end_orphans()  # ends nothing: this process has not asked for orphans
        assert is_alive(neighbour.pid)
        neighbour.kill()


def test_the_fuse_is_far_above_the_limit() -> None:
    code = (
        "import resource; from mapreduce.worker.confine import bound_address_space\n"
        "bound_address_space(1 << 30); print(resource.getrlimit(resource.RLIMIT_AS)[1] >> 20)\n"
        "bound_address_space(1 << 20); print(resource.getrlimit(resource.RLIMIT_AS)[1] >> 20)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["20480", "16388"]


def test_only_a_short_line_of_a_plain_file_is_taken_from_a_task(tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.write_bytes(b"mapper\x1b[2J\n" + b"x" * 10_000)
    text = read_where(said)
    assert text.startswith("mapper [2J x")
    assert len(text) <= WHERE_MAX_BYTES
    (tmp_path / "link").symlink_to(said)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "nowhere"):
        assert read_where(tmp_path / name) == ""
