"""``minimr logs``: whom it asks, and what it says of a worker that is away."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.invocation import Invocation
from cli.jobs import logs
from cli.jobs.logs import _read, _Reader
from dfs.client.effects import Answer, Ask
from dfs.errors import ProtocolError
from dfs.wire.common import Ok
from mapreduce.wire import (
    AttemptId,
    ReadTaskLog,
    TaskKind,
    TaskLog,
    WorkerList,
    WorkerReport,
)

MAP = AttemptId("j-20261121-0001", 0, TaskKind.MAP, 3, 1)
ENDPOINTS = ("ipc:///run/w1", "tcp://w1:9862")


def report(state: str) -> WorkerReport:
    return WorkerReport("w1", state, "", 1, (), ENDPOINTS, "", "here")


@pytest.mark.parametrize(("host", "endpoints"), [("here", ENDPOINTS), ("there", ENDPOINTS[1:])])
def test_a_worker_is_asked_where_it_can_be_reached(host: str, endpoints: tuple[str, ...]) -> None:
    question = _read(report("live"), host, ReadTaskLog(MAP))
    asked = next(question)
    assert isinstance(asked, Ask)
    assert (asked.to.name, asked.endpoints) == ("w1", endpoints)
    with pytest.raises(StopIteration) as end:
        question.send(Answer(TaskLog(0), b"words"))
    assert end.value.value == b"words"


def test_another_answer_is_refused() -> None:
    question = _read(report("live"), "here", ReadTaskLog(MAP))
    next(question)
    with pytest.raises(ProtocolError, match="w1 answered with Ok"):
        question.send(Answer(Ok()))


def test_as_json_each_line_is_an_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = iter([b"one\ntw", b"", b"o\n\xff", b"", b""])
    reader = _Reader(cast(Invocation, SimpleNamespace(json=True)))
    monkeypatch.setattr(reader, "_piece", lambda *_: next(pieces))
    for _ in range(3):
        reader.show(MAP, "w1")
    reader.finish()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["one", "two", "\ufffd"]
    assert lines[0] == {"v": 1, "attempt": "m-00003.1", "worker": "w1", "text": "one"}


@pytest.mark.parametrize("known", [(), (report("dead"),), (report("left"),)])
def test_a_worker_that_is_away_is_said_once(
    monkeypatch: pytest.MonkeyPatch, known: tuple[WorkerReport, ...]
) -> None:
    said: list[str] = []

    def ask(*_: Any) -> WorkerList:
        return WorkerList(known)

    monkeypatch.setattr(logs, "ask", ask)
    reader = _Reader(cast(Invocation, SimpleNamespace(say=said.append)))
    reader.show(MAP, "w1")
    reader.show(MAP, "w1")
    assert said == ["m-00003.1 on w1: w1 is away, and what was printed there with it"]
    assert (reader.asked, reader.missing) == (True, {MAP})
