"""The folder of a rebuilt namenode gets its place when all went well, and otherwise never."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfs.errors import StorageFault, Unavailable
from dfs.namenode.rebuild import _new_folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "namenode"


def test_a_folder_that_was_filled_gets_its_place(place: Path) -> None:
    place.mkdir()
    (place / "LOCK").touch()
    with _new_folder(place, "c-1") as folder:
        folder.disk.create("found").close()
    assert (place / "found").exists()
    assert [path.name for path in place.parent.iterdir()] == ["namenode"]


def test_an_error_of_ours_ends_it_as_it_is_though_it_is_an_os_error_too(place: Path) -> None:
    with pytest.raises(Unavailable, match="1 of 3"), _new_folder(place, "c-1"):
        raise Unavailable("1 of 3 datanodes came")
    assert not place.exists()


def _fill(place: Path) -> None:
    place.mkdir()
    (place / "somebody's").touch()


def test_what_stands_in_its_place_is_left_alone_and_named(place: Path) -> None:
    taken = pytest.raises(StorageFault, match=f"{place} cannot be made: .*not empty")
    with taken, _new_folder(place, "c-1"):
        _fill(place)
    assert [path.name for path in place.iterdir()] == ["somebody's"]


def test_what_an_earlier_try_left_is_removed(place: Path) -> None:
    left = place.with_name("namenode.rebuilding")
    left.mkdir()
    (left / "half a log").touch()
    with _new_folder(place, "c-1"):
        assert not (left / "half a log").exists()
