"""A bundle from elsewhere writes plain files inside its directory or nothing at all."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from dfs.errors import BadArgument
from mapreduce import bundle
from mapreduce.bundle import digest_of, pack, unpack


def refused(data: bytes, folder: Path, words: str) -> None:
    with pytest.raises(BadArgument, match=words):
        unpack(data, digest_of(data), folder)
    assert list(folder.parent.rglob("*")) == [folder]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "task"
    path.mkdir()
    return path


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\b", "./../x"])
def test_names_that_lead_outside(name: str, folder: Path) -> None:
    refused(pack({"good.py": b"", name: b"x"}), folder, "plain files only")


def test_links(folder: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    refused(buffer.getvalue(), folder, "plain files only")


def test_compressed_members(folder: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.py", b"\0" * 100_000)
    refused(buffer.getvalue(), folder, "without compression")


def test_too_many_files_and_too_many_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_BUNDLE_FILES", 2)
    monkeypatch.setattr(bundle, "MAX_BUNDLE_BYTES", 10)
    refused(pack({"a": b"", "b": b"", "c": b""}), folder, "a bundle of 3 files: at most 2")
    refused(pack({"a": b"x" * 11}), folder, "more than 10 bytes")


def test_bytes_that_are_no_bundle(folder: Path) -> None:
    refused(b"no zip", folder, "not a zip file")
    with pytest.raises(BadArgument, match="are not the bundle"):
        unpack(pack({"a": b""}), digest_of(b"other"), folder)
