"""Log lines, and logs that do not grow for ever."""

from __future__ import annotations

import errno
import io
import re
import sys
from pathlib import Path

import pytest

from dfs.local.log_lines import Log, bound, older, text_of, time_of


class FullDisk(io.StringIO):
    """What stderr is when its file's disk is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_has_time_id_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    Log("datanode-1")("one\ntwo")
    line = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z datanode-1 one two\n", line)
    assert time_of(line) == line[:24]
    assert text_of(line) == "one two\n"


def test_a_line_of_another_kind_has_no_time() -> None:
    for line in ("", "Traceback (most recent call last):", "2026-11-21 a b"):
        assert time_of(line) == ""
        assert text_of(line) == line


def test_a_line_that_cannot_be_written_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = io.StringIO()
    monkeypatch.setattr(sys, "stderr", FullDisk())
    Log("x-1")("text")
    monkeypatch.setattr(sys, "stderr", there)
    Log("x-1")("more")
    assert there.getvalue().endswith("x-1 more\n")
    assert capsys.readouterr().err == ""


def test_a_long_log_is_set_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "x-1.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        assert not bound(log, 40)
        writer.write(b"more\n")
        assert bound(log, 40)
        writer.write(b"new\n")
    assert older(log).read_bytes() == b"old\n" * 10 + b"more\n"
    assert log.read_bytes() == b"new\n"


def test_a_log_that_cannot_be_set_aside_is_bounded_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "x-1.log"
    log.write_bytes(b"x" * 100)
    older(log).mkdir()
    assert bound(log, 10)
    assert log.read_bytes() == b""


def test_a_log_that_is_not_there_is_not_too_long(tmp_path: Path) -> None:
    assert not bound(tmp_path / "x-1.log", 0)
