"""Job files: what is loaded, and what is said about those that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mapreduce as mr
from dfs.errors import BadArgument, IsADirectory, NotFound
from mapreduce.bundle import build, unpack
from mapreduce.errors import UserCodeError
from mapreduce.job import Settings, parse_settings
from mapreduce.job_class import spec_of
from mapreduce.loader import MODULE_NAME, load_from_bundle, load_job, split_target
from mapreduce.params import params_of

ONE = """
import mapreduce as mr

class Count(mr.Job):
    "Counts."
    partitions = 2
    width: int = mr.param(3, help="how wide")

    def mapper(self, key, line):
        yield line[:self.width], 1

    def reducer(self, key, values):
        yield key, sum(values)
"""
FUNCTIONS = '''
"""Plain functions."""
import mapreduce as mr

partitions = 3

def mapper(key, line):
    mr.count("lines")
    yield line, 1

def reducer(key, values):
    yield key, sum(values)
'''


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before
    sys.modules.pop(MODULE_NAME, None)


def job_file(folder: Path, text: str, name: str = "job.py") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_class_is_loaded(tmp_path: Path) -> None:
    job_class = load_job(job_file(tmp_path, ONE))
    assert (job_class.__name__, job_class.__doc__, job_class.partitions) == ("Count", "Counts.", 2)
    assert [(p.name, p.kind, p.default, p.help) for p in params_of(job_class)] == [
        ("width", int, 3, "how wide")
    ]
    assert sorted(job_class(width=1).run_inline(["abc", "ad", "b"])) == [("a", 2), ("b", 1)]


def test_plain_functions_are_a_job(tmp_path: Path) -> None:
    job_class = load_job(job_file(tmp_path, FUNCTIONS))
    assert (job_class.__name__, job_class.__doc__) == ("job", "Plain functions.")
    (step,) = job_class().describe_steps()
    assert (step.partitions, step.has_combiner, step.has_reducer) == (3, False, True)
    assert sorted(job_class().run_inline(["x", "x"])) == [("x", 2)]


def test_one_of_several_is_named(tmp_path: Path) -> None:
    path = job_file(tmp_path, ONE + "\nclass Other(Count): pass\n")
    assert load_job(f"{path}:Other").__name__ == "Other"
    with pytest.raises(BadArgument, match=r"has several jobs, Count, Other: name one, as .*:Count"):
        load_job(path)
    with pytest.raises(BadArgument, match="no Job class Othre: did you mean Other"):
        load_job(f"{path}:Othre")
    with pytest.raises(BadArgument, match="no Job class Zzz: it has Count, Other"):
        load_job(f"{path}:Zzz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\ndef f(:\n", r"job\.py:2: syntax error"),
        ("x = 1\n", "has no mapper: define"),
        ("import mapreduce as mr\nclass A(mr.Job):\n    pass\n", "the job A has no mapper"),
        ("x = '\0'\n", "null bytes"),
    ],
)
def test_a_file_that_is_no_job(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadArgument, match=words) as caught:
        load_job(job_file(tmp_path, text))
    assert "\n" not in str(caught.value)


CLASS = "import mapreduce as mr\nclass A(mr.Job):\n    def mapper(self, key, line): pass\n    "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CLASS + "def mapper_frame(self, frame): pass\n", "mapper_frame is not built yet"),
        (CLASS + "reducer = mr.Sum()\n", r"^mr\.Sum is not built yet$"),
        (CLASS + "input_format = mr.CSV\n", r"^mr\.CSV is not built yet$"),
        (CLASS + "input_format = 'csv'\n", "input_format is 'csv', which is no format"),
        (CLASS + "output_format = None\n", "output_format is None, which is no format"),
        (CLASS + "sort_values = True\n", "the job A: sort_values needs a reducer"),
        (CLASS + "sort_values = 3\n", "sort_values is 3: True or a function"),
        (CLASS + "group_key = 'a'\n", "group_key is 'a': write a method"),
        (CLASS + "sort_values = len\n    def sort_key(self, k, v): pass\n", "are two orders"),
        ("def mapper(k, v): pass\ndef sort_key(k, v): pass\n", "sort_key needs a reducer"),
        ("def mapper(k, v): pass\ndef mapper_init(): pass\n", "mapper_init belongs into a class"),
        ("def mapper(k, v): pass\ninput_format = 3\n", "input_format is 3, which is no format"),
    ],
)
def test_what_is_not_built_is_refused_and_not_ignored(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(BadArgument, match=words) as caught:
        load_job(job_file(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_job_that_no_file_is_loaded_for_is_looked_at_too() -> None:
    class Framed(mr.Job):
        def mapper(self, key: Any, line: str) -> Any:
            yield line, 1

        def mapper_frame(self, frame: Any) -> Any:
            return frame

    here = [__file__]
    for run in (lambda: Framed().run_inline(["x"]), lambda: Framed().run(here, None, "inline")):
        with pytest.raises(BadArgument, match="the job Framed: mapper_frame is not built yet"):
            run()


def test_an_unknown_name_of_the_package_is_an_ordinary_error() -> None:
    assert not hasattr(mr, "Summ")
    assert not hasattr(mr, "Sum")
    with pytest.raises(AttributeError, match="module 'mapreduce' has no attribute 'Summ'"):
        mr.Summ  # type: ignore[attr-defined]  # noqa: B018


def test_a_file_that_raises_shows_its_own_traceback(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError) as caught:
        load_job(job_file(tmp_path, "def f():\n    return 1 / 0\nf()\n"))
    failure = caught.value.failure
    assert failure.error == "ZeroDivisionError: division by zero"
    assert "job.py" in failure.traceback
    assert "loader.py" not in failure.traceback
    assert failure.signature.startswith("ZeroDivisionError|job.py:2|")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such job file"):
        load_job(str(tmp_path / "none.py"))
    with pytest.raises(IsADirectory, match="is a directory"):
        load_job(str(tmp_path))


def test_a_name_is_told_from_a_path() -> None:
    assert split_target("a.py:Name") == ("a.py", "Name")
    assert split_target("a.py") == ("a.py", "")
    assert split_target("c:/a.py") == ("c:/a.py", "")


def test_parameters() -> None:
    class Options(mr.Job):
        fold: bool = mr.param(True)
        size: int = mr.param(1)
        share: float = mr.param(0.5)
        word: str = mr.param("x")

    job = Options(fold="no", size="7", share=2)
    assert (job.fold, job.size, job.share, job.word) == (False, 7, 2.0, "x")
    assert [p.option for p in params_of(Options)][:2] == ["--fold/--no-fold", "--size"]
    with pytest.raises(BadArgument, match="no parameter 'siez': did you mean size"):
        Options(siez=1)
    for name, value in [("size", "x"), ("size", True), ("size", 1.5), ("fold", 1), ("word", 1)]:
        with pytest.raises(BadArgument, match=f"parameter {name} is"):
            Options(**{name: value})
    with pytest.raises(BadArgument, match="must be a bool, int, float or str"):
        mr.param([])  # type: ignore[type-var]


def test_settings() -> None:
    assert parse_settings({"split_bytes": "64K", "spill_bytes": 2048}) == Settings(65536, 2048)
    with pytest.raises(BadArgument, match="unknown setting 'spil_bytes': did you mean spill_bytes"):
        parse_settings({"spil_bytes": 1})
    assert parse_settings({"priority": "-2"}).priority == -2
    for wrong in ("high", "1.5", 101, "-101"):
        with pytest.raises(BadArgument, match="a whole number from -100 to 100"):
            parse_settings({"priority": wrong})
    with pytest.raises(BadArgument, match="spill_bytes at least"):
        parse_settings({"spill_bytes": 1})


def test_a_bundle_depends_on_contents_alone(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    job_file(package, "X = 5\n", "__init__.py")
    entry = Path(job_file(tmp_path, "import package\n" + ONE.replace("3", "package.X")))
    bundle = build(entry, [package])
    entry.touch()
    assert build(entry, [package]) == bundle
    entry.write_text(ONE + "# changed\n", encoding="utf-8")
    assert build(entry, [package]).digest != bundle.digest


def test_a_bundle_is_opened_elsewhere(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    path = job_file(here, "from bundled import WIDTH\n" + ONE.replace("(3", "(WIDTH"))
    other = Path(job_file(here, "WIDTH = 2\n", "bundled.py"))
    job = load_job(path)(width=1)
    bundle = build(Path(path), [other])
    spec = spec_of(job, bundle.digest, bundle.entry, Settings(), True)
    assert (spec.name, spec.class_name, spec.params) == ("Count", "Count", {"width": 1})
    unpack(bundle.data, bundle.digest, there)
    opened = load_from_bundle(there, spec)
    assert type(opened).__module__ == MODULE_NAME
    assert sys.modules[MODULE_NAME].__file__ == str(there / "job.py")
    assert opened.params == {"width": 1}
    sys.modules.pop("bundled")


def test_functions_travel_in_a_bundle(tmp_path: Path) -> None:
    job = load_job(job_file(tmp_path, FUNCTIONS))()
    spec = spec_of(job, "", "job.py", Settings(), False)
    assert (spec.name, spec.class_name) == ("job", "")
    assert load_from_bundle(tmp_path, spec).partitions == 3


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Path(job_file(tmp_path / "other", "x = 1\n"))
    with pytest.raises(BadArgument, match=r"two different files are called job\.py"):
        build(Path(job_file(tmp_path, ONE)), [other])
