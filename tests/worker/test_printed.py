"""Serving what attempts printed: pieces, what is gone, and too many at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfs.errors import NotFound
from dfs.events import Origin, Peer, Reply, Role, Work, WorkDone
from dfs.wire.common import Failed
from mapreduce.wire import AttemptId, ReadTaskLog, TaskKind, TaskLog
from mapreduce.worker import job_files
from mapreduce.worker.chores import Numbers
from mapreduce.worker.job_files import JobFiles
from mapreduce.worker.printed import PRINTING_MAX, Printed, Printing
from mapreduce.worker.work import ReadLog

MAP = AttemptId("j-20261121-0001", 0, TaskKind.MAP, 3, 1)
ANNA = Origin(Peer(Role.CLIENT, "anna"), 1, 7)


class NoBundles:
    """A storage that nobody asks."""

    def read(self, path: str) -> bytes:
        raise AssertionError(path)


def test_a_piece_is_read_and_sent() -> None:
    printed = Printed("worker-1", Numbers())
    (work,) = printed.serve(ANNA, ReadTaskLog(MAP, 5))
    assert isinstance(work, Work)
    assert (work.token, work.task) == (Printing(ANNA, 5), ReadLog(MAP, 5))
    assert printed.served(Printing(ANNA, 5), WorkDone(work.token, b"words")) == [
        Reply(ANNA, TaskLog(5), b"words")
    ]


@pytest.mark.parametrize(
    ("error", "said"),
    [(NotFound("gone"), "gone"), (OSError("disk"), "worker-1 cannot read its log: disk")],
)
def test_what_cannot_be_read_is_said(error: Exception, said: str) -> None:
    printed = Printed("worker-1", Numbers())
    printed.serve(ANNA, ReadTaskLog(MAP))
    (reply,) = printed.served(Printing(ANNA, 0), WorkDone(Printing(ANNA, 0), None, error))
    assert isinstance(reply, Reply)
    assert isinstance(reply.message, Failed)
    assert reply.message.error().message == said


def test_few_are_read_at_a_time() -> None:
    printed = Printed("worker-1", Numbers())
    for _ in range(PRINTING_MAX):
        printed.serve(ANNA, ReadTaskLog(MAP))
    (reply,) = printed.serve(ANNA, ReadTaskLog(MAP))
    assert isinstance(reply, Reply)
    assert isinstance(reply.message, Failed)
    printed.served(Printing(ANNA, 0), WorkDone(None, b""))
    (work,) = printed.serve(ANNA, ReadTaskLog(MAP))
    assert isinstance(work, Work)


def test_logs_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_files, "LOG_PIECE_BYTES", 4)
    files = JobFiles(tmp_path, NoBundles())
    with pytest.raises(NotFound, match="is not here"):
        files.read_log(MAP, 0)
    log = files.open_log(MAP)
    log.write(b"some words")
    files.close_log(MAP, log)
    pieces = [files.read_log(MAP, offset) for offset in (0, 4, 8, 10, -1)]
    assert pieces == [b"some", b" wor", b"ds", b"", b"some"]
