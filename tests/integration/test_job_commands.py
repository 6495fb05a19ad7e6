"""Jobs on a running cluster through the commands, beside plain sequential answers."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.cluster_here import ClusterHere, until

pytestmark = pytest.mark.cluster

EXAMPLES = Path(__file__).parents[2] / "examples"
SOURCES = Path(sysconfig.get_path("stdlib"))
BOOKS = ("argparse.py", "ast.py", "datetime.py", "inspect.py", "subprocess.py", "typing.py")
INPUT = "/books"


@pytest.fixture(scope="module")
def books(cluster: ClusterHere) -> list[Path]:
    """Files of Python's own library, stored in small chunks below ``INPUT``."""
    files = [SOURCES / name for name in BOOKS]
    cluster.minidfs("put", "--chunk-size", "64K", *files, f"{INPUT}/")
    return files


def lines(text: str) -> list[str]:
    return sorted(text.splitlines())


def count_words(files: list[Path], fold: bool = True) -> list[str]:
    words: Counter[str] = Counter()
    for file in files:
        for line in file.read_text(encoding="utf-8").split("\n"):
            words.update((line.lower() if fold else line).split())
    return sorted(f"{word}\t{n}" for word, n in words.items())


def parts(cluster: ClusterHere, output: str) -> dict[str, bytes]:
    return {name: cluster.cat(f"{output}/{name}") for name in cluster.names(output)}


def test_word_count_on_both_runners(
    cluster: ClusterHere, books: list[Path], tmp_path: Path
) -> None:
    job = EXAMPLES / "wordcount.py"
    done = cluster.minimr("run", job, INPUT, "-o", "/counted", "-n", "3", "--no-fold")
    assert done.stdout == ""
    assert re.search(r"j-\d{8}-\d{4} succeeded", done.stderr)
    found = parts(cluster, "/counted")
    assert sorted(found) == ["_SUCCESS", "part-r-00000", "part-r-00001", "part-r-00002"]
    assert lines(b"".join(found.values()).decode()) == count_words(books, fold=False)
    local = tmp_path / "counted"
    inputs = [str(file) for file in books]
    split = ("-D", "split_bytes=64K")
    cluster.minimr("run", "-r", "inline", job, *inputs, "-o", local, "-n", "3", "--no-fold", *split)
    assert {path.name: path.read_bytes() for path in local.iterdir()} == found
    cluster.minimr("run", job, INPUT, "-o", "/counted", code=4)
    cluster.minimr("run", job, INPUT, "-o", "/counted", "-n", "1", "--overwrite")
    assert lines(cluster.cat("/counted/part-*").decode()) == count_words(books)


@pytest.mark.parametrize("runner", ["inline", "cluster"])
def test_the_inverted_index(cluster: ClusterHere, books: list[Path], runner: str) -> None:
    inputs = [INPUT] if runner == "cluster" else [str(file) for file in books]
    done = cluster.minimr(
        "run", "-r", runner, EXAMPLES / "inverted_index.py", *inputs, "--min-length", "4"
    )
    index: dict[str, set[str]] = {}
    for file in books:
        for word in re.findall(r"\w+", file.read_text(encoding="utf-8").lower()):
            if len(word) >= 4:
                index.setdefault(word, set()).add(file.name)
    expected = sorted(f"{word}\t{' '.join(sorted(names))}" for word, names in index.items())
    assert lines(done.stdout) == expected


@pytest.mark.parametrize("runner", ["inline", "cluster"])
def test_grep(cluster: ClusterHere, books: list[Path], runner: str) -> None:
    inputs = [f"{INPUT}/*.py"] if runner == "cluster" else [str(file) for file in books]
    done = cluster.minimr(
        "run", "-r", runner, EXAMPLES / "grep.py", *inputs, "--pattern", "def _[a-z]+"
    )
    expected = [
        line
        for file in books
        for line in file.read_text(encoding="utf-8").split("\n")
        if re.search("def _[a-z]+", line)
    ]
    assert sorted(line.partition("\t")[2] for line in done.stdout.splitlines()) == sorted(expected)


def test_killed_nodes_change_no_count(own_cluster: ClusterHere) -> None:
    cluster = own_cluster
    cluster.minidfs("up", "--nodes", "4")
    files = [SOURCES / name for name in BOOKS]
    cluster.minidfs("put", "--chunk-size", "64K", *files, f"{INPUT}/")
    job = EXAMPLES / "wordcount.py"
    run = cluster.begin("minimr", "run", job, INPUT, "-n", "3", "--pause", "0.5")
    until(lambda: running_job(cluster)["maps"]["done"] >= 2)
    pids = cluster.pids()
    for process_id in ("datanode-2", "worker-3"):
        os.kill(pids[process_id], signal.SIGKILL)
    out, err = run.communicate(timeout=150)
    assert run.returncode == 0, err
    assert lines(out.decode()) == count_words(files)
    until(lambda: cluster.status()["state"] == "serving")
    assert cluster.pids()["worker-3"] != pids["worker-3"]


def running_job(cluster: ClusterHere) -> dict[str, dict[str, int]]:
    listed = cluster.minimr("list", "--json").stdout.splitlines()
    found: dict[str, dict[str, int]] = json.loads(listed[0]) if listed else {"maps": {"done": 0}}
    return found


def write_job(folder: Path, body: str) -> Path:
    file = folder / "job.py"
    file.write_text(body, encoding="utf-8")
    return file


@pytest.mark.parametrize("runner", ["inline", "cluster"])
def test_a_mapper_that_raises_shows_its_own_traceback(
    cluster: ClusterHere, tmp_path: Path, runner: str
) -> None:
    job = write_job(
        tmp_path,
        "def mapper(key, line):\n    yield line, 1 // (line != 'poison')\n",
    )
    text = tmp_path / "text.txt"
    text.write_bytes(b"one\ntwo\npoison\nfour\n")
    place = text if runner == "inline" else f"/poison-{runner}"
    if runner == "cluster":
        cluster.minidfs("put", text, place)
    output = tmp_path / "out" if runner == "inline" else "/poison-out"
    done = cluster.minimr("run", "-r", runner, job, place, "-o", output, code=10)
    assert "ZeroDivisionError" in done.stderr
    assert f"{job.name}" in done.stderr
    assert "line 2, in mapper" in done.stderr
    assert f"input {place}, byte offset 8, record" in done.stderr
    assert "mapreduce/" not in done.stderr
    assert done.stderr.count("ZeroDivisionError") == 1, "said once"
    if runner == "cluster":
        cluster.minidfs("stat", "/poison-out", code=3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("runner", ["inline", "cluster"])
def test_keys_of_two_types_are_both_named(
    cluster: ClusterHere, books: list[Path], tmp_path: Path, runner: str
) -> None:
    job = write_job(
        tmp_path,
        "def mapper(key, line):\n    yield (1 if len(line) > 5 else 'short'), 1\n"
        "def reducer(key, values):\n    yield key, sum(values)\n",
    )
    source = INPUT if runner == "cluster" else str(books[0])
    done = cluster.minimr("run", "-r", runner, job, source, code=10)
    assert "int" in done.stderr
    assert "str" in done.stderr


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("def mapper(key, line)\n    pass\n", 2, "job.py:1: syntax error"),
        ("def reducer(key, values): pass\n", 2, "no mapper"),
        ("import mapreduce as mr\nclass A(mr.Job):\n    pass\n", 2, "no mapper"),
        ("raise RuntimeError('early')\n", 10, "RuntimeError: early"),
    ],
)
def test_job_files_that_are_none(
    cluster: ClusterHere, tmp_path: Path, body: str, code: int, said: str
) -> None:
    job = write_job(tmp_path, body)
    assert said in cluster.minimr("run", job, INPUT, code=code).stderr
    assert said in cluster.minimr("run", job, "--help", code=code).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["/nothing/here"], 3, "/nothing/here"),
        (["/nothing/*.txt"], 3, "/nothing/*.txt"),
        (["file:/etc/passwd"], 2, "minidfs put"),
        ([INPUT, "-D", "split_byte=1M"], 2, "split_bytes"),
        ([INPUT, "-D", "split_bytes"], 2, "KEY=VALUE"),
        ([INPUT, "-n", "0"], 2, "partitions"),
        ([INPUT, "-r", "local", "-d"], 2, "-r cluster"),
        ([INPUT, "--files", "nowhere/x"], 3, "nowhere/x"),
        ([INPUT, "-D", "priority=101"], 2, "from -100 to 100"),
        ([INPUT, "--pauze", "1"], 2, "--pause"),
        ([INPUT, "-r", "inline", "--max-attempts", "2"], 2, "-r cluster"),
    ],
)
def test_requests_that_are_refused(
    cluster: ClusterHere, books: list[Path], arguments: list[str], code: int, said: str
) -> None:
    done = cluster.minimr("run", EXAMPLES / "wordcount.py", *arguments, code=code)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_in_the_background(cluster: ClusterHere, books: list[Path]) -> None:
    job = EXAMPLES / "grep.py"
    pattern = ("--pattern", "import")
    job_id = cluster.minimr("run", "-d", job, INPUT, "-o", "/found", *pattern).stdout.strip()
    assert re.fullmatch(r"j-\d{8}-\d{4}", job_id)
    assert cluster.minimr("wait", job_id).stdout == f"{job_id} succeeded\n"
    report = json.loads(cluster.minimr("status", "--json", "@last").stdout)
    assert list(report) == [
        "v", "job", "name", "state", "maps", "reduces", "counters", "locality", "started",
        "ended", "output", "error",
    ]  # fmt: skip
    assert (report["state"], report["output"], report["error"]) == ("succeeded", "/found", None)
    assert report["maps"]["done"] == report["maps"]["total"] > len(BOOKS)
    assert sum(report["locality"].values()) >= report["maps"]["total"]
    matches = cluster.cat("/found/part-*").count(b"\n")
    assert cluster.minimr("counters", "@last", "user:matches").stdout == f"{matches}\n"
    assert f"user:matches  {matches}" in re.sub(
        " +", "  ", cluster.minimr("counters", job_id, "user").stdout
    )
    cluster.minimr("counters", "@last", "user:none", code=3)
    cluster.minimr("counters", "@last", "none", code=3)
    lines_of_tasks = cluster.minimr("tasks", "--json", job_id).stdout.splitlines()
    tasks = [json.loads(line) for line in lines_of_tasks]
    assert [task["task"] for task in tasks][:2] == ["m-00000", "m-00001"]
    assert len(tasks) == report["maps"]["total"]
    assert {task["state"] for task in tasks} == {"done"}
    events = [
        json.loads(line)
        for line in cluster.minimr("events", "-f", "--json", job_id).stdout.splitlines()
    ]
    assert [event["text"] for event in (events[0], events[-1])] == ["queued", "succeeded"]
    ended = {event["attempt"] for event in events if event["event"] == "attempt_done"}
    assert {name.partition(".")[0] for name in ended} == {task["task"] for task in tasks}
    story = cluster.minimr("why", "@last", "m-1").stdout
    assert re.search(r"m-00001\.1 started on worker-[123], ", story)
    assert story.endswith("-> the task is done\n")


def test_what_tasks_print_is_shown(cluster: ClusterHere, books: list[Path], tmp_path: Path) -> None:
    body = "import os, sys\n\ndef mapper(key, line):\n    if key[1] == 0:\n"
    body += "        print('reads', os.path.basename(key[0]))\n"
    body += "        print('grumbles', file=sys.stderr)\n    yield 1, 1\n"
    job = write_job(tmp_path, body)
    job_id = cluster.minimr("run", "-d", job, INPUT, "-o", "/printed").stdout.strip()
    shown = cluster.minimr("logs", "-f", job_id).stdout.splitlines()
    assert {line for line in shown if line.startswith("reads")} == {f"reads {b}" for b in BOOKS}
    assert shown.count("grumbles") == len(BOOKS)
    one = cluster.minimr("logs", job_id, "m-0.1").stdout
    assert re.match(r"== m-00000\.1 on worker-[123]\n", one)
    assert lines(one)[1:] == ["grumbles", f"reads {BOOKS[0]}"]
    cluster.minimr("logs", job_id, "m-99999", code=3)
    cluster.minimr("logs", job_id, "x", code=2)


def test_a_job_that_is_killed(cluster: ClusterHere, books: list[Path]) -> None:
    job = EXAMPLES / "wordcount.py"
    job_id = cluster.minimr("run", "-d", job, INPUT, "-o", "/never", "--pause", "3").stdout.strip()
    assert job_id in cluster.minimr("list").stdout
    assert cluster.minimr("kill", job_id).stdout == f"{job_id} killed\n"
    assert "killed" in cluster.minimr("wait", job_id, code=11).stderr
    cluster.minidfs("stat", "/never", code=3)
    assert job_id not in cluster.minimr("list").stdout
    assert job_id in cluster.minimr("list", "--all").stdout


def test_an_attempt_that_is_killed_runs_again_and_is_no_failure(
    cluster: ClusterHere, books: list[Path]
) -> None:
    job, one = EXAMPLES / "wordcount.py", f"{INPUT}/{books[0].name}"
    options = ("-o", "/once-more", "-D", "split_bytes=1G", "--pause", "2", "--max-attempts", "1")
    job_id = cluster.minimr("run", "-d", job, one, *options).stdout.strip()
    until(lambda: cluster.minimr("kill", job_id, "--attempt", "m-00000.1", code=None).stdout != "")
    assert cluster.minimr("wait", job_id).stdout == f"{job_id} succeeded\n"
    (task,) = map(
        json.loads, cluster.minimr("tasks", "--json", "--kind", "map", job_id).stdout.splitlines()
    )
    assert (task["attempt"], task["state"]) == (2, "done")
    assert json.loads(cluster.minimr("status", "--json", job_id).stdout)["maps"]["failed"] == 0
    for arguments, code, said in (
        (("--task", "m-00000"), 3, "the job is over, succeeded"),
        (("--task", "m-00000.1"), 2, "a task is named like m-00003"),
        (("--attempt", "m-00000"), 2, "an attempt is named like m-00003.1"),
        (("--task", "x"), 2, "is no task"),
        (("--task", "m-00000", "--attempt", "m-00000.1"), 2, "either"),
    ):
        refused = cluster.minimr("kill", job_id, *arguments, code=code).stderr
        assert said in refused
        assert refused.count("\n") == 1


def test_an_interrupt_leaves_the_job_running_where_nobody_can_answer(
    cluster: ClusterHere, books: list[Path]
) -> None:
    job = EXAMPLES / "wordcount.py"
    run = cluster.begin("minimr", "run", job, INPUT, "--pause", "3")
    assert run.stderr is not None
    job_id = run.stderr.readline().split()[1].decode()
    run.send_signal(signal.SIGINT)
    out, told = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, b"")
    assert f"come back with minimr wait {job_id}".encode() in told
    assert cluster.minimr("kill", job_id).stdout == f"{job_id} killed\n"


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 11), (b"", 130)])
def test_an_interrupt_on_a_terminal_asks(
    cluster: ClusterHere, books: list[Path], answer: bytes, code: int
) -> None:
    job = EXAMPLES / "wordcount.py"
    ours, theirs = pty.openpty()
    run = cluster.begin_on(theirs, "minimr", "run", str(job), INPUT, "--pause", "20")
    os.close(theirs)
    try:
        shown = read_until(ours, rb"(?s)is submitted.*maps 0/")
        job_id = re.findall(r"j-\d+-\d+", shown.decode())[0]
        run.send_signal(signal.SIGINT)
        read_until(ours, rf"minimr wait {job_id}".encode())
        if answer:
            os.write(ours, answer)
        else:
            run.send_signal(signal.SIGINT)
            read_until(ours, rb"runs on")
        assert run.wait(timeout=60) == code
        assert cluster.minimr("kill", job_id).stdout == f"{job_id} killed\n"
    finally:
        run.kill()
        os.close(ours)


def read_until(terminal: int, pattern: bytes) -> bytes:
    """What a terminal shows, up to this."""
    shown = b""
    while not re.search(pattern, shown):
        shown += os.read(terminal, 4096)
    return shown


def test_questions_about_jobs_that_do_not_exist(cluster: ClusterHere) -> None:
    for verb in ("status", "wait", "kill", "tasks", "counters", "events"):
        assert "j-1" in cluster.minimr(verb, "j-1", code=3).stderr


def test_workers_are_listed(cluster: ClusterHere) -> None:
    rows = [json.loads(line) for line in cluster.minimr("workers", "--json").stdout.splitlines()]
    assert [row["worker"] for row in rows] == ["worker-1", "worker-2", "worker-3"]
    assert all(row["slots"] >= 1 for row in rows)


def test_a_long_line_and_bytes_that_are_no_text(cluster: ClusterHere, tmp_path: Path) -> None:
    job = write_job(tmp_path, "def mapper(key, line):\n    yield key[1], len(line)\n")
    long = 50 * 1024 * 1024
    text = tmp_path / "odd"
    text.write_bytes(b"\xff\xfe\n" + b"x" * long + b"\nlast without an end")
    cluster.minidfs("put", text, "/odd")
    done = cluster.minimr("run", job, "/odd")
    assert lines(done.stdout) == sorted([f"0\t{2}", f"3\t{long}", f"{long + 4}\t{19}"])
    assert cluster.minimr("counters", "@last", "records:invalid_utf8").stdout == "1\n"
