"""Ctrl-C while a run is watched, on a terminal and elsewhere, with interrupts raised by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.invocation import Invocation
from cli.jobs import interrupted
from cli.jobs.interrupted import watch_patiently
from cli.jobs.progress import NONE, Progress
from dfs.wire.codec import Message
from mapreduce.wire import KillJob

JOB = "j-20261121-0001"
CALL = cast(Invocation, SimpleNamespace(program="minimr"))


class Stream(io.StringIO):
    """A terminal, or not; ``readline`` is what a person does at the question."""

    def __init__(self, terminal: bool = True, answer: Callable[[], str] = lambda: "") -> None:
        super().__init__()
        self._terminal = terminal
        self._answer = answer

    def isatty(self) -> bool:
        return self._terminal

    def readline(self, *_: Any) -> str:
        return self._answer()


def interrupt() -> str:
    raise KeyboardInterrupt


def watched(monkeypatch: pytest.MonkeyPatch, stdin: Stream, err: Stream) -> tuple[str, list[Any]]:
    """What is returned after one interrupt, and what the master was asked."""
    asked: list[Any] = []

    def ask(_: Invocation, question: Message, __: type[Message]) -> None:
        asked.append(question)

    monkeypatch.setattr(interrupted, "ask", ask)
    monkeypatch.setattr("sys.stdin", stdin)
    steps = iter((interrupt, lambda: "the end"))
    return watch_patiently(CALL, JOB, Progress(NONE, err), lambda: next(steps)(), "hello"), asked


@pytest.mark.parametrize(
    ("answer", "killed"), [("y\n", True), ("YES\n", True), ("n\n", False), ("", False)]
)
def test_an_answer_kills_the_job_or_goes_on(
    monkeypatch: pytest.MonkeyPatch, answer: str, killed: bool
) -> None:
    err = Stream()
    end, asked = watched(monkeypatch, Stream(answer=lambda: answer), err)
    assert (end, asked) == ("the end", [KillJob(JOB)] if killed else [])
    assert err.getvalue() == (
        f"hello\nkill {JOB}? [y/N]; Ctrl-C again leaves it running: "
        f"come back with minimr wait {JOB} "
    )


def test_a_second_interrupt_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Stream()
    with pytest.raises(KeyboardInterrupt):
        watched(monkeypatch, Stream(answer=interrupt), err)
    assert err.getvalue().endswith(f"\n{JOB} runs on\n")


@pytest.mark.parametrize(("stdin", "err"), [(False, True), (True, False)])
def test_without_a_terminal_the_first_one_leaves(
    monkeypatch: pytest.MonkeyPatch, stdin: bool, err: bool
) -> None:
    stream = Stream(err)
    with pytest.raises(KeyboardInterrupt):
        watched(monkeypatch, Stream(stdin), stream)
    said = f"minimr: {JOB} runs on: come back with minimr wait {JOB}, end it with minimr kill {JOB}"
    assert stream.getvalue() == f"hello\n{said}\n"
