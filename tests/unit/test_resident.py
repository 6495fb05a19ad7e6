"""Pages of a mapped file are given back; where that cannot be told, nothing happens."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from dfs import resident
from dfs.resident import drop_mapping, resident_file_bytes

MAPPED_BYTES = 64 << 20


def rss_of(path: Path) -> int:
    """How much of a mapping is resident, from the kernel's own account."""
    lines = Path("/proc/self/smaps").read_text("ascii", "replace").splitlines()
    at = next(n for n, line in enumerate(lines) if line.endswith(str(path)))
    rss = next(line for line in lines[at:] if line.startswith("Rss:"))
    return int(rss.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
def test_the_pages_of_one_file_are_dropped_and_read_back(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    content = bytes(range(256)) * (MAPPED_BYTES // 256)
    for each in (path, other):
        each.write_bytes(content)
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        other.open("rb") as other_file,
        mmap.mmap(other_file.fileno(), 0, access=mmap.ACCESS_READ) as other_mapped,
    ):
        assert mapped[:] == other_mapped[:]
        before = resident_file_bytes()
        assert rss_of(path) == MAPPED_BYTES
        assert drop_mapping(path) == MAPPED_BYTES
        assert (rss_of(path), rss_of(other)) == (0, MAPPED_BYTES)
        assert before - resident_file_bytes() >= MAPPED_BYTES - (1 << 20)
        assert mapped[:] == content


def test_a_file_that_is_not_mapped_is_none_of_it(tmp_path: Path) -> None:
    assert drop_mapping(tmp_path / "file") == 0


def test_where_there_is_no_proc_and_no_madvise_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "_STATM", tmp_path / "nothing")
    monkeypatch.setattr(resident, "_madvise", None)
    assert resident_file_bytes() == 0
    assert drop_mapping(tmp_path / "file") == 0
