"""What commands and keepers leave for each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfs.local.layout import Home, is_keeper, keeper_of
from dfs.local.notes import (
    End,
    clear_notes,
    forget_end,
    is_stopped,
    last_end,
    mark_stopped,
    note_end,
    unmark_stopped,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    return found


def test_a_process_is_marked_and_unmarked_once(home: Home) -> None:
    assert not is_stopped(home, "datanode-1")
    assert [mark_stopped(home, "datanode-1") for _ in range(2)] == [True, False]
    assert is_stopped(home, "datanode-1")
    assert not is_stopped(home, "datanode-10")
    assert [unmark_stopped(home, "datanode-1") for _ in range(2)] == [True, False]
    assert not is_stopped(home, "datanode-1")


def test_the_last_end_is_kept_until_it_is_forgotten(home: Home) -> None:
    assert last_end(home, "namenode") is None
    note_end(home, "namenode", End(5, "SIGKILL"))
    note_end(home, "namenode", End(7, "exit code 7: stopped: the log is damaged"))
    assert last_end(home, "namenode") == End(7, "exit code 7: stopped: the log is damaged")
    forget_end(home, "namenode")
    forget_end(home, "namenode")
    assert last_end(home, "namenode") is None


@pytest.mark.parametrize("text", ["", "\n", "SIGKILL", "x y", "\xff"])
def test_a_note_that_makes_no_sense_is_none(home: Home, text: str) -> None:
    (home.run / "namenode.ended").write_text(text, encoding="latin-1")
    assert last_end(home, "namenode") is None


def test_a_note_that_cannot_be_written_is_left_out(home: Home) -> None:
    (home.run / "namenode.ended").mkdir()
    note_end(home, "namenode", End(1, "SIGKILL"))
    assert (home.run / "namenode.ended").is_dir()


def test_nothing_is_left_when_the_cluster_is_down(home: Home) -> None:
    mark_stopped(home, "worker-1")
    note_end(home, "namenode", End(1, "SIGKILL"))
    clear_notes(home)
    assert list(home.run.iterdir()) == []


@pytest.mark.parametrize(
    ("process", "keeper"),
    [("namenode", "keeper"), ("datanode-1", "node-1"), ("worker-12", "node-12")],
)
def test_everything_has_its_keeper(process: str, keeper: str) -> None:
    assert keeper_of(process) == keeper
    assert is_keeper(keeper)
    assert not is_keeper(process)
