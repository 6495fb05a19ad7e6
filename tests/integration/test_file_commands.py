"""Files of a running cluster through the commands."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from tests.integration.cluster_here import ClusterHere

pytestmark = pytest.mark.cluster

KIB = 1024


@pytest.fixture
def place(cluster: ClusterHere, request: pytest.FixtureRequest) -> str:
    """A directory of the test's own."""
    path = "/" + request.node.name.replace("/", "_")[:100]
    cluster.minidfs("mkdir", path)
    return path


@pytest.mark.parametrize("size", [0, 1, 4 * KIB - 1, 4 * KIB, 4 * KIB + 1, 8 * KIB, 300 * KIB + 7])
def test_what_was_put_comes_back(
    cluster: ClusterHere, place: str, tmp_path: Path, size: int
) -> None:
    local, back = tmp_path / "in", tmp_path / "out"
    local.write_bytes(random.Random(size).randbytes(size))
    cluster.minidfs("put", "--chunk-size", "4K", local, f"{place}/f")
    cluster.minidfs("get", f"{place}/f", back)
    assert back.read_bytes() == local.read_bytes()
    assert cluster.cat(f"{place}/f") == local.read_bytes()
    form = "%s %F %r %o"
    kind = "regular file" if size else "regular empty file"
    shown = cluster.minidfs("stat", "-c", form, f"{place}/f").stdout
    assert shown == f"{size} {kind} 3 4096\n"


def test_stdin_and_stdout(cluster: ClusterHere, place: str) -> None:
    text = b"no end of line" * 10_000
    cluster.minidfs("put", "-", f"{place}/new/parents/f", stdin=text)
    assert cluster.minidfs("get", f"{place}/new/parents/f", "-").stdout.encode() == text
    cluster.minidfs("put", "-", f"{place}/new/", stdin=text, code=4)
    cluster.minidfs("put", "-", f"{place}/other/", stdin=text, code=2)


def test_an_existing_file_is_kept_without_f(
    cluster: ClusterHere, place: str, tmp_path: Path
) -> None:
    cluster.minidfs("put", "-", f"{place}/f", stdin=b"old")
    for command in (["put", "-", f"{place}/f"], ["mkdir", f"{place}/f"]):
        cluster.minidfs(*command, stdin=b"new", code=4)
    assert cluster.cat(f"{place}/f") == b"old"
    cluster.minidfs("put", "-f", "-", f"{place}/f", stdin=b"new")
    assert cluster.cat(f"{place}/f") == b"new"
    local = tmp_path / "f"
    local.write_text("mine", encoding="ascii")
    cluster.minidfs("get", f"{place}/f", local, code=4)
    assert local.read_text(encoding="ascii") == "mine"
    cluster.minidfs("get", "-f", f"{place}/f", local)
    assert local.read_text(encoding="ascii") == "new"


def test_a_directory_is_never_replaced_by_a_file(
    cluster: ClusterHere, place: str, tmp_path: Path
) -> None:
    cluster.minidfs("mkdir", "-p", f"{place}/d/name")
    local = tmp_path / "name"
    local.write_text("x", encoding="ascii")
    cluster.minidfs("put", "-f", local, f"{place}/d", code=4)
    cluster.minidfs("put", "-f", "-", f"{place}/d/name", stdin=b"x", code=4)
    cluster.minidfs("put", local, f"{place}/f")
    cluster.minidfs("mkdir", "-p", f"{place}/f/below", code=4)


def test_trees_go_there_and_back(cluster: ClusterHere, place: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "empty").mkdir(parents=True)
    (tree / "deep" / "er").mkdir(parents=True)
    files = {f"deep/er/{n}": bytes([n]) * n * 100 for n in range(20)} | {"über 😀.txt": b"x"}
    for name, content in files.items():
        (tree / name).write_bytes(content)
    cluster.minidfs("put", tree, place, code=4)
    cluster.minidfs("put", "-r", tree, place)
    cluster.minidfs("get", f"{place}/tree", tmp_path / "copy", code=4)
    cluster.minidfs("get", "-r", f"{place}/tree", tmp_path / "copy")
    found = {
        str(path.relative_to(tmp_path / "copy")): path.read_bytes()
        for path in (tmp_path / "copy").rglob("*")
        if path.is_file()
    }
    assert found == files
    assert (tmp_path / "copy" / "empty").is_dir()
    cluster.minidfs("get", "-r", f"{place}/tree", tmp_path / "copy")
    assert (tmp_path / "copy" / "tree" / "deep").is_dir()


def test_of_several_files_those_that_exist_go(
    cluster: ClusterHere, place: str, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name, encoding="ascii")
    missing = tmp_path / "missing"
    done = cluster.minidfs("put", tmp_path / "a", missing, tmp_path / "b", f"{place}/d", code=8)
    assert str(missing) in done.stderr
    assert cluster.names(f"{place}/d") == ["a", "b"]
    assert str(missing) in cluster.minidfs("put", missing, place, code=3).stderr
    (tmp_path / "back").mkdir()
    cluster.minidfs("get", f"{place}/d/a", f"{place}/d/none", tmp_path / "back", code=8)
    assert (tmp_path / "back" / "a").read_text(encoding="ascii") == "a"
    cluster.minidfs("cat", f"{place}/none", code=3)


def test_a_local_file_that_cannot_be_read(cluster: ClusterHere, place: str, tmp_path: Path) -> None:
    broken = tmp_path / "loop"
    broken.symlink_to(broken)
    done = cluster.minidfs("put", broken, f"{place}/f", code=1)
    assert (done.stderr.count("\n"), str(broken) in done.stderr) == (1, True)
    assert cluster.names(place) == []


def test_listings(cluster: ClusterHere, place: str) -> None:
    for name, size in (("b", 10_000), ("a", 3), ("c", 20)):
        cluster.minidfs("put", "-", f"{place}/{name}", stdin=b"x" * size)
    cluster.minidfs("put", "-", f"{place}/d/e/f", stdin=b"")
    assert cluster.names(place) == ["a", "b", "c", "d"]

    def ordered(*options: str) -> list[str]:
        return cluster.minidfs("ls", *options, place).stdout.splitlines()

    assert ordered("-r") == ["d", "c", "b", "a"]
    assert ordered("-S")[:3] == ["b", "c", "a"]
    assert ordered("-t")[-3:] == ["c", "a", "b"]
    assert ordered("-d") == [place]
    long = ordered("-l", "-h")
    assert long[1].split()[:5] == ["-rw-r--r--", "3", *long[0].split()[2:4], "9.8K"]
    assert long[3].startswith("drwxr-xr-x  -")
    recursive = "\n".join(ordered("-R"))
    assert recursive == (f"{place}:\na\nb\nc\nd\n\n{place}/d:\ne\n\n{place}/d/e:\nf")
    rows = [json.loads(line) for line in ordered("--json")]
    assert [row["path"] for row in rows] == [f"{place}/{n}" for n in "abcd"]
    assert list(rows[0]) == [
        "v", "path", "type", "size", "replication", "chunk_size", "mtime", "owner", "group",
        "mode",
    ]  # fmt: skip
    assert (rows[1]["size"], rows[1]["type"], rows[3]["type"]) == (10_000, "file", "directory")


def test_globs_are_expanded_by_the_cluster(cluster: ClusterHere, place: str) -> None:
    for name in ("a1", "a2", "b1", ".hidden"):
        cluster.minidfs("put", "-", f"{place}/{name}", stdin=name.encode())
    assert cluster.names(f"{place}/a*") == [f"{place}/a1", f"{place}/a2"]
    assert cluster.cat(f"{place}/{{b,a}}1") == b"a1b1"
    assert cluster.cat(f"{place}/*") == b"a1a2b1"
    done = cluster.minidfs("ls", f"{place}/z*", code=3)
    assert f"{place}/z*" in done.stderr
    cluster.minidfs("mkdir", f"{place}/d")
    cluster.minidfs("mv", f"{place}/a*", f"{place}/d")
    assert cluster.names(f"{place}/d") == ["a1", "a2"]
    cluster.minidfs("rm", f"{place}/d/*")
    assert cluster.names(f"{place}/d") == []


def test_moves(cluster: ClusterHere, place: str) -> None:
    cluster.minidfs("put", "-", f"{place}/f", stdin=b"f")
    cluster.minidfs("put", "-", f"{place}/g", stdin=b"g")
    cluster.minidfs("mv", f"{place}/f", f"{place}/no/f", code=3)
    cluster.minidfs("mv", f"{place}/f", f"{place}/no/", code=3)
    cluster.minidfs("mv", f"{place}/f", f"{place}/g", code=4)
    cluster.minidfs("mv", f"{place}/none", f"{place}/h", code=3)
    cluster.minidfs("mv", "-f", f"{place}/f", f"{place}/g")
    assert cluster.cat(f"{place}/g") == b"f"
    cluster.minidfs("mkdir", f"{place}/d")
    cluster.minidfs("mv", f"{place}/g", f"{place}/d")
    cluster.minidfs("mv", f"{place}/d", f"{place}/e")
    assert cluster.cat(f"{place}/e/g") == b"f"
    cluster.minidfs("mv", f"{place}/e", f"{place}/e/inside", code=2)


def test_deletions(cluster: ClusterHere, place: str) -> None:
    cluster.minidfs("put", "-", f"{place}/d/f", stdin=b"f")
    assert "-r" in cluster.minidfs("rm", f"{place}/d", code=4).stderr
    cluster.minidfs("rm", f"{place}/none", code=3)
    cluster.minidfs("rm", "-f", f"{place}/none", f"{place}/none*")
    cluster.minidfs("rm", "-r", "--skip-trash", f"{place}/d")
    assert cluster.names(place) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("..", 2),
        (".", 2),
        ("x" * 300, 2),
        ("x" * 255, 0),
        ("😀" * 63, 0),
        ("a b\tc\nd", 0),
        ("-", 0),
        (os.fsdecode(b"\xff\xfe"), 2),
    ],
)
def test_names(cluster: ClusterHere, name: str, code: int) -> None:
    place = f"/names-{len(name)}-{code}-{ord(name[0])}"
    cluster.minidfs("mkdir", place)
    done = cluster.minidfs("put", "-", f"{place}/{name}", stdin=b"here", code=code)
    assert done.stderr.count("\n") == (code != 0)
    if code == 0:
        assert cluster.cat(f"{place}/{name}") == b"here"
        assert cluster.minidfs("ls", place).stdout == f"{name}\n"


def test_a_path_with_the_address_of_its_cluster(cluster: ClusterHere, place: str) -> None:
    cluster.minidfs("put", "-", f"{place}/f", stdin=b"here")
    address = cluster.status()["roles"][0]["address"]
    assert cluster.cat(f"minidfs://{address}{place}/f") == b"here"
    assert cluster.cat(f"minidfs://{place}/f") == b"here"


def test_errors_are_json_where_json_was_asked_for(cluster: ClusterHere, place: str) -> None:
    done = cluster.minidfs("cat", "--json", f"{place}/none", code=3)
    error = json.loads(done.stderr)["error"]
    assert (error["code"], error["path"]) == ("not_found", f"{place}/none")


def test_a_reader_that_stops_early_is_no_error(cluster: ClusterHere, place: str) -> None:
    cluster.minidfs("put", "-", f"{place}/f", stdin=b"x" * 3_000_000)
    child = cluster.begin("minidfs", "cat", f"{place}/f")
    assert child.stdout is not None
    assert child.stdout.read(10) == b"x" * 10
    child.stdout.close()
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b"")


def test_modification_times_are_now(cluster: ClusterHere, place: str) -> None:
    cluster.minidfs("put", "-", f"{place}/f", stdin=b"x")
    row = json.loads(cluster.minidfs("ls", "--json", place).stdout)
    moment = time.strptime(row["mtime"][:19], "%Y-%m-%dT%H:%M:%S")
    assert abs(time.mktime(moment) - time.mktime(time.gmtime())) < 300
