"""What ``minidfs events`` asks, and how it goes on, for answers that are written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cli.cluster.events import told
from dfs.errors import DeadlineExceeded, DfsError, NotFound, Unavailable
from dfs.wire.admin import EventPage, GetEvents, Happening

Answer = EventPage | DfsError


def page(boot: int, *sequences: int, more: bool = False) -> EventPage:
    return EventPage(boot, tuple(Happening(n, 0, f"{boot}/{n}") for n in sequences), more)


class Script:
    """Answers in turn; ``asked`` has what was asked as (boot, after)."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[int, int]] = []

    def read(self, question: GetEvents) -> EventPage:
        self.asked.append((question.boot, question.after))
        answer = self._answers.pop(0)
        if isinstance(answer, DfsError):
            raise answer
        return answer

    def texts(self, pauses: int) -> list[str]:
        return [happening.text for happening in told(self.read, iter([None] * pauses))]


def test_all_pages_are_read_and_that_is_all() -> None:
    script = Script(page(5, 1, 2, more=True), page(5, 3))
    assert script.texts(0) == ["5/1", "5/2", "5/3"]
    assert script.asked == [(0, 0), (5, 2)]


def test_following_asks_for_what_is_new() -> None:
    script = Script(page(5, 1), page(5), page(5, 2))
    assert script.texts(2) == ["5/1", "5/2"]
    assert script.asked == [(0, 0), (5, 1), (5, 1)]


AWAY = [lambda: Unavailable("it is away"), lambda: DeadlineExceeded("it does not answer")]


@pytest.mark.parametrize("away", AWAY)
def test_following_waits_for_one_that_restarts(away: Callable[[], DfsError]) -> None:
    script = Script(page(5, 1, 2), away(), away(), page(6, 1))
    assert script.texts(3) == ["5/1", "5/2", "6/1"]
    assert script.asked == [(0, 0), (5, 2), (5, 2), (5, 2)]


@pytest.mark.parametrize("away", AWAY)
def test_one_that_never_answered_is_not_waited_for(away: Callable[[], DfsError]) -> None:
    script = Script(away())
    with pytest.raises((Unavailable, DeadlineExceeded)):
        script.texts(9)
    assert script.asked == [(0, 0)]


@pytest.mark.parametrize("away", AWAY)
def test_who_does_not_follow_does_not_wait(away: Callable[[], DfsError]) -> None:
    lines: Iterator[Happening] = told(Script(page(5, 1, more=True), away()).read, iter(()))
    assert next(lines).text == "5/1"
    with pytest.raises((Unavailable, DeadlineExceeded)):
        next(lines)


def test_other_errors_end_it() -> None:
    with pytest.raises(NotFound):
        Script(page(5, 1), NotFound("what is this")).texts(9)
