"""Where groups of the kernel (cgroups) may be made for tasks, and what those can do there.

New groups lie below our own, so that every limit that holds for this process holds for them; or
below the one above it where that was delegated to us, as by ``Delegate=`` with
``DelegateSubgroup=`` in systemd: version 2 gives no memory controller to groups beside processes.
Controllers are switched on only in what was delegated. Elsewhere than on Linux there are no trees.

Nothing is made here: what is found is to be tried (``task_groups``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_DELEGATED = ("user.delegate", "trusted.delegate")
"""The marks of systemd on the folder of a group that it leaves to who runs in it."""


class Files(Protocol):
    """Files and folders of groups. All but the last raise OSError."""

    def make(self, group: Path) -> None:
        """Make a group."""

    def remove(self, group: Path) -> None:
        """Remove an empty group."""

    def read(self, path: Path) -> str:
        """What a file of a group says."""

    def write(self, path: Path, text: str) -> None:
        """Tell a file of a group something."""

    def is_delegated(self, group: Path) -> bool:
        """Was this group, with all below, left to who runs in it?"""


class KernelFiles:
    """Those of the kernel, see Files."""

    def make(self, group: Path) -> None:
        """See Files."""
        group.mkdir()

    def remove(self, group: Path) -> None:
        """See Files."""
        group.rmdir()

    def read(self, path: Path) -> str:
        """See Files."""
        return path.read_text(encoding="ascii", errors="replace")

    def write(self, path: Path, text: str) -> None:
        """See Files; a file that is not there is not made."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode("ascii"))
        finally:
            os.close(fd)

    def is_delegated(self, group: Path) -> bool:
        """See Files."""
        for name in _DELEGATED:
            with suppress(OSError):
                if os.getxattr(group, name) == b"1":
                    return True
        return False


@dataclass(frozen=True, slots=True)
class Tree:
    """A hierarchy of groups. ``base``: the one in which this process may make others."""

    base: Path
    version: int
    limits_memory: bool


@dataclass(frozen=True, slots=True)
class _Mount:
    """A line of ``/proc/self/mountinfo``."""

    device: str
    root: str
    point: str
    kind: str
    options: tuple[str, ...]


def find_trees(system: Path, scratch: Path, files: Files) -> list[Tree]:
    """At most one of each version; ``system`` is the folder of ``/proc`` and ``/sys``.

    Where files of tasks, in ``scratch``, are kept in memory, they would count: no tree has one.
    """
    try:
        mounts = list(_mounts((system / "proc/self/mountinfo").read_text(encoding="utf-8")))
        own = dict(_own((system / "proc/self/cgroup").read_text(encoding="utf-8")))
    except OSError:
        return []
    may_limit = not _is_memory(scratch, mounts)
    trees: dict[int, Tree] = {}
    for mount in mounts:
        if mount.kind == "cgroup2" and (group := _group(system, mount, own.get(""))):
            top = system / mount.point.lstrip("/")
            trees.setdefault(2, _second(group, top, may_limit, files))
        is_first = mount.kind == "cgroup" and "memory" in mount.options
        if is_first and may_limit and (group := _group(system, mount, own.get("memory"))):
            trees.setdefault(1, Tree(group, 1, True))
    if 2 in trees and trees[2].limits_memory:
        return [trees[2]]
    return list(trees.values())


def _mounts(text: str) -> Iterator[_Mount]:
    for line in text.splitlines():
        before, _, behind = line.partition(" - ")
        fields, more = before.split(" "), behind.split(" ")
        root, point = (f.encode().decode("unicode_escape") for f in fields[3:5])
        yield _Mount(fields[2], root, point, more[0], tuple(more[2].split(",")))


def _own(text: str) -> Iterator[tuple[str, str]]:
    """The path of our group for each controller; ``''`` for version 2."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _group(system: Path, mount: _Mount, path: str | None) -> Path | None:
    """Our group as a folder; None if it does not lie below this mount."""
    if path is None or ".." in path.split("/"):
        return None
    if mount.root != "/":
        if path != mount.root and not path.startswith(f"{mount.root}/"):
            return None
        path = path.removeprefix(mount.root)
    return system / mount.point.lstrip("/") / path.lstrip("/")


def _second(group: Path, top: Path, may_limit: bool, files: Files) -> Tree:
    """The tree of version 2: with memory where new groups have its controller, or can have it."""
    above = [group.parent] if group != top and files.is_delegated(group.parent) else []
    for base in [group, *above] if may_limit else []:
        control = base / "cgroup.subtree_control"
        with suppress(OSError):
            if files.is_delegated(base) and "memory" not in files.read(control).split():
                files.write(control, "+memory")
            if "memory" in files.read(control).split():
                return Tree(base, 2, True)
    return Tree(group, 2, False)


def _is_memory(folder: Path, mounts: Sequence[_Mount]) -> bool:
    """Are the files of this folder kept in memory?"""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    return any(m.device == number and m.kind in ("tmpfs", "ramfs") for m in mounts)
