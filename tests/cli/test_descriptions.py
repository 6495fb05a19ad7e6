"""How files and jobs are described, and how a person is kept informed."""

from __future__ import annotations

import io

import msgspec
import pytest

from cli.files.entries import entry_fields, formatted, long_row
from cli.files.operands import is_folder_target, is_pattern, joined, last_name
from cli.invocation import Invocation
from cli.jobs.cluster_run import Watcher
from cli.jobs.progress import AUTO, NONE, PLAIN, Progress
from cli.jobs.reports import elapsed, job_fields, job_row, locality_line, progress_line
from dfs.client.entries import Entry
from dfs.errors import NotADirectory
from mapreduce.errors import JobFailed
from mapreduce.wire import JobEvent, JobNews, JobReport, JobState, Locality, TaskCounts

FILE = Entry("/a/b", 1536, False, 1e9 + 0.25, 2, 4096, "anna", "users", 0o640, 7)
FOLDER = Entry("/a", 0, True, 1e9, 0, 0, "anna", "users", 0o755, 6)
SECOND_NS = 1_000_000_000


def report(**changes: object) -> JobReport:
    fields: dict[str, object] = {
        "job": "j-20261121-0001",
        "name": "count",
        "user": "anna",
        "state": JobState.RUNNING,
        "maps": TaskCounts(8, 3, 2, 1),
        "reduces": TaskCounts(4),
        "counters": {"user": {"words": 5}},
        "locality": Locality(4, 0, 1),
        "submitted_ns": 1,
        "started_ns": 10 * SECOND_NS,
    }
    return JobReport(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_file_as_json() -> None:
    assert entry_fields(FILE) == {
        "path": "/a/b",
        "type": "file",
        "size": 1536,
        "replication": 2,
        "chunk_size": 4096,
        "mtime": "2001-09-09T01:46:40.250000Z",
        "owner": "anna",
        "group": "users",
        "mode": "640",
    }
    assert entry_fields(FOLDER)["type"] == "directory"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%n", "/a/b"),
        ("%s:%F", "1536:regular file"),
        ("%y", "2001-09-09 01:46:40.250000000 +0000"),
        ("%U %G %a %r %o", "anna users 640 2 4096"),
        ("100%% %", "100% %"),
        ("%q%%n", "?%n"),
        ("", ""),
    ],
)
def test_formats_of_stat(form: str, text: str) -> None:
    assert formatted(FILE, form, "/a/b") == text


def test_the_long_form() -> None:
    assert long_row(FILE, "b", True)[:5] == ("-rw-r-----", "2", "anna", "users", "1.5K")
    assert long_row(FOLDER, "a", False)[:5] == ("drwxr-xr-x", "-", "anna", "users", "0")


@pytest.mark.parametrize("path", ["a*", "a?", "[ab]", "/x/{a,b}", "/**/c"])
def test_patterns(path: str) -> None:
    assert is_pattern(path)


@pytest.mark.parametrize("path", ["a", "/a/b", "{a}", "{}", "a]", "ü 😀"])
def test_plain_paths(path: str) -> None:
    assert not is_pattern(path)


def test_where_copies_go() -> None:
    assert not is_folder_target(None, "/new", 1)
    assert is_folder_target(None, "/new/", 1)
    assert is_folder_target(None, "/new", 2)
    assert is_folder_target(FOLDER, "/a", 1)
    assert not is_folder_target(FILE, "/a/b", 1)
    with pytest.raises(NotADirectory):
        is_folder_target(FILE, "/a/b", 2)
    with pytest.raises(NotADirectory):
        is_folder_target(FILE, "/a/b/", 1)
    assert (last_name("/a/b/"), last_name("/"), last_name("c")) == ("b", "", "c")
    assert (joined("/", "a"), joined("/a/", "b"), joined("/a", "b")) == ("/a", "/a/b", "/a/b")


def test_a_job_as_json() -> None:
    fields = job_fields(report())
    assert fields["state"] == "running"
    assert fields["maps"] == {"total": 8, "done": 3, "running": 2, "failed": 1}
    assert fields["started"] == "1970-01-01T00:00:10.000000Z"
    assert (fields["ended"], fields["output"], fields["error"]) == (None, None, None)


def test_a_job_in_one_line() -> None:
    assert progress_line(report()) == (
        "j-20261121-0001 running: maps 3/8 (2 running), reduces 0/4, failed attempts 1, left -, "
        "local 4/5"
    )
    read = {"records": {"map_input": 70_000}, "bytes": {"map_input": 3 << 20}}
    later = msgspec.structs.replace(report(), counters=read)
    assert progress_line(later, 90 * SECOND_NS).endswith(
        ", left 1 min 30 s, 70000 records, 3.0M read, local 4/5"
    )
    assert locality_line(report()) == "4 of 5 maps ran on a node that holds their input"
    row = job_row(report(), 12 * SECOND_NS)
    assert row == ("j-20261121-0001", "count", "running", "3/8", "0/4", "2.0 s")
    assert elapsed(0, 0, 5) == ""


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    progress = Progress(AUTO, stream)
    progress.show(report())
    progress.show(report())
    progress.say("something happened")
    progress.clear()
    line = progress_line(report())[:59]
    assert stream.getvalue() == f"\r{line}\x1b[K\r\x1b[Ksomething happened\n"


@pytest.mark.parametrize("mode", [AUTO, PLAIN, NONE])
def test_elsewhere_there_are_no_control_signs(mode: str) -> None:
    stream = io.StringIO()
    progress = Progress(mode, stream)
    progress.show(report())
    progress.show(report())
    progress.say("something happened")
    assert stream.getvalue() == "something happened\n"


def test_plain_lines_come_now_and_then_also_on_a_terminal() -> None:
    stream = Terminal()
    progress = Progress(PLAIN, stream, plain_every_s=0.0)
    for _ in range(3):
        progress.show(report())
    assert stream.getvalue() == f"{progress_line(report())}\n" * 2


TRACEBACK = "m-00001.1 on w2 failed: Traceback:\n  File x\nValueError\nin the mapper, input /a"


def told_of(*texts: str) -> tuple[Watcher, list[str]]:
    """What a person reads of these failed attempts."""
    stream = io.StringIO()
    watcher = Watcher(Invocation("minimr"), Progress(NONE, stream))
    for number, text in enumerate(texts, 1):
        event = JobEvent(number, 0, "attempt_failed", text)
        watcher.on_news(JobNews(report(), 0.5, (event,), number))
    return watcher, stream.getvalue().splitlines()


def test_of_failed_attempts_the_first_is_told_and_the_first_traceback() -> None:
    later = TRACEBACK.replace("w2", "w3")
    assert told_of(TRACEBACK, later, "m-00002.1 on w1 failed: signal 9")[1] == [
        f"minimr: {line}" if at == 0 else line for at, line in enumerate(TRACEBACK.splitlines())
    ]
    _, told = told_of("m-00002.1 on w1 failed: disk full", "m-00003.1 failed: disk", TRACEBACK)
    assert told[0] == "minimr: m-00002.1 on w1 failed: disk full"
    assert told[1].startswith("minimr: m-00001.1 on w2 failed: Traceback")


def test_the_error_that_ends_a_job_is_not_told_twice() -> None:
    watcher, _ = told_of(TRACEBACK)
    short = watcher.in_short(JobFailed(TRACEBACK, "j-1"))
    assert str(short) == "j-1 failed: the error of m-00001.1 on w2 is shown above"
    other = JobFailed("the maps wrote 5 records", "j-1")
    assert watcher.in_short(other) is other
    for_programs = Watcher(Invocation("minimr", json=True), Progress(NONE, io.StringIO()))
    for_programs.on_news(JobNews(report(), 0.5, (JobEvent(1, 0, "attempt_failed", TRACEBACK),), 1))
    assert str(for_programs.in_short(JobFailed(TRACEBACK, "j-1"))) == TRACEBACK
