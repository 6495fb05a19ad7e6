"""Both runners over the same files of a real cluster: the same bytes, the same counters."""

from __future__ import annotations

import json
import re
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster_here import ClusterHere

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


@pytest.fixture(scope="module")
def place(cluster: ClusterHere, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("odd")
    for name, content in ODD_FILES.items():
        (folder / name).write_bytes(content)
    files = [folder / name for name in ODD_FILES]
    cluster.minidfs("put", "--chunk-size", f"{CHUNK_BYTES}"[:-3] + "K", *files, f"{PLACE}/")
    return PLACE


def parts(cluster: ClusterHere, output: str) -> dict[str, bytes]:
    return {name: cluster.cat(f"{output}/{name}") for name in cluster.names(output)}


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
    on_cluster, here = f"/{tmp_path.name}/cluster", f"/{tmp_path.name}/inline"
    counted = run(cluster, "cluster", job, place + inputs, "-o", on_cluster)
    source, output = f"minidfs:{place}{inputs}", f"minidfs:{here}"
    assert run(cluster, "inline", job, source, "-o", output) == counted
    assert parts(cluster, here) == parts(cluster, on_cluster)
    cluster.minimr("run", "-r", "inline", job, source, "-o", output, code=4)
    assert run(cluster, "inline", job, source, "-o", output, "--overwrite") == counted
    assert parts(cluster, here) == parts(cluster, on_cluster)
    assert cluster.names(f"/{tmp_path.name}") == ["cluster", "inline"]


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
