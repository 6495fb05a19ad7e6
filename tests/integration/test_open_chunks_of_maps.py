"""Maps that read open chunk files of real datanodes: the same bytes, and nothing stays open."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dfs.datanode.chunkfile import HEADER_BYTES
from tests.integration.cluster_here import ClusterHere, until

pytestmark = pytest.mark.cluster

CHUNK_BYTES = 4096
JOB = """
import os

def mapper(key, line):
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").endswith(".chunk"):
                yield "read here", 1
        except FileNotFoundError:
            pass  # the descriptor of the list itself

def reducer(key, values):
    yield key, sum(values)
"""
ECHO = "def mapper(key, line):\n    yield key[1], line\n"


def text_of(chunks: int) -> bytes:
    """Lines of 64 bytes that fill so many chunks."""
    return b"".join(b"%063d\n" % n for n in range(chunks * CHUNK_BYTES // 64))


def open_descriptors(cluster: ClusterHere) -> dict[str, int]:
    """How many each worker and datanode has."""
    return {
        name: len(os.listdir(f"/proc/{pid}/fd"))
        for name, pid in cluster.pids().items()
        if not name.startswith("namenode")
    }


def test_two_hundred_maps_leave_no_descriptor(own_cluster: ClusterHere, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "text").write_bytes(b"".join(b"%01023d\n" % n for n in range(3200)))
    own_cluster.minidfs("up", "--nodes", "1")
    own_cluster.minidfs("put", tmp_path / "text", "/")
    job = ("run", tmp_path / "job.py", "/text", "--progress", "none", "-o")
    own_cluster.minimr(*job, "/first", "-D", "split_bytes=1M")
    before = open_descriptors(own_cluster)
    own_cluster.minimr(*job, "/all", "-D", "split_bytes=16K")
    # A line at which the file's end was read already finds the chunk closed.
    assert int(own_cluster.cat("/all/part-r-*").split(b"\t")[1]) > 2000
    status = json.loads(own_cluster.minimr("status", "@last", "--json").stdout)
    assert status["maps"]["done"] == 200
    until(lambda: all(n <= before[name] for name, n in open_descriptors(own_cluster).items()))


def test_damaged_replicas_are_read_elsewhere_and_reported(
    own_cluster: ClusterHere, tmp_path: Path
) -> None:
    text = text_of(20)
    (tmp_path / "job.py").write_text(ECHO)
    (tmp_path / "text").write_bytes(text)
    own_cluster.minidfs("up", "--nodes", "2", "--chunk-size", "4K")
    own_cluster.minidfs("put", "--replication", "2", tmp_path / "text", "/")
    damaged = sorted((own_cluster.folder / "datanode-1" / "chunks").rglob("*.chunk"))
    assert len(damaged) == 20
    inodes = {path.stat().st_ino for path in damaged}
    for path in damaged:
        with path.open("r+b") as file:
            file.seek(HEADER_BYTES + 100)
            file.write(b"?")
    own_cluster.minimr("run", tmp_path / "job.py", "/text", "-o", "/out", "--progress", "none")
    lines = sorted(own_cluster.cat("/out/part-m-*").splitlines())
    at = range(0, len(text), 64)
    assert lines == sorted(b"%d\t%s" % (n, text[n : n + 63]) for n in at)

    def is_healed() -> bool:
        found = (own_cluster.folder / "datanode-1" / "chunks").rglob("*.chunk")
        return any(path.stat().st_ino not in inodes for path in found)

    until(is_healed)
