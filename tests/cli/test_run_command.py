"""`minimr run` on this machine's files, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

from cli.jobs.job_command import job_operand
from cli.jobs.run import command
from tests.cli.shell import Shell

COUNT = '''
"""A module."""
import mapreduce as mr

class Count(mr.Job):
    """Counts words, and says so."""
    fold: bool = mr.param(True, help="fold case")
    longer_than: int = mr.param(0, help="ignore short words")

    def mapper(self, key, line):
        for word in line.split():
            if len(word) > self.longer_than:
                yield (word.lower() if self.fold else word), 1

    def reducer(self, word, counts):
        yield word, sum(counts)

if __name__ == "__main__":
    Count.main()
'''


@pytest.fixture
def job(tmp_path: Path) -> str:
    file = tmp_path / "count.py"
    file.write_text(COUNT, encoding="utf-8")
    return str(file)


@pytest.fixture
def text(tmp_path: Path) -> str:
    file = tmp_path / "text"
    file.write_text("a b A\nccc b", encoding="utf-8")
    return str(file)


def inline(job: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``minimr run -r inline`` in a process of its own, since it runs user code."""
    return subprocess.run(
        [sys.executable, "-m", "cli.minimr", "run", "-r", "inline", job, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_options_of_the_job_stand_beside_those_of_the_command(shell: Shell, job: str) -> None:
    ended = shell.minimr("run", job, "--help")
    assert ended.code == 0
    for said in ("Counts words, and says so.", "--no-fold", "ignore short words", "-o OUTPUT"):
        assert said in ended.out
    general = shell.minimr("run", "--help")
    assert "Run a job over INPUT" in general.out
    assert "--no-fold" not in general.out


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ((), ["a\t2", "b\t2", "ccc\t1"]),
        (("--no-fold",), ["A\t1", "a\t1", "b\t2", "ccc\t1"]),
        (("--longer-than", "1"), ["ccc\t1"]),
        (("-n", "1", "--longer-than=9"), []),
    ],
)
def test_without_an_output_the_records_are_printed(
    job: str, text: str, options: tuple[str, ...], lines: list[str]
) -> None:
    done = inline(job, text, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == lines


def test_an_output_appears_whole_and_is_not_replaced_unasked(
    job: str, text: str, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = inline(job, text, "-o", str(output), "-n", "2")
    assert (done.returncode, done.stdout) == (0, "")
    names = sorted(path.name for path in output.iterdir())
    assert names == ["_SUCCESS", "part-r-00000", "part-r-00001"]
    assert inline(job, text, "-o", str(output)).returncode == 4
    assert inline(job, text, "-o", str(output), "-n", "1", "--overwrite").returncode == 0
    assert len(list(output.iterdir())) == 2


def test_a_job_file_that_is_run_is_the_same_command(job: str, text: str) -> None:
    done = subprocess.run(
        [sys.executable, job, "-r", "inline", text, "--longer-than", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "ccc\t1\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-r", "local", "-d"), "-r cluster"),
        (("-r", "inline", "--speculative"), "-r cluster"),
        (("-r", "local", "--speculative"), "-r cluster"),
        (("-r", "inline", "-D", "priority=high"), "from -100 to 100"),
        (("-r", "inline", "-d"), "-r cluster"),
        (("-r", "inline", "--task-memory", "1G"), "-r cluster"),
        (("-r", "inline", "-D", "spill_byte=1M"), "spill_bytes"),
        (("-r", "inline", "--longer-than", "x"), "--longer-than"),
        (("-r", "inline", "--fold=1"), "--fold"),
        (("-r", "nowhere",), "nowhere"),
        (("--progress", "loud",), "loud"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_in_one_line(
    shell: Shell, job: str, text: str, arguments: tuple[str, ...], said: str
) -> None:
    ended = shell.minimr("run", job, text, *arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert said in ended.err


def test_what_is_sent_to_side_outputs_needs_an_output(text: str, tmp_path: Path) -> None:
    job = tmp_path / "errors.py"
    job.write_text(
        "import mapreduce as mr\n"
        "def mapper(key, line):\n"
        "    yield line, 1\n"
        "    yield mr.to('errors', line)\n",
        encoding="utf-8",
    )
    done = inline(str(job), text)
    assert done.stdout == "a b A\t1\nccc b\t1\n"
    assert done.stderr == "minimr: 2 records for 'errors' dropped: name an output with -o\n"
    done = inline(str(job), text, "-o", str(tmp_path / "out"))
    assert (done.returncode, "dropped" in done.stderr) == (0, False)
    assert (tmp_path / "out/errors/part-m-00000").read_text("utf-8") == "a b A\nccc b\n"


def test_side_files_and_archives_on_the_command_line(text: str, tmp_path: Path) -> None:
    job, known, archive = (tmp_path / name for name in ("job.py", "known", "lib.zip"))
    job.write_text(
        "import mapreduce as mr\n"
        "import packed\n"
        "def mapper(key, line):\n"
        "    yield packed.NAME, mr.file('known').read_text()\n",
        encoding="utf-8",
    )
    known.write_text("K", encoding="utf-8")
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("packed.py", "NAME = 'packed'\n")
    for py_files in (["--py-files", str(archive)], [f"--py-files={archive}"]):
        done = inline(str(job), text, "--files", str(known), *py_files)
        assert (done.stdout, done.returncode) == ("packed\tK\n" * 2, 0)


def test_missing_inputs_and_files(shell: Shell, job: str, tmp_path: Path) -> None:
    for runner in ("inline", "local"):
        for option in ("--files", "--py-files"):
            ended = shell.minimr("run", "-r", runner, job, job, option, "none")
            assert (ended.code, ended.err.count("\n")) == (3, 1)
    assert shell.minimr("run", job).code == 2
    assert shell.minimr("run", str(tmp_path / "none.py"), "x").code == 3
    assert shell.minimr("run", "-r", "inline", job, str(tmp_path / "none")).code == 3


def test_a_job_that_was_meant_for_a_cluster_that_is_down_does_not_run_here(
    shell: Shell, job: str, text: str
) -> None:
    assert shell.minidfs("init", "--listen", "127.0.0.1:9").code == 0
    ended = shell.minimr("run", job, text)
    assert (ended.code, ended.out) == (5, "")
    assert shell.minimr("list").code == 5


def test_a_parameter_may_not_hide_an_option(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "job.py"
    file.write_text(
        "import mapreduce as mr\n"
        "class Hide(mr.Job):\n"
        "    overwrite: bool = mr.param(False)\n"
        "    def mapper(self, key, line):\n"
        "        yield line, 1\n",
        encoding="utf-8",
    )
    ended = shell.minimr("run", str(file), "x")
    assert ended.code == 2
    assert "--overwrite" in ended.err


@pytest.mark.parametrize(
    ("arguments", "operand"),
    [
        (["job.py", "in"], "job.py"),
        (["-r", "inline", "job.py"], "job.py"),
        (["-rinline", "--overwrite", "--progress=none", "job.py"], "job.py"),
        (["--progress", "none", "-D", "a=b", "-o", "out", "job.py", "-n", "2"], "job.py"),
        (["--help"], None),
        (["-o", "out"], None),
        ([], None),
    ],
)
def test_the_job_is_the_first_operand(arguments: list[str], operand: str | None) -> None:
    assert isinstance(command, click.Command)
    assert job_operand(arguments, command.params) == operand
