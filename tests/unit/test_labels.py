"""Labels: what is written, and that no damage passes for anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dfs.data_folder import Owner, claim
from dfs.datanode.kept_log import LogCopies
from dfs.datanode.log_keeper import KeeperWork
from dfs.disk import LocalDisk, read_whole
from dfs.epoch_file import parse_epoch, render_epoch
from dfs.errors import Corrupt, NotSupported, Refused
from dfs.events import Peer, Role
from dfs.label import Kind
from dfs.label import parse as parse_label
from dfs.label import render as render_label
from dfs.limits import LABEL_MAX_BYTES
from dfs.local.layout import NODES_MAX, Home, LocalCluster, node_process_ids
from dfs.log_format import pack_record
from dfs.manifest import Manifest, parse, render
from dfs.namenode.view_version import sign_folder
from dfs.security.key_folder import KeyFolder
from dfs.security.keys import KeyPair
from dfs.testing.disk import MemoryDisk
from dfs.wire.keeper import AppendLog, BeginLog
from tests.damage import every_damage

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "labels.json").read_text())
KIND = Kind("minidfs thing", 3, "bring it back")
WALL_NS = 1_763_703_780 * 10**9


def written_version(_: Path) -> bytes:
    disk = MemoryDisk()
    claim(disk, "d", Owner("datanode", "datanode-1", "c-3f2a9c", ()), WALL_NS)
    return disk.content("VERSION")


def written_current(_: Path) -> bytes:
    disk = MemoryDisk()
    copies = LogCopies(disk, "c-3f2a9c")
    record, _ = pack_record(1, 0, 0, b"first")
    copies.execute(KeeperWork(BeginLog(1, 1, 0), b""))
    copies.execute(KeeperWork(AppendLog(1, 1, True), record))
    return disk.content("keeper/CURRENT")


def written_view_version(folder: Path) -> bytes:
    sign_folder(LocalDisk(folder))
    return (folder / "VERSION").read_bytes()


def written_local(folder: Path) -> bytes:
    listen = {"datanode-1": "127.0.0.1:28033", "worker-1": "127.0.0.1:22256"}
    home = Home(folder)
    home.save_local(LocalCluster(1, 2, listen))
    return home.local_file.read_bytes()


def written_manifest(_: Path) -> bytes:
    digest = "3c1d7e51b5a0c6c2f5d0a3f6e9b48d27a1f04e6b9c8d7a6f5e4d3c2b1a090807"
    return render(Manifest("c-3f2a9c", 81234, "minidfs view 1, lmdb 0.9", 409600, digest))


def written_key(folder: Path) -> bytes:
    keys = KeyFolder(folder)
    pair = KeyPair(bytes(range(32)), bytes(range(32, 64)))
    keys.make(Peer(Role.DATANODE, "datanode-1"), lambda: pair)
    return (keys.path / "datanode-1.key").read_bytes()


WRITTEN: dict[str, Callable[[Path], bytes]] = {
    "VERSION": written_version,
    "EPOCH": lambda _: render_epoch(7),
    "CURRENT": written_current,
    "view/VERSION": written_view_version,
    "manifest": written_manifest,
    "local": written_local,
    "key": written_key,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_each_is_written_as_ever(name: str, tmp_path: Path) -> None:
    assert WRITTEN[name](tmp_path).decode() == "".join(f"{line}\n" for line in GOLDEN[name])


def test_fields_come_back() -> None:
    found = parse_label(KIND, render_label(KIND, {"name": "Ann Ö. Doe", "count": 12}), "f")
    assert (found.text("name"), found.number("count")) == ("Ann Ö. Doe", 12)
    for missing in (lambda: found.text("else"), lambda: found.number("name")):
        with pytest.raises(Corrupt, match="f is damaged: bring it back"):
            missing()


def test_no_damage_passes_for_anything() -> None:
    for good in (render_label(KIND, {"a": 1}), render_epoch(7), written_manifest(Path())):
        kind = Kind(good.partition(b"\n")[0].decode(), 3, "bring it back")
        for damaged in every_damage(good):
            with pytest.raises(Corrupt, match=r"^f is damaged: bring it back$"):
                parse_label(kind, damaged, "f")


def test_another_kind_and_a_newer_format_are_told_from_damage() -> None:
    other = render_label(Kind("minidfs else", 1, ""), {})
    with pytest.raises(Refused, match=r"f is another file .'minidfs else'.: bring it back"):
        parse_label(KIND, other, "f")
    newer = render_label(Kind(KIND.title, 4, ""), {"whatever": 1})
    with pytest.raises(NotSupported, match="f has format 4 and this minidfs knows 3: upgrade"):
        parse_label(KIND, newer, "f")
    older = render_label(Kind(KIND.title, 2, ""), {"a": 1})
    assert parse_label(KIND, older, "f").number("a") == 1
    with pytest.raises(Corrupt, match="f is damaged"):
        parse_label(KIND, render_label(Kind(KIND.title, -1, ""), {}), "f")


def test_one_in_the_place_of_another_is_no_epoch_and_no_manifest() -> None:
    with pytest.raises(Corrupt, match="EPOCH is another file"):
        parse_epoch(written_manifest(Path()), "EPOCH")
    with pytest.raises(Corrupt, match="here is another file"):
        parse(render_epoch(7), "here")


def test_the_largest_one_is_read_whole(tmp_path: Path) -> None:
    home = Home(tmp_path)
    names = [name for n in range(1, NODES_MAX + 1) for name in node_process_ids(n)]
    largest = LocalCluster(NODES_MAX, 64, dict.fromkeys(names, f"{'x' * 255}:65535"))
    home.save_local(largest)
    assert home.load_local() == largest
    assert len(read_whole(LocalDisk(tmp_path), "local")) < LABEL_MAX_BYTES
