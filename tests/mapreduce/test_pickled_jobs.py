"""Jobs that lie in no file: from a prompt, a notebook, `python -c`."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import mapreduce as mr
from dfs.errors import BadArgument
from mapreduce import pickled_job
from mapreduce.errors import UserCodeError

CELLS = [
    """
import re
from dataclasses import dataclass

import mapreduce as mr

SHORTEST = 3

@dataclass
class Seen:
    word: str
    times: int = 1
""",
    """
def is_long(word):
    return len(word) >= SHORTEST

class Words(mr.Job):
    fold: bool = mr.param(True)
    partitions = 2

    def mapper(self, key, line):
        for word in filter(is_long, re.findall("[a-z]+", line.lower() if self.fold else line)):
            yield word, Seen(word)

    def reducer(self, word, seen):
        yield word, Seen(word, sum(one.times for one in seen))
""",
    """
result = Words().run(INPUT, runner=RUNNER)
print(sorted((word, seen.times, type(seen) is Seen) for word, seen in result))
""",
]
NOTEBOOK = """
import __main__
assert not hasattr(__main__, "__file__")
for number, cell in enumerate(CELLS, 1):
    exec(compile(cell, f"<ipython-input-{number}>", "exec"), vars(__main__))
"""
FOUND = "[('but', 1, True), ('the', 2, True), ('word', 1, True)]\n"


def script(text: Path, runner: str) -> str:
    """All cells as one text."""
    return f"INPUT, RUNNER = {str(text)!r}, {runner!r}\n" + "".join(CELLS)


def python(*arguments: str, stdin: str = "") -> str:
    """What a process prints that ends well."""
    done = subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text("The word\nis but THE, is.\n", encoding="utf-8")
    return path


def test_a_job_of_python_c_runs_in_other_processes(text: Path) -> None:
    assert python("-c", script(text, "local")) == FOUND
    assert python("-c", script(text, "inline")) == FOUND


def test_a_job_that_comes_through_a_pipe_too(text: Path) -> None:
    assert python("-", stdin=script(text, "local")) == FOUND


def test_a_job_of_a_notebook_too(text: Path) -> None:
    given = f"INPUT, RUNNER, CELLS = {str(text)!r}, 'local', {CELLS!r}\n"
    assert python("-c", given + NOTEBOOK) == FOUND


MADE = """
from dataclasses import dataclass

import mapreduce as mr

@dataclass
class Seen:
    times: int

def words_of(line):
    return line.lower().split()

def job_of(shortest):
    class Words(mr.Job):
        def mapper(self, key, line):
            for word in words_of(line):
                if len(word) >= shortest:
                    yield word, Seen(1)

        def reducer(self, word, seen):
            yield word, Seen(sum(one.times for one in seen))

    return Words
"""
RUN_MADE = """
result = list(job_of(3)().run(INPUT, runner="local"))
print(sorted((word, seen.times, type(seen) is Seen) for word, seen in result))
"""


def test_a_job_that_a_function_of_a_file_made_too(text: Path) -> None:
    begin = f"INPUT = {str(text)!r}\n"
    (text.parent / "made.py").write_text(MADE, encoding="utf-8")
    imports = text.parent / "imports.py"
    imports.write_text(f"{begin}from made import Seen, job_of\n{RUN_MADE}", encoding="utf-8")
    itself = text.parent / "itself.py"
    itself.write_text(f"{begin}{MADE}{RUN_MADE}", encoding="utf-8")
    words = ["but", "is.", "the", "the,", "word"]
    found = f"{[(word, 1, True) for word in words]}\n"
    assert python(str(imports)) == found
    assert python(str(itself)) == found


def test_what_is_registered_already_stays_so() -> None:
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        pickled_job.dump(made_here())
        assert __name__ in cloudpickle.list_registry_pickle_by_value()
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    pickled_job.dump(made_here())
    assert __name__ not in cloudpickle.list_registry_pickle_by_value()


def made_here() -> type[mr.Job]:
    class Made(mr.Job):
        def mapper(self, key: Any, line: str) -> Any:
            yield line, 1

    return Made


def test_whoever_imports_the_package_does_not_pay_for_it() -> None:
    loaded = "import sys, mapreduce; print('cloudpickle' in sys.modules)"
    assert python("-c", loaded) == "False\n"


def job_of(code: str, **given: Any) -> type[mr.Job]:
    """A class whose module is nowhere."""
    names: dict[str, Any] = {"__name__": "nowhere", "mr": mr, **given}
    exec(compile(code, "<cell>", "exec"), names)
    job_class: type[mr.Job] = names["A"]
    return job_class


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "class A(mr.Job):\n    def mapper(self, k, v):\n        with lock: yield k, 1\n",
            "'lock', which mapper uses, cannot be pickled",
        ),
        (
            "def of(held):\n"
            "    class A(mr.Job):\n"
            "        reducer = staticmethod(lambda key, values: [(key, held)])\n"
            "    return A\n"
            "A = of(lock)\n",
            "'held', which reducer uses, cannot be pickled",
        ),
        (
            "class A(mr.Job):\n"
            "    def mapper(self, key, line):\n"
            "        return [(line, n) for n in (lambda: lock)()]\n",
            "'lock', which mapper uses,",
        ),
        ("class A(mr.Job):\n    guard = lock\n", "the attribute 'guard' cannot be pickled"),
        (
            "def unset():\n"
            "    class A(mr.Job):\n"
            "        guard = lock\n"
            "        def mapper(self, key, line): later\n"
            "    return A\n"
            "    later = 1\n"
            "A = unset()\n",
            "the attribute 'guard'",
        ),
    ],
)
def test_what_cannot_be_pickled_is_said_in_one_line(code: str, words: str) -> None:
    with pytest.raises(BadArgument, match=r"^the job A cannot be sent to tasks: ") as caught:
        pickled_job.dump(job_of(code, lock=threading.Lock()))
    assert words in str(caught.value)
    assert "cannot pickle '_thread.lock' object" in str(caught.value)
    assert "\n" not in str(caught.value)


LOADED = "class A(mr.Job):\n    def mapper(self, key, line): yield line, SAID\n"


def test_what_a_class_names_comes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickled_job.dump(job_of(LOADED, SAID="said", big=bytes(1 << 20)))
    assert len(data) < 10_000, "what is not named does not"
    monkeypatch.delitem(sys.modules, "nowhere", raising=False)
    loaded = pickled_job.load(data)
    assert loaded().run_inline(["a"]) == [("a", "said")]
    assert sys.modules["nowhere"].SAID == "said"
    monkeypatch.delitem(sys.modules, "nowhere")


def test_another_version_of_python_refuses_it() -> None:
    data = pickled_job.dump(job_of(LOADED, SAID=1))
    other = b"3.9\n" + data.partition(b"\n")[2]
    with pytest.raises(BadArgument, match=r"pickled by Python 3\.9 and this is 3\.\d+: save it"):
        pickled_job.load(other)


def test_what_a_task_does_not_have_fails_the_job() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}\n".encode()
    with pytest.raises(UserCodeError, match="No module named 'only_there'"):
        pickled_job.load(version + b"conly_there\nthing\n.")


def test_main_needs_a_file() -> None:
    with pytest.raises(BadArgument, match=r"A lies in no file: use A\(\)\.run\(inputs\)"):
        job_of(LOADED).main()
