"""Files that are shipped with a job, and code that is shipped as archives."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import mapreduce as mr
from dfs.errors import BadArgument, Corrupt, IsADirectory, NotFound
from mapreduce.bundle import build
from mapreduce.errors import JobFailed
from mapreduce.job import JobSpec, Settings, SideFile, check_side_files
from mapreduce.limits import SIDE_FILES_MAX, SIDE_FILES_MAX_BYTES
from mapreduce.loader import load_from_bundle, load_job
from mapreduce.runners import inline
from mapreduce.runners.local import LocalRunner
from mapreduce.runners.packing import side_files_of
from mapreduce.runners.submission import Submission
from mapreduce.side_files import found_here
from mapreduce.worker import side_store
from mapreduce.worker.side_store import SideStore
from tests.mapreduce.test_job_files import clean_imports, job_file

__all__ = ["clean_imports"]

Pairs = Iterator[tuple[Any, Any]]


class Known(mr.Job):
    """Which words of the input a side file holds; the mode and the place of its copy."""

    def mapper_init(self) -> None:
        self.known = set(self.file("known.txt").read_text("utf-8").split())

    def mapper(self, key: tuple[str, int], line: str) -> Pairs:
        yield from ((word, word in self.known) for word in line.split())

    def reducer(self, word: str, found: Iterator[bool]) -> Pairs:
        path = self.file("known.txt")
        yield word, (next(found), oct(stat.S_IMODE(path.stat().st_mode)), str(path))


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """The side file, and the input beside it."""
    (tmp_path / "text").write_text("a b\nc a\n", encoding="utf-8")
    path = tmp_path / "known.txt"
    path.write_text("a c\n", encoding="utf-8")
    return path


def test_tasks_read_a_copy_that_is_kept_once(known: Path) -> None:
    text = [str(known.parent / "text")]
    with LocalRunner() as runner:
        first = list(runner.run(Known(), text, None, Submission(files=(known,))))
        assert {word: value[0] for word, value in first} == {"a": True, "b": False, "c": True}
        assert {value[1] for _, value in first} == {"0o444"}
        (path,) = {value[2] for _, value in first}
        assert Path(path).name == "known.txt"
        assert not Path(path).exists(), "it goes with its job"
        known.write_text("b\n", encoding="utf-8")
        again = list(runner.run(Known(), text, None, Submission(files=(known,))))
        assert {word: value[0] for word, value in again} == {"a": False, "b": True, "c": False}


def test_the_inline_runner_gives_the_file_itself(known: Path) -> None:
    job = Known()
    job.give_files(found_here([known]))
    found = dict(inline.run(job, [str(known.parent / "text")], None, Settings()))
    assert found["a"][::2] == (True, str(known))


def test_an_unknown_name_is_told_with_those_there_are(known: Path) -> None:
    text = [str(known.parent / "text")]
    with pytest.raises(JobFailed, match=r"no side file 'known.txt': there are none; '--files PATH"):
        Known().run(text, runner="inline")
    job = Known()
    job.give_files({"b": known, "a": known})
    with pytest.raises(NotFound, match=r"no side file 'known\.txt': there are a, b;"):
        job.file("known.txt")


def test_plain_functions_find_them_too(known: Path, tmp_path: Path) -> None:
    text = """
import mapreduce as mr

def mapper(key, line):
    yield line, mr.file("known.txt").read_text("utf-8")
"""
    job = load_job(job_file(tmp_path, text))()
    with LocalRunner() as runner:
        found = runner.run(job, [str(tmp_path / "text")], None, Submission(files=(known,)))
        assert list(found) == [("a b", "a c\n"), ("c a", "a c\n")]
    with pytest.raises(NotFound, match="no side file 'x'"):
        mr.file("x")


def test_a_sample_finds_them(known: Path) -> None:
    class Ordered(Known):
        partition = mr.TotalOrder()

    job = Ordered()
    job.give_files(found_here([known]))
    found = inline.run(job, [str(known.parent / "text")], None, Settings())
    assert [word for word, _ in found] == ["a", "b", "c"]


def test_what_cannot_be_shipped(known: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "known.txt").write_text("", encoding="utf-8")
    for given, error, words in (
        ([tmp_path / "none"], NotFound, "no such file"),
        ([other], IsADirectory, "it is a directory"),
        ([known, other / "known.txt"], BadArgument, "two files are called known.txt"),
    ):
        with pytest.raises(error, match=words):
            found_here(given)
    assert list(found_here([known, known])) == ["known.txt"]
    digest = "0" * 64
    for files, words in (
        ([SideFile("a", digest, 1)] * (SIDE_FILES_MAX + 1), "at most 100 files"),
        ([SideFile("a", digest, SIDE_FILES_MAX_BYTES + 1)], "and 2G in all"),
        ([SideFile("../a", digest, 1)], "no name of a side file"),
        ([SideFile("..", digest, 1)], "no name of a side file"),
        ([SideFile("a", "../../x", 1)], "is no digest"),
    ):
        with pytest.raises(BadArgument, match=words):
            check_side_files(files)


class Shipped:
    """A storage with some contents; counts how often one is opened."""

    def __init__(self, **contents: bytes) -> None:
        self.contents = contents
        self.opened = 0

    def read(self, path: str) -> bytes:
        raise AssertionError("side files are read in pieces")

    def open(self, path: str) -> BinaryIO:
        self.opened += 1
        return BytesIO(self.contents[path.rpartition("/")[2]])


def side_file(name: str, content: bytes) -> SideFile:
    return SideFile(name, blake2b(content, digest_size=32).hexdigest(), len(content))


def test_a_content_is_fetched_once_for_all_jobs(tmp_path: Path) -> None:
    storage = Shipped(a=b"one", b=b"one")
    store = SideStore(tmp_path, storage)
    first = store.paths("j-1", [side_file("a", b"one")])
    second = store.paths("j-2", [side_file("a", b"one"), side_file("b", b"one")])
    assert storage.opened == 1
    store.drop_job("j-1")
    assert not Path(first["a"]).exists()
    assert [Path(path).read_bytes() for path in second.values()] == [b"one"] * 2
    assert SideStore(tmp_path, storage).paths("j-3", [side_file("b", b"one")])
    assert storage.opened == 1, "a worker that starts again has the contents still"


def test_a_content_that_is_not_the_one_that_was_shipped_is_refused(tmp_path: Path) -> None:
    store = SideStore(tmp_path, Shipped(a=b"other"))
    with pytest.raises(Corrupt, match="a is not the one that was shipped"):
        store.paths("j-1", [side_file("a", b"one")])
    assert list((tmp_path / "store").iterdir()) == []
    (tmp_path / "store/x.part").write_bytes(b"cut short")
    SideStore(tmp_path, Shipped())
    assert list((tmp_path / "store").iterdir()) == []


def test_contents_of_no_job_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_store, "KEPT", 2)
    contents = {f"f{n}": b"%d" % n for n in range(5)}
    store = SideStore(tmp_path, Shipped(**contents))
    files = [side_file(name, content) for name, content in contents.items()]
    kept = store.paths("j-1", files[:1])
    store.paths("j-2", files[1:])
    assert len(list((tmp_path / "store").iterdir())) == 5
    store.drop_job("j-2")
    assert len(list((tmp_path / "store").iterdir())) == 3
    assert Path(kept["f0"]).read_bytes() == b"0"
    monkeypatch.setattr(side_store, "KEPT_BYTES", 1)
    store.drop_job("j-1")
    assert len(list((tmp_path / "store").iterdir())) == 1


def test_the_digest_of_a_file_is_that_of_its_content(known: Path) -> None:
    job = Known()
    assert side_files_of(job, [known]) == (side_file("known.txt", b"a c\n"),)
    assert job.file("known.txt") == known


JOB = """
import mapreduce as mr
from packed import double
from packed.inner import TEXT

class Uses(mr.Job):
    def mapper(self, key, line):
        yield double(line), TEXT
"""


@pytest.mark.parametrize("name", ["lib.zip", "lib-1.0-py3-none-any.whl"])
def test_an_archive_can_be_imported_in_tasks(tmp_path: Path, name: str) -> None:
    archive = tmp_path / name
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("packed/__init__.py", "def double(x): return x + x\n")
        made.writestr("packed/inner.py", "TEXT = 'from inside'\n")
    bundle = build(Path(job_file(tmp_path, JOB)), [archive])
    folder = tmp_path / "opened"
    folder.mkdir()
    with zipfile.ZipFile(BytesIO(bundle.data)) as packed:
        packed.extractall(folder)
    spec = JobSpec("j", bundle.digest, "job.py", "Uses", {}, ())
    job = load_from_bundle(folder, spec)
    assert job.run_inline(["ab"]) == [("abab", "from inside")]
