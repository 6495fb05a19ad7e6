"""The inline runner over files, and the examples against plain sequential answers."""

from __future__ import annotations

import collections
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mapreduce as mr
from dfs.errors import BadArgument, Exists, NotFound, PermissionDenied
from examples.grep import Grep
from examples.inverted_index import InvertedIndex
from examples.wordcount import WordCount
from mapreduce.runners import chosen_runner
from mapreduce.runners.files import LocalFiles, dfs_path

SOURCES = Path(os.__file__).parent / "json"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.txt").write_text("one two\ntwo three", encoding="utf-8")
    (folder / "b.txt").write_text("", encoding="utf-8")
    (folder / "c.txt").write_text("Three three\n", encoding="utf-8")
    (folder / "_skipped").write_text("not this\n", encoding="utf-8")
    (folder / ".hidden").write_text("nor this\n", encoding="utf-8")
    (folder / "deeper" / "d.txt").write_text("nor that\n", encoding="utf-8")
    return folder


def count(words: list[str]) -> list[tuple[str, int]]:
    return sorted(collections.Counter(words).items())


def test_word_count_writes_parts_and_success(texts: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "out"
    (tmp_path / "new").mkdir()
    job = WordCount()
    job.partitions = 3
    result = job.run([str(texts)], str(output), "inline")
    names = sorted(path.name for path in output.iterdir())
    assert names == ["_SUCCESS", "part-r-00000", "part-r-00001", "part-r-00002"]
    assert [path.name for path in output.parent.iterdir()] == ["out"]
    lines = [line for n in names[1:] for line in (output / n).read_text("utf-8").splitlines()]
    assert sorted(lines) == ["one\t1", "three\t3", "two\t2"]
    assert sorted(result) == [("one", "1"), ("three", "3"), ("two", "2")]
    assert (result.state, result.output) == ("succeeded", str(output))
    assert result.counters["records"]["map_input"] == 3


def test_without_output_the_records_come_exactly(texts: Path) -> None:
    result = WordCount(fold=False).run([str(texts / "a.txt"), str(texts / "[cx]*")], None, "inline")
    wanted = [("Three", 1), ("one", 1), ("three", 2), ("two", 2)]
    assert sorted(result) == sorted(result) == wanted


def test_an_output_that_exists_is_kept(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(Exists, match="exists: choose another"):
        WordCount().run([str(texts)], str(tmp_path / "out"), "inline")
    assert (tmp_path / "out").read_text("utf-8") == "mine"


def test_a_failed_job_leaves_nothing(texts: Path, tmp_path: Path) -> None:
    class Fails(mr.Job):
        def mapper(self, key: Any, line: str) -> Any:
            yield line, 1

        def reducer(self, key: Any, values: Iterator[int]) -> Any:
            raise KeyError(key)

    before = sorted(tmp_path.iterdir())
    with pytest.raises(
        mr.JobFailed, match=r"KeyError: 'one two'|KeyError: 'Three three'"
    ) as caught:
        Fails().run([str(texts)], str(tmp_path / "out"), "inline")
    assert caught.value.failure is not None
    assert caught.value.exit_code == 10
    assert sorted(tmp_path.iterdir()) == before


def test_inputs_that_are_not_there(texts: Path) -> None:
    for path in (str(texts / "none"), str(texts / "*.none")):
        with pytest.raises(NotFound, match="no such file or directory"):
            WordCount().run([path], None, "inline")


def as_nobody(act: Callable[[], bool]) -> bool:
    """What `act` says in a process that is not root, which may read everything."""
    if os.geteuid() != 0:
        return act()
    child = os.fork()
    if child == 0:
        status = 2
        try:
            os.setuid(65534)
            status = 0 if act() else 1
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def test_inputs_that_may_not_be_read() -> None:
    def is_refused(path: Path) -> bool:
        try:
            LocalFiles().expand(str(path))
        except PermissionDenied as error:
            return str(error).startswith("cannot") and str(path) in str(error)
        return False

    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name), Path(name) / "secret"
        file.touch(mode=0)
        folder.chmod(0o755)
        assert as_nobody(lambda: is_refused(file))
        folder.chmod(0o311)
        assert as_nobody(lambda: is_refused(folder))
        folder.chmod(0o755)


def test_inputs_are_taken_in_order(texts: Path) -> None:
    files = LocalFiles().expand(str(texts))
    assert [Path(file.path).name for file in files] == ["a.txt", "b.txt", "c.txt"]
    assert [file.size_bytes for file in files] == [17, 0, 12]
    assert [f.path for f in LocalFiles().expand(f"file:{texts}/c.txt")] == [f"{texts}/c.txt"]


def test_paths_of_the_default_cluster() -> None:
    assert dfs_path("minidfs:/a/b") == dfs_path("minidfs:///a/b") == dfs_path("minidfs:a/b")
    with pytest.raises(BadArgument, match="only the default cluster"):
        dfs_path("minidfs://host:1/a")


def test_runners(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MINIMR_RUNNER", raising=False)
    monkeypatch.delenv("MINIDFS_CLUSTER", raising=False)
    monkeypatch.setenv("MINIDFS_HOME", str(tmp_path))
    assert chosen_runner(None) == "local"
    (tmp_path / "cluster.toml").touch()
    assert chosen_runner(None) == "cluster"
    monkeypatch.setenv("MINIMR_RUNNER", "inline")
    assert chosen_runner(None) == "inline"
    with pytest.raises(BadArgument, match="no runner 'yarn': there are inline, local, cluster"):
        chosen_runner("yarn")


def test_run_inline_uses_two_splits_and_two_partitions() -> None:
    class Where(mr.Job):
        partitions = 1

        def mapper_init(self) -> Any:
            yield 1, "map"

        def mapper(self, key: Any, line: str) -> Any:
            yield 2, line

        def reducer(self, key: int, values: Iterator[str]) -> Any:
            yield key, list(values)

        def reducer_final(self) -> Any:
            yield 3, "reduce"

    assert sorted(Where().run_inline(["a", "b\n", ""])) == [
        (1, ["map", "map"]),
        (2, ["a", "b", ""]),
        (3, "reduce"),
        (3, "reduce"),
    ]
    assert WordCount().run_inline([]) == []


def test_a_line_of_50_megabytes_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"a\n" + b"word " * 10_000_000 + b"\nlast")
    (tmp_path / "zero").touch()

    class Lengths(mr.Job):
        def mapper(self, key: tuple[str, int], line: str) -> Any:
            yield key[1], len(line)

    result = Lengths().run([str(tmp_path)], None, "inline", {"split_bytes": "8M"})
    assert list(result) == [(0, 1), (2, 50_000_000), (50_000_003, 4)]
    assert result.counters["records"]["map_input"] == 3


def test_a_pause_changes_nothing(texts: Path) -> None:
    assert list(WordCount(pause=0.001).run(str(texts), None, "inline")) == list(
        WordCount().run(str(texts), None, "inline")
    )


def test_word_count_of_real_text() -> None:
    found = WordCount().run(str(SOURCES / "*.py"), None, "inline", {"split_bytes": 5_000})
    text = "".join(path.read_text("utf-8") for path in sorted(SOURCES.glob("*.py")))
    assert sorted(found) == count(text.lower().split())


def test_inverted_index_of_real_text() -> None:
    wanted: dict[str, set[str]] = collections.defaultdict(set)
    for path in SOURCES.glob("*.py"):
        for word in re.findall(r"\w+", path.read_text("utf-8").lower()):
            wanted[word].add(path.name)
    found = InvertedIndex().run(str(SOURCES / "*.py"), None, "inline", {"split_bytes": 7_000})
    assert sorted(found) == sorted((word, " ".join(sorted(n))) for word, n in wanted.items())


def test_grep_of_real_text(tmp_path: Path) -> None:
    wanted = []
    for path in sorted(SOURCES.glob("*.py")):
        offset = 0
        for line in path.read_bytes().splitlines(keepends=True):
            if b"def " in line.lower():
                wanted.append(f"{path}:{offset}\t".encode() + line)
            offset += len(line)
    job = Grep(pattern="DEF ", ignore_case=True)
    job.run(str(SOURCES / "*.py"), str(tmp_path / "out"), "inline")
    parts = sorted((tmp_path / "out").glob("part-m-*"))
    assert b"".join(part.read_bytes() for part in parts) == b"".join(wanted)


def test_importing_mapreduce_is_light() -> None:
    script = (
        "import sys, mapreduce, mapreduce.job, mapreduce.splits, mapreduce.shuffle.run_index\n"
        "print([n for n in ('polars', 'zmq', 'lmdb', 'cloudpickle', 'click') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
