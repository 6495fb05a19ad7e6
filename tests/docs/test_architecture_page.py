"""docs/architecture.md against the tree: each box exists, and each folder has its box."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TREE = PAGE.split("## Folder tree")[1].split("```")[1]
SECTIONS = {
    "The namenode (`dfs/namenode`)": "dfs/namenode",
    "The datanode (`dfs/datanode`)": "dfs/datanode",
    "Jobs (`mapreduce`)": "mapreduce",
}


def tree_folders() -> set[str]:
    folders, above = set(), ""
    for line in TREE.splitlines():
        found = re.match(r"( *)(\w+)/", line)
        if found and found.group(1):
            folders.add(f"{above}/{found.group(2)}")
        elif found:
            above = found.group(2)
            folders.add(above)
    return folders


def test_the_folder_tree_is_the_real_one() -> None:
    packages = {
        str(init.parent.relative_to(ROOT))
        for top in ("dfs", "mapreduce", "cli")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert tree_folders() == packages | {"examples", "benchmarks", "tests"}


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:dfs|mapreduce|tests)/[\w./]+)`", PAGE)))
)
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("title", "folder"), SECTIONS.items())
def test_every_module_of_a_table_exists(title: str, folder: str) -> None:
    section = PAGE.split(f"## {title}")[1].split("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| ([^|]*`[^|]*) \|", section, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert names
    for name in names:
        path = ROOT / folder / name
        assert path.is_dir() or path.with_suffix(".py").exists(), name


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link
