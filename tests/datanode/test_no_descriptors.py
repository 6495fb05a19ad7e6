"""A datanode that cannot give out descriptors serves without them, and says why."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dfs.datanode.server import _serve_descriptors as serve_descriptors


def test_without_a_place_for_the_socket_file_there_are_no_descriptors(tmp_path: Path) -> None:
    lines: list[str] = []
    place = tmp_path / "missing" / "d.sock"
    folders: Any = SimpleNamespace(open_sealed=lambda chunk: 0)
    assert serve_descriptors(place, folders, lines.append) is None
    assert lines == [f"{place}: no descriptors are given out: [Errno 2] No such file or directory"]
