"""The local runner with real task processes: what it gives, what it survives, what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mapreduce as mr
from dfs.errors import Exists, NotFound
from examples.wordcount import WordCount
from mapreduce.errors import RecordsLost
from mapreduce.job import Settings
from mapreduce.job_class import Job
from mapreduce.loader import load_job
from mapreduce.result import Result
from mapreduce.runners import inline, local
from mapreduce.runners.local import LocalRunner
from mapreduce.runners.local_scratch import sweep
from mapreduce.runners.submission import Submission
from mapreduce.shuffle.run_index import encode_index, read_index
from mapreduce.wire import JobNews, JobOptions
from mapreduce.worker.process_tree import TAG_VARIABLE
from tests.integration.cluster_here import until
from tests.mapreduce.test_chains import MostFrequent

LINES = "".join(f"{n} {n % 7}\n" for n in range(300))
SPLIT = Settings(split_bytes=400)
JOB = '''
import os, time, signal
from pathlib import Path
import mapreduce as mr

class Acts(mr.Job):
    """Does something bad in the middle of the second of two splits."""

    partitions = 2
    act: str = mr.param("")
    place: str = mr.param("", help="an empty folder")

    def mapper(self, key, line):
        if key[1] > 600 and self.act:
            getattr(self, self.act)()
        yield line, os.environ.get("GREETING", "")

    def first_only(self):
        marks = Path(self.place, "been-here")
        if marks.exists():
            self.act = ""
            return False
        marks.touch()
        return True

    def eats(self):
        held = []
        while True:
            held.append(b"x" * (1 << 20))

    def dies_once(self):
        if self.first_only():
            os.kill(os.getpid(), signal.SIGKILL)

    def dies(self):
        print("last words", flush=True)
        os._exit(3)

    def raises(self):
        raise ValueError("no such luck")

    def hangs(self):
        Path(self.place, "hanging").touch()
        while True:
            time.sleep(1)

    def nests(self):
        Acts().run([__file__], None, "inline")

class Grouped(Acts):
    def reducer(self, key, values):
        yield key, len(list(values))
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("local")
    (made / "acts.py").write_text(JOB, encoding="utf-8")
    (made / "text").write_text(LINES, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def runner() -> Iterator[LocalRunner]:
    with LocalRunner() as made:
        scratch = made.scratch
        yield made
    assert not scratch.exists()
    assert not tagged(scratch)


@pytest.fixture(autouse=True)
def _nothing_of_a_run_is_left(runner: LocalRunner) -> Iterator[None]:
    yield
    for name in ("attempts", "runs", "logs", "steps"):
        assert list(runner.scratch.glob(f"{name}/*")) == []


def tagged(scratch: Path) -> bool:
    """Is there a process that carries a tag below this folder?"""
    tag = f"{TAG_VARIABLE}={scratch.resolve()}".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if tag in entry.read_bytes():
                return True
        except OSError:
            continue
    return False


def acts(folder: Path, name: str = "Acts", **params: Any) -> Job:
    return load_job(f"{folder / 'acts.py'}:{name}")(**params)


def on(
    runner: LocalRunner,
    job: Job,
    folder: Path,
    output: Path | None = None,
    on_news: Callable[[JobNews], None] = lambda news: None,
    **options: Any,
) -> Result:
    submission = Submission(SPLIT, JobOptions(**options))
    target = None if output is None else str(output)
    return runner.run(job, [str(folder / "text")], target, submission, on_news)


def files_in(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.iterdir()}


def test_it_writes_what_inline_writes(runner: LocalRunner, folder: Path, tmp_path: Path) -> None:
    job, text = WordCount(), str(folder / "text")
    here = on(runner, job, folder, tmp_path / "here")
    reference = inline.run(job, [text], str(tmp_path / "reference"), SPLIT)
    assert files_in(tmp_path / "here") == files_in(tmp_path / "reference")
    assert here.counters == reference.counters
    assert (here.job_id, here.state) == ("local", "succeeded")
    assert list(here) == list(reference)


def test_the_library_runs_it_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = WordCount().run([str(folder / "text")], None, "local")
    assert dict(result)["299"] == 1
    assert len(list(tmp_path.iterdir())) == 1, "the records of the result"
    del result
    assert list(tmp_path.iterdir()) == []
    assert not tagged(tmp_path)


def test_a_chain_of_steps(runner: LocalRunner, folder: Path, tmp_path: Path) -> None:
    job, text = MostFrequent(top=5), str(folder / "text")
    here = on(runner, job, folder, tmp_path / "here")
    reference = inline.run(job, [text], str(tmp_path / "reference"), SPLIT)
    assert files_in(tmp_path / "here") == files_in(tmp_path / "reference")
    assert here.counters == reference.counters


def test_news_of_a_run_end_with_its_success(runner: LocalRunner, folder: Path) -> None:
    news: list[JobNews] = []
    on(runner, WordCount(), folder, None, news.append)
    last = news[-1].report
    assert (last.state, last.maps.done, last.reduces.done) == ("succeeded", 5, 4)
    assert last.counters["records"]["map_input"] == 300
    assert last.counters["bytes"]["map_input"] == len(LINES)
    assert news[-1].progress == 1
    parts = [one.progress for one in news]
    assert parts == sorted(parts), "nothing is lost here"
    assert any(one.report.counters and one.progress < 1 for one in news), "while it runs"
    assert [one.events for one in news if one.events] == []


@pytest.mark.parametrize("name", ["Acts", "Grouped"])
def test_a_task_that_is_killed_runs_again(
    runner: LocalRunner, folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "marks").mkdir()
    news: list[JobNews] = []
    job = acts(folder, name, act="dies_once", place=str(tmp_path / "marks"))
    on(runner, job, folder, tmp_path / "here", news.append)
    told = [event.text for one in news for event in one.events]
    assert len(told) == 1
    assert "was killed by signal SIGKILL" in told[0]
    inline.run(acts(folder, name), [str(folder / "text")], str(tmp_path / "reference"), SPLIT)
    assert files_in(tmp_path / "here") == files_in(tmp_path / "reference")


@pytest.mark.parametrize(
    ("act", "attempts", "said"),
    [
        ("raises", 2, "ValueError: no such luck\nin the mapper, input"),
        ("dies", 3, "exited with status 3"),
        ("nests", 2, "a task cannot run a job"),
        ("hangs", 1, "made no progress for 1 s"),
        ("eats", 1, "memory limit of 150 MiB exceeded: "),
    ],
)
def test_a_job_that_fails_leaves_nothing(
    runner: LocalRunner,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    act: str,
    attempts: int,
    said: str,
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    news: list[JobNews] = []
    bounds = {"hangs": {"task_timeout_ns": 10**9}, "eats": {"task_memory_bytes": 150 << 20}}
    options = {"max_attempts": 1, **bounds[act]} if act in bounds else {"max_attempts": 3}
    job = acts(folder, act=act, place=str(marks))
    with pytest.raises(mr.JobFailed, match="failed: ") as caught:
        on(runner, job, folder, tmp_path / "out", news.append, **options)
    assert said in caught.value.message
    told = [event.text for one in news for event in one.events]
    assert len(told) >= attempts
    assert told[0] == caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["marks"]
    assert ("last words" in capsys.readouterr().err) == (act == "dies")


def test_the_environment_and_further_code_reach_the_tasks(
    runner: LocalRunner, folder: Path, tmp_path: Path
) -> None:
    found = dict(on(runner, acts(folder), folder, env={"GREETING": "hello"}))
    assert set(found.values()) == {"hello"}
    assert set(dict(on(runner, acts(folder), folder)).values()) == {""}
    (tmp_path / "words.py").write_text("def cut(line):\n    return line.split()\n")
    (tmp_path / "job.py").write_text(
        "def mapper(key, line):\n    import words\n    yield words.cut(line)[0], 1\n"
    )
    submission = Submission(py_files=(tmp_path / "words.py",))
    job = load_job(str(tmp_path / "job.py"))()
    result = runner.run(job, [str(folder / "text")], None, submission)
    assert len(list(result)) == 300


def test_inputs_and_outputs_that_are_refused(runner: LocalRunner, folder: Path) -> None:
    with pytest.raises(Exists):
        on(runner, WordCount(), folder, folder)
    with pytest.raises(NotFound):
        on(runner, WordCount(), folder / "nowhere")


class Spoiler:
    """Does something to each run file when the maps are done, before a reduce begins."""

    def __init__(self, runner: LocalRunner, spoil: Callable[[Path], object]) -> None:
        self._runs, self._spoil = runner.scratch / "runs" / "local", spoil
        self.told: list[str] = []

    def __call__(self, news: JobNews) -> None:
        self.told += [event.text for event in news.events]
        maps = news.report.maps
        if maps.done == maps.total and not news.report.reduces.running and not self.told:
            self.told.append("spoiled")
            for path in self._runs.iterdir():
                self._spoil(path)


def damage(path: Path) -> None:
    """Another byte in the middle of the last block: the reduce that reads it finds it."""
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        entry = read_index(file).partitions[-1]
    data[entry.offset + entry.size_bytes - 20] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [damage, Path.unlink, lambda path: os.truncate(path, 100)])
def test_a_run_that_is_damaged_is_made_again(
    runner: LocalRunner, folder: Path, spoil: Callable[[Path], object]
) -> None:
    spoiler = Spoiler(runner, spoil)
    found = list(on(runner, WordCount(), folder, None, spoiler, max_attempts=10))
    assert spoiler.told[0] == "spoiled"
    assert all(" failed: " in text for text in spoiler.told[1:])
    assert len(spoiler.told) > 1
    assert found == list(inline.run(WordCount(), [str(folder / "text")], None, SPLIT))


def count_one_more(path: Path) -> None:
    """The footer of the run says that its first partition holds a record more than it does."""
    data = path.read_bytes()
    with path.open("rb") as file:
        index = read_index(file)
    first = index.partitions[0]
    spoiled = [first._replace(records=first.records + 1), *index.partitions[1:]]
    footer = encode_index(index.map_index, spoiled)
    path.write_bytes(data[: -len(footer)] + footer)


def test_records_that_are_counted_wrong_fail_the_job(
    runner: LocalRunner, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecordsLost, match="records were written and"):
        on(runner, WordCount(), folder, tmp_path / "out", Spoiler(runner, count_one_more))
    assert list(tmp_path.iterdir()) == []


def command(folder: Path, tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    """``minimr run`` without a configured cluster, its temporary files in ``tmp``."""
    (tmp_path / "tmp").mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MINIDFS", "MINIMR"))}
    return subprocess.Popen(
        [sys.executable, "-m", "cli.minimr", "run", str(folder / "acts.py") + ":Acts",
         str(folder / "text"), *arguments],
        env={**kept, "MINIDFS_HOME": str(tmp_path / "none"), "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_without_a_cluster_the_command_runs_it(folder: Path, tmp_path: Path) -> None:
    done = command(folder, tmp_path, "--env", "GREETING=hi", "--name", "mine", "--json")
    out, err = done.communicate(timeout=60)
    assert (done.returncode, out.splitlines()[0]) == (0, "0 0\thi"), err
    assert "local succeeded in" in err
    failed = command(folder, tmp_path, "--act", "raises", "-o", str(tmp_path / "out"))
    out, err = failed.communicate(timeout=60)
    assert (failed.returncode, out, err.count("ValueError: no")) == (10, "", 1)
    assert "m-00000.1 is shown above" in err
    assert command(folder, tmp_path, "-d").wait(60) == 2
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_whatever_ends_the_command_ends_its_tasks(
    folder: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "marks").mkdir()
    run = command(folder, tmp_path, "-o", str(tmp_path / "out"),
                  "--act", "hangs", "--place", str(tmp_path / "marks"))  # fmt: skip
    until((tmp_path / "marks" / "hanging").exists)
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert run.returncode == code, err
    until(lambda: not tagged(tmp_path / "tmp"))
    if number != signal.SIGKILL:
        assert (err, list((tmp_path / "tmp").iterdir())) == ("", [])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["marks", "tmp"]
    else:
        assert len(list((tmp_path / "tmp").iterdir())) == 1
        assert command(folder, tmp_path).wait(60) == 0
        assert list((tmp_path / "tmp").iterdir()) == []


def test_only_what_killed_runs_left_is_swept(tmp_path: Path) -> None:
    for name in ("minimr-left", "minimr-new", "minimr-other", "kept"):
        (tmp_path / name).mkdir()
    for name in ("minimr-left/LOCK", "minimr-new/LOCK.new", "kept/LOCK"):
        (tmp_path / name).touch()
    (tmp_path / "minimr-left" / "runs").mkdir()
    (tmp_path / "minimr-file").touch()
    sweep(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["kept", "minimr-file", "minimr-new", "minimr-other"]


def test_a_run_that_lives_is_not_swept(runner: LocalRunner) -> None:
    sweep(runner.scratch.parent)
    assert runner.scratch.exists()


def test_the_cores_of_this_machine() -> None:
    assert 1 <= local.usable_cores() <= (os.cpu_count() or 1)
