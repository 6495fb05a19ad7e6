"""All runners over the same files of a real cluster: the same bytes, the same counters."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.cluster_here import ClusterHere
from tests.mapreduce import replay_job
from tests.mapreduce.replay_job import Records, line_of
from tests.mapreduce.test_any_job import KEYS, VALUES
from tests.mapreduce.test_pickled_jobs import python, script

pytestmark = pytest.mark.cluster

CHUNK_BYTES = 16 << 10
PLACE = "/same"
SOURCE = (Path(sysconfig.get_path("stdlib")) / "typing.py").read_bytes()
ODD_FILES = {
    "zero": b"",
    "one-chunk": SOURCE[:CHUNK_BYTES],
    "a-chunk-and-a-byte": SOURCE[: CHUNK_BYTES + 1],
    "no-final-newline": SOURCE[:50_000].rstrip(b"\n"),
    "newlines": b"\n" * 100,
    "invalid": b"good\n\xff\xfe bad\n\xc3" + b"x" * CHUNK_BYTES + b"\xe2\x82\n\r\nend\r\n",
    "_skipped": b"not this\n",
}
JOB = '''
import mapreduce as mr

class Everything(mr.Job):
    """Uses what a job of one step may use."""

    partitions = 3
    width: int = mr.param(2, help="letters of a word that count")
    input_format = mr.TextLines
    output_format = mr.JSONLines

    def mapper_init(self):
        self.lines = 0

    def mapper(self, key, line):
        path, offset = key
        self.lines += 1
        for word in line.split():
            self.count("words")
            yield (word[: self.width], len(word)), (1, path, offset)

    def mapper_final(self):
        self.count("lines", self.lines, group="mine")

    def combiner(self, key, values):
        values = list(values)
        yield key, (sum(n for n, _, _ in values), *min((p, o) for _, p, o in values))

    def partition(self, key, n):
        return key[1] % n

    def reducer(self, key, values):
        yield from self.combiner(key, values)
'''
GREP = 'def mapper(key, line):\n    yield f"{key[0]}:{key[1]}", len(line)\n'


SHIPPED = """
import mapreduce as mr
from packed import mark

class Shipped(mr.Job):
    def known(self, key, line):
        words = self.file("known.txt").read_text("utf-8").split()
        for word in line.split():
            yield (mark(word), 1) if word in words else mr.to("unknown", word)

    inputs = [mr.Input("nowhere", mapper=known), mr.Input("none", mapper="known")]

    def reducer(self, word, ones):
        yield word, sum(ones)
        yield mr.to("seen", word)
"""


@pytest.fixture(scope="module")
def place(cluster: ClusterHere, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("odd")
    for name, content in ODD_FILES.items():
        (folder / name).write_bytes(content)
    files = [folder / name for name in ODD_FILES]
    cluster.minidfs("put", "--chunk-size", f"{CHUNK_BYTES}"[:-3] + "K", *files, f"{PLACE}/")
    return PLACE


def run(cluster: ClusterHere, runner: str, *arguments: str | Path) -> dict[str, Any]:
    """Run a job; its counters."""
    done = cluster.minimr("run", "--json", "-r", runner, *arguments)
    counters: dict[str, Any] = json.loads(done.stdout)["counters"]
    return counters


@pytest.mark.parametrize("code", [JOB, GREP], ids=["everything", "map-only"])
@pytest.mark.parametrize("inputs", ["", "/*", "/{zero,invalid,newlines}"])
def test_the_same_bytes_and_counters(
    cluster: ClusterHere, place: str, tmp_path: Path, code: str, inputs: str
) -> None:
    job = tmp_path / "job.py"
    job.write_text(code, encoding="utf-8")
    everywhere(cluster, f"/{tmp_path.name}", job, place + inputs)


def everywhere(
    cluster: ClusterHere, folder: str, job: Path, source: str, *options: str
) -> dict[str, bytes]:
    """What a job writes on the cluster, which is what it writes on the other runners."""
    counted = run(cluster, "cluster", job, source, "-o", f"{folder}/cluster", *options)
    for runner in ("inline", "local"):
        output = f"minidfs:{folder}/{runner}"
        again = (job, f"minidfs:{source}", "-o", output, *options)
        assert run(cluster, runner, *again) == counted
    with TemporaryDirectory() as copies:
        cluster.minidfs("get", "-r", folder, f"{copies}/all")
        found = {
            output.name: {
                str(part.relative_to(output)): part.read_bytes()
                for part in output.rglob("*")
                if part.is_file()
            }
            for output in Path(copies, "all").iterdir()
        }
    assert found["inline"] == found["local"] == found["cluster"]
    assert sorted(found) == ["cluster", "inline", "local"]
    return found["cluster"]


def test_side_files_archives_inputs_and_side_outputs(
    cluster: ClusterHere, place: str, tmp_path: Path
) -> None:
    job, known, archive = (tmp_path / name for name in ("job.py", "known.txt", "lib.zip"))
    job.write_text(SHIPPED, encoding="utf-8")
    known.write_text("def self return the", encoding="utf-8")
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("packed.py", "def mark(word): return f'<{word}>'\n")
    options = (f"minidfs:{place}/one-chunk", "--files", f"{known}", "--py-files", f"{archive}")
    found = everywhere(cluster, f"/{tmp_path.name}", job, f"{place}/no-final-newline", *options)
    assert {"unknown/part-m-00000", "unknown/part-m-00004", "seen/part-r-00003"} <= found.keys()
    assert cluster.minidfs("ls", "/.jobs").stdout == "bundles\n"
    done = cluster.minimr("run", job, place, *options[-2:], code=2)
    assert "the job names 2 inputs" in done.stderr


def test_a_job_that_lies_in_no_file(cluster: ClusterHere, place: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", script(Path(f"{place}/one-chunk"), "cluster")],
        env=cluster.environment,
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    here = Path(cluster.folder, "one-chunk")
    here.write_bytes(ODD_FILES["one-chunk"])
    assert (done.stdout, done.stderr) == (python("-c", script(here, "inline")), "")


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_an_output_in_the_dfs_is_not_replaced_unasked(
    cluster: ClusterHere, place: str, tmp_path: Path, runner: str
) -> None:
    job = tmp_path / "job.py"
    job.write_text(GREP, encoding="utf-8")
    again = ("run", "-r", runner, job, f"minidfs:{place}/zero", "-o", f"minidfs:/{tmp_path.name}")
    cluster.minimr(*again)
    cluster.minimr(*again, code=4)
    cluster.minimr(*again, "--overwrite")
    assert cluster.names(f"/{tmp_path.name}") == ["_SUCCESS", "part-m-00000"]
    assert tmp_path.name not in [name.lstrip(".") for name in cluster.names("/") if name[0] == "."]


EXAMPLES = Path(__file__).parents[2] / "examples"
PATTERN = ("--pattern", "def .*self")


@pytest.mark.parametrize("name", ["grep", "grep_sort", "inverted_index", "sort", "wordcount"])
def test_examples_that_read_any_text(
    cluster: ClusterHere, place: str, tmp_path: Path, name: str
) -> None:
    """All examples, on the tables that they are for, are cases of ``tests/conformance``."""
    options = PATTERN if name == "grep" else ()
    found = everywhere(cluster, f"/{tmp_path.name}", EXAMPLES / f"{name}.py", place, *options)
    assert sum(map(len, found.values())) > 1000


@pytest.mark.parametrize("job_class", ["Combined", "Sided", "Chained"])
@settings(
    max_examples=1, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(
    records=st.one_of(
        st.lists(st.tuples(key, value), min_size=30, max_size=60)
        for key, value in zip(KEYS, VALUES, strict=False)
    ),
    pieces=st.sampled_from([2, 7]),
)
def test_random_jobs(
    cluster: ClusterHere,
    tmp_path_factory: pytest.TempPathFactory,
    job_class: str,
    records: Records,
    pieces: int,
) -> None:
    folder = tmp_path_factory.mktemp("random")
    lines = [line_of(records[at : at + 5]) for at in range(0, len(records), 5)]
    inputs = [folder / "one", folder / "two"]
    for number, path in enumerate(inputs):
        path.write_text("".join(lines[number::2]), encoding="ascii")
    cluster.minidfs("put", *inputs, f"/{folder.name}/")
    split_bytes = f"split_bytes={-(-inputs[0].stat().st_size // pieces)}"
    options = ("-D", split_bytes, "-D", "spill_bytes=1K", "-n", "3")
    job = Path(f"{replay_job.__file__}:{job_class}")
    one, two = (f"/{folder.name}/{path.name}" for path in inputs)
    everywhere(cluster, f"/{folder.name}/out", job, one, f"minidfs:{two}", *options)


def test_every_line_of_odd_files_is_read_once(
    cluster: ClusterHere, place: str, tmp_path: Path
) -> None:
    job = tmp_path / "job.py"
    job.write_text(GREP, encoding="utf-8")
    expected = []
    for name, content in ODD_FILES.items():
        offset = 0
        for line in [] if name.startswith("_") else content.splitlines(keepends=True):
            text = re.sub("\r?\n$", "", line.decode("utf-8", "replace"))
            expected.append(f"{place}/{name}:{offset}\t{len(text)}")
            offset += len(line)
    done = cluster.minimr("run", "-r", "cluster", job, place)
    assert sorted(done.stdout.splitlines()) == sorted(expected)
    counted = cluster.minimr("counters", "@last", "records:invalid_utf8").stdout
    assert counted == "2\n"


def test_parameters_reach_the_tasks(cluster: ClusterHere, place: str, tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(JOB, encoding="utf-8")
    done = cluster.minimr("run", "-r", "cluster", job, place, "--width", "1", "-n", "1")
    keys = [json.loads(line)[0] for line in done.stdout.splitlines()]
    assert keys == sorted(keys), "within a partition keys rise"
    assert {len(first) for first, _ in keys} == {1}


def test_what_inline_refuses_of_the_cluster(
    cluster: ClusterHere, place: str, tmp_path: Path
) -> None:
    job = tmp_path / "job.py"
    job.write_text(GREP, encoding="utf-8")
    inline = ("run", "-r", "inline", job)
    cluster.minimr(*inline, f"minidfs:{place}/nothing*", "-o", "minidfs:/never", code=3)
    file = f"minidfs:{place}/zero"
    cluster.minimr(*inline, f"minidfs:{place}", "-o", file, "--overwrite", code=4)
    assert cluster.cat(f"{place}/zero") == b""
