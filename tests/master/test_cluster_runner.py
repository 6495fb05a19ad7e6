"""The cluster runner against a master in memory; its tasks are done by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import cast

import pytest

from dfs.client.client import Client
from dfs.client.entries import Entry
from dfs.errors import (
    BadArgument,
    JobKilled,
    NotFound,
    OutcomeUnknown,
    ProtocolError,
    Unavailable,
)
from dfs.wire import namespace as m
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok
from dfs.wire.lookup import FoundMany, StatMany
from mapreduce import wire as w
from mapreduce.errors import JobFailed
from mapreduce.formats.exact import Exact
from mapreduce.job import Settings
from mapreduce.runners.asking import ask
from mapreduce.runners.cluster import expand, result_of, submit, watch
from mapreduce.runners.submission import Submission
from tests.master.master_stage import ANNA, ATTEMPTS, BUNDLE, Stage
from tests.master.word_job import Words


class Uploaded(BytesIO):
    """A file that is there when it is closed."""

    def __init__(self, stage: Stage, path: str) -> None:
        super().__init__()
        self._stage, self._path = stage, path

    def close(self) -> None:
        if not self.closed:
            self._stage.put(self._path, self.getvalue())
        super().close()


class StagedClient:
    """The few calls of ``Client`` that the runner makes. ``work`` is done while it waits."""

    def __init__(self, stage: Stage, work: Callable[[], None] = lambda: None) -> None:
        self.stage = stage
        self.work = work
        self.namenode = self

    def ask(self, message: Message) -> Message:
        return message

    def run(self, message: Message) -> Message:
        if isinstance(message, w.WatchJob):
            self.work()
        replies = self.stage.handle(ANNA, message)
        if not replies:
            self.stage.advance(2, *self.stage.master.state.workers)
            replies = [reply.message for reply in self.stage.late]
            self.stage.late.clear()
        answer = replies[0]
        if isinstance(answer, Failed):
            raise answer.error()
        return answer

    def stat(self, path: str) -> Entry:
        return Entry.of(self.stage.ask(m.Stat(path), m.Found).entry)

    def stat_many(self, paths: Sequence[str]) -> list[Entry | None]:
        found = self.stage.ask(StatMany(tuple(paths)), FoundMany).entries
        return [None if entry is None else Entry.of(entry) for entry in found]

    def list(self, path: str) -> list[Entry]:
        return [Entry.of(e) for e in self.stage.ask(m.List(path), m.Listing).entries]

    def glob(self, pattern: str) -> list[Entry]:
        return [Entry.of(e) for e in self.stage.ask(m.Glob(pattern), m.Listing).entries]

    def ending_at(self, word: type[Message], error: BaseException, *, heard: bool) -> StagedClient:
        """A client that fails when it says this word, before the master heard it or after."""
        plain = self.run

        def run(message: Message) -> Message:
            if not isinstance(message, word):
                return plain(message)
            if heard:
                plain(message)
            raise error

        self.run = run  # type: ignore[method-assign]
        return self

    def exists(self, path: str) -> bool:
        try:
            return bool(self.stat(path))
        except NotFound:
            return False

    def write_bytes(self, path: str, data: bytes, *, overwrite: bool) -> None:
        assert not overwrite
        self.stage.put(path, data)

    def open(self, path: str, mode: str) -> BytesIO:
        assert mode == "wb"
        return Uploaded(self.stage, path)

    def get(self, path: str, local: Path) -> None:
        content = self.stage.ask(m.Locate(path), m.Located).content
        assert content is not None
        local.write_bytes(content)


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.join("w1", slots=2)
    for name in ("b.txt", "a.txt", "_skipped", ".hidden"):
        stage.put(f"/in/{name}", b"some words")
    return stage


def client(stage: Stage, work: Callable[[], None] | None = None) -> Client:
    return cast(Client, StagedClient(stage, work or stage.run_all))


def test_inputs(stage: Stage) -> None:
    fs = client(stage)

    def names(path: str) -> list[str]:
        return [entry.path for _, entry in expand(fs, [(0, path)])]

    assert names("/in") == ["/in/a.txt", "/in/b.txt"]
    assert names("in/b.txt") == ["/in/b.txt"]
    assert names("minidfs:///in/*.txt") == ["/in/a.txt", "/in/b.txt"]
    assert names("/in/_skipped") == ["/in/_skipped"], "named, so meant"
    for nothing in ("/nothing", "/in/*.csv"):
        with pytest.raises(NotFound, match="no such file"):
            names(nothing)
    with pytest.raises(BadArgument, match="minidfs put"):
        names("file:/etc/passwd")


def test_many_inputs_keep_their_order_and_their_numbers(stage: Stage) -> None:
    named = [(0, "/in/b.txt"), (1, "/in"), (1, "/in/a*"), (2, "/in/a.txt")]
    found = [(number, entry.path) for number, entry in expand(client(stage), named)]
    a, b = "/in/a.txt", "/in/b.txt"
    assert found == [(0, b), (1, a), (1, b), (1, a), (2, a)]
    with pytest.raises(NotFound, match=r"^no such file or directory: /nothing$"):
        expand(client(stage), [*named, (2, "/nothing"), (2, "/in/none")])


def test_a_job_with_output(stage: Stage) -> None:
    fs = client(stage)
    submitted = submit(fs, Words(), ["/in"], "out", Submission(Settings(split_bytes=4)))
    assert submitted.maps == 6, "10 bytes in splits of 4, twice"
    word = stage.take_orders(*ATTEMPTS)
    assert [order.task.split.start for _, order in word] == [0, 4]
    for worker, order in word:
        stage.succeed(worker, order)
    seen: list[w.JobState] = []

    def finish() -> None:
        for worker, order in stage.take_orders(*ATTEMPTS):
            stage.succeed(worker, order, 18 if isinstance(order, w.LaunchReduce) else 3)

    fs = client(stage, finish)
    end = watch(fs, submitted.job_id, lambda news: seen.append(news.report.state))
    result = result_of(fs, Words(), submitted, end)
    assert (result.job_id, result.output) == (submitted.job_id, "/out")
    assert seen[-1] is w.JobState.SUCCEEDED
    assert stage.names("/out") == ["_SUCCESS", "part-r-00000"]


def test_the_records_of_a_job_without_output(stage: Stage) -> None:
    stage.part = Exact().encode(["some", "words"], [1, 2])
    fs = client(stage)
    submitted = submit(fs, Words(), ["/in/a.txt"], None, Submission())
    result = result_of(fs, Words(), submitted, watch(fs, submitted.job_id))
    assert list(result) == [("some", 1), ("words", 2)]
    assert list(result) == [("some", 1), ("words", 2)], "as often as one likes"
    assert stage.names(f"/.jobs/{submitted.job_id}") is None


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("word", [w.AddSplits, w.StartJob])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OutcomeUnknown("no answer")])
def test_a_job_that_could_not_be_started_for_certain_is_killed(
    stage: Stage, word: type[Message], error: BaseException, heard: bool
) -> None:
    fs = StagedClient(stage).ending_at(word, error, heard=heard)
    with pytest.raises(type(error)):
        submit(cast(Client, fs), Words(), ["/in/a.txt"], "/o1", Submission())
    assert stage.report().state is w.JobState.KILLED
    assert len(stage.ask(w.ListJobs(True), w.JobList).jobs) == 1


def test_a_job_that_could_not_even_be_killed_is_named(stage: Stage) -> None:
    lost = OutcomeUnknown("no answer")
    fs = StagedClient(stage).ending_at(w.StartJob, lost, heard=True)
    fs.ending_at(w.KillJob, Unavailable("gone"), heard=False)
    with pytest.raises(OutcomeUnknown, match=r"no answer; j-20261121-0001 may be running"):
        submit(cast(Client, fs), Words(), ["/in/a.txt"], "/o1", Submission())


def test_an_answer_of_another_kind_is_the_peers_fault(stage: Stage) -> None:
    with pytest.raises(ProtocolError, match="ListWorkers was answered by WorkerList"):
        ask(client(stage), w.ListWorkers(), w.JobNews)


def test_a_bundle_that_went_while_it_was_needed_is_uploaded_again(stage: Stage) -> None:
    fs = StagedClient(stage)
    exists = fs.exists
    answers = iter([True])

    def as_if_there(path: str) -> bool:
        return next(answers, None) or exists(path)

    fs.exists = as_if_there  # type: ignore[method-assign]
    submit(cast(Client, fs), Words(), ["/in/a.txt"], "/o1", Submission())
    assert len(stage.names(w.BUNDLE_FOLDER) or []) == 2


def test_the_bundle_is_uploaded_once(stage: Stage) -> None:
    fs = client(stage)
    for output in ("/o1", "/o2"):
        submit(fs, Words(), ["/in/a.txt"], output, Submission())
    (name,) = set(stage.names(w.BUNDLE_FOLDER) or []) - {f"{BUNDLE}.zip"}
    assert name.endswith(".zip")


def test_failed_and_killed(stage: Stage) -> None:
    def fail() -> None:
        for _, order in stage.take_orders(*ATTEMPTS):
            ident = w.AttemptId.of(order.task)
            stage.tell("w1", w.AttemptFailed(ident, w.FailureKind.CRASH, "signal 9"))

    fs = client(stage, fail)
    options = w.JobOptions(max_attempts=2)
    submitted = submit(fs, Words(), ["/in/a.txt"], "/o1", Submission(options=options))
    with pytest.raises(JobFailed, match=r"m-00000\.1 on w1 failed: signal 9"):
        result_of(fs, Words(), submitted, watch(fs, submitted.job_id))
    fs = client(stage, lambda: None)
    submitted = submit(fs, Words(), ["/in/a.txt"], "/o2", Submission(name="other"))
    stage.ask(w.KillJob(submitted.job_id), Ok)
    with pytest.raises(JobKilled, match="killed by anna"):
        result_of(fs, Words(), submitted, watch(fs, submitted.job_id))
    assert stage.report().name == "other"


def test_an_interrupt_kills_the_job(stage: Stage) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    fs = client(stage, interrupt)
    submitted = submit(fs, Words(), ["/in/a.txt"], "/o1", Submission())
    with pytest.raises(KeyboardInterrupt):
        watch(fs, submitted.job_id)
    assert stage.report().state is w.JobState.KILLED


def test_side_files_lie_with_the_job_and_go_with_it(stage: Stage, tmp_path: Path) -> None:
    known = tmp_path / "known.txt"
    known.write_bytes(b"a b")
    fs = client(stage)
    submitted = submit(fs, Words(), ["/in/a.txt"], None, Submission(files=(known,)))
    folder = w.files_folder(submitted.job_id)
    assert stage.names(folder) == ["known.txt"]
    (file,) = submitted.spec.files
    assert (file.name, file.size_bytes) == ("known.txt", 3)
    watch(fs, submitted.job_id)
    assert stage.names(folder) is None
    assert stage.names(submitted.folder), "the parts stay until they are fetched"


def test_a_side_file_that_changes_meanwhile_ends_the_job(stage: Stage, tmp_path: Path) -> None:
    known = tmp_path / "known.txt"
    known.write_bytes(b"a b")
    staged = StagedClient(stage)
    plain = staged.run

    def run(message: Message) -> Message:
        if isinstance(message, w.SubmitJob):
            known.write_bytes(b"c")
        return plain(message)

    staged.run = run  # type: ignore[method-assign]
    with pytest.raises(BadArgument, match=r"known\.txt changed while the job was submitted"):
        submit(cast(Client, staged), Words(), ["/in"], "/out", Submission(files=(known,)))
    assert stage.report().state is w.JobState.KILLED
