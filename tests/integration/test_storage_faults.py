"""Nodes that die, disks that lie or run full, strangers and interrupts; files stay whole."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import dfs
from dfs.client.client import Client
from dfs.client.entries import ChunkLocation
from dfs.datanode.chunkfile import HEADER_BYTES, ReplicaKey, sealed_path
from dfs.local.ports import choose_address
from tests.integration.cluster_here import ClusterHere, until

pytestmark = pytest.mark.cluster

MIB = 1024 * 1024
IMPATIENT = """
[cluster]
id = "impatient"
[namenode]
address = "{address}"
[datanode]
reserve = "64M"
[times]
heartbeat = "200ms"
stale = "1s"
dead = "2s"
repair_after = "1s"
lease = "3s"
"""


def up(cluster: ClusterHere, nodes: int, chunk_size: str) -> None:
    """Start a cluster that gives nodes and writers up within seconds."""
    cluster.home.make()
    text = IMPATIENT.format(address=choose_address(set()))
    cluster.home.config_file.write_text(text, encoding="ascii")
    cluster.minidfs("up", "--nodes", str(nodes), "--chunk-size", chunk_size)


def connect(cluster: ClusterHere) -> Client:
    return dfs.connect(cluster.home.config_file)


def kill(cluster: ClusterHere, *process_ids: str, keeper: str | None = None) -> None:
    """End processes at once; with their keeper, which comes first, they stay dead."""
    pids = cluster.pids()
    if keeper is not None:
        text = cluster.home.pid_file(keeper).read_text(encoding="ascii")
        os.kill(int(text.split()[0]), signal.SIGKILL)
    for process_id in process_ids:
        os.kill(pids[process_id], signal.SIGKILL)


def replica(cluster: ClusterHere, node: str, chunk: ChunkLocation) -> Path:
    return cluster.folder / node / sealed_path(ReplicaKey(chunk.chunk, chunk.generation))


def files_below(cluster: ClusterHere, node: str, folder: str) -> list[Path]:
    return [path for path in (cluster.folder / node / folder).rglob("*") if path.is_file()]


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_a_node_is_lost_in_the_middle_of_a_get_and_its_copies_are_made_anew(
    own_cluster: ClusterHere,
) -> None:
    cluster = own_cluster
    up(cluster, 4, "1M")
    content = content_of(24 * MIB)
    cluster.minidfs("put", "-", "/f", stdin=content)
    reader = cluster.begin("minidfs", "cat", "/f")
    assert reader.stdout is not None
    begin = reader.stdout.read(MIB)
    kill(cluster, "datanode-1", "datanode-4", "worker-4", keeper="node-4")
    rest, err = reader.communicate(timeout=60)
    assert (begin + rest == content, reader.returncode, err) == (True, 0, b"")

    with connect(cluster) as fs:
        until(lambda: all(len({*c.nodes} - {"datanode-4"}) == 3 for c in fs.locations("/f")))
    until(lambda: all("datanode-4" in r or "worker" in r for r in cluster.status()["reasons"]))
    assert cluster.minidfs("status", code=8).stdout.count("is dead") == 2
    assert cluster.cat("/f") == content
    assert cluster.minidfs("up").stdout.startswith("started datanode-4, worker-4\n")


def test_damaged_replicas_are_never_served_set_aside_and_made_anew(
    own_cluster: ClusterHere,
) -> None:
    cluster = own_cluster
    up(cluster, 3, "64K")
    content = content_of(6 * 64 * 1024)
    with connect(cluster) as fs:
        for number in range(6):  # each in a file of its own: a reader avoids nodes it met lying
            fs.write_bytes(f"/d/{number}", content[number * 65536 : (number + 1) * 65536])
        chunks = [fs.locations(f"/d/{number}")[0] for number in range(6)]
    first = [replica(cluster, chunk.nodes[0], chunk) for chunk in chunks]  # will be read first
    good = [path.read_bytes() for path in first]
    flipped, cut, emptied, swapped, gone, hashes = first
    flipped.write_bytes(good[0][:HEADER_BYTES] + b"\0" * 8 + good[0][HEADER_BYTES + 8 :])
    os.truncate(cut, len(good[1]) // 2)
    os.truncate(emptied, 0)
    swapped.write_bytes(replica(cluster, chunks[3].nodes[0], chunks[1]).read_bytes())
    gone.unlink()
    hashes.write_bytes(good[5][:-40] + b"\0" * 40)
    kill(cluster, "datanode-1", "datanode-2", "datanode-3")  # hashes are not in memory any more
    until(lambda: cluster.status()["state"] == "serving")

    assert cluster.cat("/d/*") == content
    # A copy has all but the name that its file was created under.
    wanted = [whole[HEADER_BYTES:] for whole in good]
    until(lambda: [p.read_bytes()[HEADER_BYTES:] if p.exists() else b"" for p in first] == wanted)
    nodes = ("datanode-1", "datanode-2", "datanode-3")
    aside = [path.name for node in nodes for path in files_below(cluster, node, "quarantine")]
    assert sorted(aside) == sorted(path.name for path in first if path != gone)
    assert cluster.cat("/d/*") == content


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_put_that_is_ended_leaves_nothing_behind(
    own_cluster: ClusterHere, end: signal.Signals
) -> None:
    cluster = own_cluster
    up(cluster, 1, "1M")
    cluster.minidfs("put", "-", "/f", stdin=b"older")
    writer = cluster.begin("minidfs", "put", "-f", "-", "/f")
    assert writer.stdin is not None
    writer.stdin.write(content_of(5 * MIB))
    writer.stdin.flush()
    until(lambda: len(files_below(cluster, "datanode-1", "chunks")) > 2)
    writer.send_signal(end)
    _, err = writer.communicate(timeout=60)
    assert (writer.returncode, err) == ((130 if end is signal.SIGINT else -end), b"")
    assert cluster.cat("/f") == b"older"
    until(lambda: files_below(cluster, "datanode-1", "chunks") == [])
    cluster.minidfs("put", "-f", "-", "/f", stdin=b"newer")
    assert cluster.cat("/f") == b"newer"


def test_a_folder_has_one_owner_and_others_are_told_so(
    own_cluster: ClusterHere, tmp_path: Path
) -> None:
    cluster = own_cluster
    up(cluster, 1, "1M")

    def refusal(role: str, *options: str | Path) -> str:
        done = cluster.minidfs(role, *options, code=2)
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)
        return done.stderr

    assert "in use by another process: stop that one first" in refusal("datanode")
    assert "in use by another process: stop that one first" in refusal("namenode")
    cluster.minidfs("down")

    text = cluster.home.config_file.read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    folder = cluster.folder / "datanode-1"
    other.write_text(text.replace('dirs = ["{id}"]', f'dirs = ["{folder}"]'), encoding="utf-8")
    told = refusal("datanode", "--id", "2", "--cluster", other)
    assert "belongs to datanode-1 and not to datanode-2: start it as datanode-1 or" in told
    other.write_text(text.replace('id = "impatient"', 'id = "strange"'), encoding="utf-8")
    for role in ("datanode", "namenode"):
        assert "belongs to cluster impatient and not to strange" in refusal(
            role, "--cluster", other
        )
    for role, address in (("namenode", "9860"), ("datanode", "9861")):
        line = "address = " if role == "namenode" else "listen = "
        lines = [
            f'{line}"0.0.0.0:{address}"' if x.startswith(line) else x for x in text.split("\n")
        ]
        other.write_text("\n".join(lines), encoding="utf-8")
        assert "0.0.0.0" in refusal(role, "--cluster", other)


@contextmanager
def mounted(*disks: tuple[Path, int]) -> Iterator[None]:
    """Small disks of so many MiB, each at its place."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root and the program 'mount'")
    with ExitStack() as stack:
        for place, size_mib in disks:
            place.mkdir(parents=True)
            options = ["-t", "tmpfs", "-o", f"size={size_mib}M", "minidfs-test"]
            command = ["mount", *options, str(place)]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode != 0:
                pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
            stack.callback(subprocess.run, ["umount", str(place)], check=True)
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 160 MiB."""
    disk = tmp_path / "disk"
    with mounted((disk, 160)):
        yield disk


@pytest.mark.root
def test_a_full_disk_takes_no_files_gives_them_back_and_recovers(small_disk: Path) -> None:
    cluster = ClusterHere(small_disk / "home")
    content = content_of(12 * MIB)
    try:
        up(cluster, 1, "1M")
        stored: list[str] = []
        while (
            done := cluster.minidfs("put", "-", "/new", stdin=content, code=None)
        ).returncode == 0:
            cluster.minidfs("mv", "/new", f"/f{len(stored)}")
            stored.append(f"f{len(stored)}")
            assert len(stored) < 160 / 12
        assert (done.returncode, done.stderr.count("\n")) == (5, 1)
        assert "too little room" in done.stderr
        assert cluster.names("/") == stored

        filler = small_disk / "filler"  # somebody else takes what was left
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], capture_output=True)
        cluster.minidfs("put", "-", "/new", stdin=content, code=5)
        assert cluster.cat(f"/{stored[-1]}") == content
        cluster.minidfs("rm", *(f"/{name}" for name in stored[1:]))
        filler.unlink()
        until(lambda: cluster.minidfs("put", "-", "/new", stdin=content, code=None).returncode == 0)
        assert cluster.names("/") == [stored[0], "new"]
        assert cluster.cat("/new") == cluster.cat(f"/{stored[0]}") == content
    finally:
        cluster.minidfs("down")


def put_until_full(cluster: ClusterHere, fs: Client, content: bytes, limit: int) -> list[str]:
    """Files of this content until a put is refused, which must be clean."""
    stored: list[str] = []
    while True:
        name = f"f{len(stored):02}"
        command = ("put", "--replication", "1", "-", f"/{name}")
        done = cluster.minidfs(*command, stdin=content, code=None)
        if done.returncode != 0:
            break
        stored.append(name)
        assert len(stored) < limit
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 1)
    # The namenode knows it, or the room that is left lies in parts that hold no chunk.
    assert "too little room" in done.stderr or "full up to its reserve" in done.stderr
    assert [entry.name for entry in fs.list("/")] == stored  # nothing is half done
    return stored


@pytest.mark.root
def test_full_folders_full_nodes_and_a_full_cluster_recover_by_themselves(tmp_path: Path) -> None:
    """Two nodes with two disks each, filled up to the reserve, emptied, and filled again."""
    cluster = ClusterHere(tmp_path / "home")
    disks = tmp_path / "disks"
    sizes = {"datanode-1-a": 76, "datanode-1-b": 88, "datanode-2-a": 88, "datanode-2-b": 96}
    content = content_of(3 * MIB)
    with mounted(*((disks / name, size) for name, size in sizes.items())):
        cluster.home.make()
        text = IMPATIENT.format(address=choose_address(set()))
        dirs = f'dirs = ["{disks}/{{id}}-a", "{disks}/{{id}}-b"]'
        text = text.replace("[datanode]", f"[datanode]\n{dirs}")
        cluster.home.config_file.write_text(text, encoding="utf-8")
        try:
            cluster.minidfs("up", "--nodes", "2", "--chunk-size", "1M")
            with connect(cluster) as fs:
                for _ in range(2):
                    until(lambda: room(cluster) >= 88 * MIB)  # as the last heartbeats told it
                    stored = put_until_full(cluster, fs, content, 92 // 3)
                    assert len(stored) >= 60 // 3
                    for name in sizes:  # each took its part, and no reserve was touched
                        assert list((disks / name / "chunks").rglob("*.chunk"))
                        stat = os.statvfs(disks / name)
                        assert stat.f_bavail * stat.f_frsize >= 63 * MIB
                    assert fs.read_bytes(f"/{stored[-1]}") == content
                    for name in stored:
                        fs.remove(f"/{name}")
                    until(lambda: not any(files_in_use(disks)))
        finally:
            cluster.minidfs("down", code=None)


def room(cluster: ClusterHere) -> int:
    """The bytes of chunks that the namenode believes to fit."""
    available: int = json.loads(cluster.minidfs("df", "--json").stdout)["available"]
    return available


def files_in_use(disks: Path) -> Iterator[Path]:
    """Chunk files below these folders, those in the trash included."""
    for kind in ("chunks", "trash"):
        for folder in disks.glob(f"*/{kind}"):
            yield from (path for path in folder.rglob("*") if path.is_file())
