"""The last lines of several logs, and what is added to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfs.local.layout import Home
from dfs.local.log_lines import bound, older
from dfs.local.log_reading import Logs, logged_ids


def line(second: int, process_id: str, text: str) -> str:
    return f"2026-11-21T10:00:{second:02}.000Z {process_id} {text}"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    return found


def add(home: Home, process_id: str, *lines: str, end: str = "\n") -> None:
    with home.log_file(process_id).open("a", encoding="utf-8") as log:
        log.write("\n".join(lines) + end)


def texts(found: list[tuple[str, str, str]]) -> list[str]:
    return [text for _, _, text in found]


def test_lines_of_several_logs_are_in_the_order_of_time(home: Home) -> None:
    add(home, "a", line(1, "a", "x"), "Traceback", "  more", line(5, "a", "y"))
    add(home, "b", line(2, "b", "u"), line(4, "b", "v"))
    logs = Logs(home, ["a", "b", "none"])
    assert texts(logs.last(100)) == [
        line(1, "a", "x"), "Traceback", "  more", line(2, "b", "u"), line(4, "b", "v"),
        line(5, "a", "y"),
    ]  # fmt: skip
    assert texts(Logs(home, ["a", "b"]).last(2)) == [line(4, "b", "v"), line(5, "a", "y")]
    assert Logs(home, ["a"]).last(0) == []
    assert logged_ids(home) == ["a", "b"]


def test_what_is_added_comes_once_and_in_whole_lines(home: Home) -> None:
    logs = Logs(home, ["a", "b"])
    assert logs.last(10) == []
    add(home, "a", line(1, "a", "x"), line(2, "a", "half"), end="")
    assert texts(logs.new()) == [line(1, "a", "x")]
    add(home, "a", " and half", line(4, "a", "y"))
    add(home, "b", line(3, "b", "u"))
    assert texts(logs.new()) == [
        line(2, "a", "half and half"), line(3, "b", "u"), line(4, "a", "y"),
    ]  # fmt: skip
    assert logs.new() == []


def test_a_log_that_is_set_aside_meanwhile_is_read_to_its_end(home: Home) -> None:
    add(home, "a", line(1, "a", "x"), line(2, "a", "y" * 1000))
    logs = Logs(home, ["a"])
    assert len(logs.last(1)) == 1
    add(home, "a", line(3, "a", "before"))
    assert bound(home.log_file("a"), 10)
    add(home, "a", line(4, "a", "behind"))
    assert texts(logs.new()) == [line(3, "a", "before"), line(4, "a", "behind")]
    assert logs.new() == []


def test_lines_that_were_set_aside_are_among_the_last(home: Home) -> None:
    add(home, "a", line(1, "a", "x"), line(2, "a", "y"))
    assert bound(home.log_file("a"), 1)
    add(home, "a", line(3, "a", "z"))
    assert texts(Logs(home, ["a"]).last(2)) == [line(2, "a", "y"), line(3, "a", "z")]
    assert older(home.log_file("a")).exists()
