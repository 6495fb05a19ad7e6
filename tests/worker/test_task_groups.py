"""Groups of task processes: where they may be made, what they end, what is done without them."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfs.limits import MIB
from mapreduce.worker.group_trees import KernelFiles, Tree, find_trees
from mapreduce.worker.task_groups import (
    NOTE,
    PREFIX,
    TaskGroup,
    TaskGroups,
    clear_noted,
    sweep,
)
from tests.worker.kernel_here import KernelHere

MOUNTED = "30 20 {device} {root} {point} rw,relatime - {kind} none {options}\n"
OWN = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/c/d\n"


def mounted(
    point: str, kind: str, options: str = "rw", root: str = "/", device: str = "0:1"
) -> str:
    return MOUNTED.format(point=point, kind=kind, options=options, root=root, device=device)


V1 = mounted("/sys/cg/memory", "cgroup", "rw,memory")
V2 = mounted("/sys/cg/unified", "cgroup2")
BEFORE = mounted("/", "ext4", device="8:1") + mounted("/sys/cg/cpu", "cgroup", "rw,cpu")


@pytest.fixture
def kernel(tmp_path: Path) -> KernelHere:
    return KernelHere(tmp_path)


@pytest.fixture
def groups(kernel: KernelHere) -> Iterator[TaskGroups]:
    """A worker's groups in two trees: memory by the first version, the end by the second."""
    trees = [kernel.tree(1), kernel.tree(2, limits_memory=False)]
    made = TaskGroups(trees, "worker-1", kernel)
    assert len(made.paths) == 2
    yield made
    made.close()
    assert left(kernel) == []


def left(kernel: KernelHere) -> list[Path]:
    return list(kernel.folder.glob(f"v?/{PREFIX}*"))


# Where.


def trees_of(folder: Path, mounts: str, own: str = OWN) -> list[tuple[str, int, bool]]:
    """What is found on such a machine, whose files lie in ``folder``."""
    (folder / "proc/self").mkdir(parents=True, exist_ok=True)
    (folder / "proc/self/mountinfo").write_text(mounts)
    (folder / "proc/self/cgroup").write_text(own)
    found = find_trees(folder, folder, KernelFiles())
    return [(str(t.base.relative_to(folder)), t.version, t.limits_memory) for t in found]


@pytest.mark.parametrize(
    ("mounts", "own", "found"),
    [
        (V1 + V2, OWN, [("sys/cg/memory/a/b", 1, True), ("sys/cg/unified/c/d", 2, False)]),
        (V1, OWN, [("sys/cg/memory/a/b", 1, True)]),
        (V1 + V1, OWN, [("sys/cg/memory/a/b", 1, True)]),
        ("", OWN, []),
        (V1 + V2, "9:name=systemd:/\n", []),
        (mounted("/cg", "cgroup", "memory", root="/a"), OWN, [("cg/b", 1, True)]),
        (mounted("/cg", "cgroup", "memory", root="/a/b"), OWN, [("cg", 1, True)]),
        (mounted("/cg", "cgroup", "memory", root="/other"), OWN, []),
        (V2, "0::/../elsewhere\n", []),
        (mounted("/c\\040g", "cgroup2"), "0::/\n", [("c g", 2, False)]),
    ],
)
def test_groups_are_made_below_our_own(
    tmp_path: Path, mounts: str, own: str, found: list[tuple[str, int, bool]]
) -> None:
    assert trees_of(tmp_path, BEFORE + mounts, own) == found


def test_where_there_is_no_such_system_there_are_no_groups(tmp_path: Path) -> None:
    assert find_trees(tmp_path, tmp_path, KernelFiles()) == []


def test_memory_is_not_limited_where_files_are_kept_in_memory(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = V1 + V2 + mounted("/tmp", "tmpfs", device=number)
    assert trees_of(tmp_path, mounts) == [("sys/cg/unified/c/d", 2, False)]


@pytest.mark.parametrize(
    ("control", "delegated", "base", "limits"),
    [
        ({"c/d": "cpu memory"}, (), "c/d", True),
        ({"c/d": "cpu", "c": "memory"}, (), "c/d", False),
        ({"c/d": "cpu", "c": "memory"}, ("c",), "c", True),
        ({"c/d": "", "c": ""}, ("c",), "c", True),
        ({}, ("c", "c/d"), "c/d", False),
    ],
)
def test_the_second_version_limits_memory_where_it_was_delegated(
    kernel: KernelHere, control: dict[str, str], delegated: tuple[str, ...], base: str, limits: bool
) -> None:
    top = kernel.folder / "sys/cg/unified"
    (top / "c/d").mkdir(parents=True)
    for group, text in control.items():
        (top / group / "cgroup.subtree_control").write_text(text)
    kernel.delegated = {top / group for group in delegated}
    trees_of(kernel.folder, V1 + V2)
    found = find_trees(kernel.folder, kernel.folder, kernel)
    assert found[-1] == Tree(top / base, 2, limits)
    assert len(found) == (1 if limits else 2)


def test_a_mark_of_delegation_is_read_from_the_folder(tmp_path: Path) -> None:
    assert not KernelFiles().is_delegated(tmp_path)
    os.setxattr(tmp_path, "user.delegate", b"1")
    assert KernelFiles().is_delegated(tmp_path)


# What they do.


def test_a_group_ends_with_all_that_is_in_it(kernel: KernelHere, groups: TaskGroups) -> None:
    with kernel.process() as first, kernel.process() as second:
        group, other = groups.make("1"), groups.make("2")
        group.add(first.pid)
        other.add(second.pid)
        group.end()
        assert first.wait() < 0
        assert kernel.lives(second.pid)
    assert [p.name for path in groups.paths for p in path.iterdir() if p.is_dir()] == ["2", "2"]
    TaskGroup().end()


def test_the_kernels_limit_lies_above_the_tasks(kernel: KernelHere, groups: TaskGroups) -> None:
    group = groups.make("1")
    memory = groups.paths[0] / "1"
    for limit, kernels in ((100 * MIB, 164 * MIB), (400 * MIB, 500 * MIB)):
        group.limit(limit)
        for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
            assert int((memory / name).read_text()) == kernels
    (memory / "memory.limit_in_bytes").write_text("set")
    group.limit(400 * MIB)
    assert (memory / "memory.limit_in_bytes").read_text() == "set", "it is told once"
    (memory / "memory.usage_in_bytes").write_text("7\n")
    assert group.used_bytes() == 7
    TaskGroup().limit(1)
    assert TaskGroup().used_bytes() == 0


@pytest.mark.parametrize(
    ("peak", "kills", "cut"),
    [(164 * MIB, 1, 164 * MIB), (164 * MIB, 0, 0), (100 * MIB, 1, 0), (0, 1, 164 * MIB)],
)
def test_a_kill_counts_if_the_group_was_full(
    groups: TaskGroups, peak: int, kills: int, cut: int
) -> None:
    group, memory = groups.make("1"), groups.paths[0] / "1"
    group.limit(100 * MIB)
    (memory / "memory.max_usage_in_bytes").write_text(f"{peak}\n" if peak else "")
    (memory / "memory.oom_control").write_text(
        f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n"
    )
    assert group.cut_at_bytes() == cut


@pytest.mark.parametrize(("full", "cut"), [(1, 5), (0, 0)])
def test_the_second_version_does_both(kernel: KernelHere, full: int, cut: int) -> None:
    groups = TaskGroups([kernel.tree(2)], "worker-1", kernel)
    assert groups.uses == "memory: cgroup v2, processes: cgroup v2"
    (own,) = groups.paths
    assert (own / "cgroup.subtree_control").read_text() == "memory"
    group = groups.make("1")
    group.limit(100 * MIB)
    assert (own / "1/memory.max").read_text() == str(164 * MIB)
    assert (own / "1/memory.swap.max").read_text() == "0"
    (own / "1/memory.events").write_text(f"low 0\noom {full}\noom_kill 1\n")
    (own / "1/memory.peak").write_text("5\n")
    assert group.cut_at_bytes() == cut
    assert groups.close()


# What is refused.


@pytest.mark.parametrize("error", [errno.EACCES, errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize(("call", "name"), [("make", "trial"), ("write", "cgroup.procs")])
def test_a_tree_that_does_not_work_is_not_used(
    kernel: KernelHere, call: str, name: str, error: int
) -> None:
    kernel.refuse(call, name, error)
    groups = TaskGroups([kernel.tree(1)], "worker-1", kernel)
    assert (groups.paths, left(kernel)) == ([], [])
    assert groups.uses == "memory: sampled, processes: found one by one"
    group = groups.make("1")
    group.limit(100 * MIB)
    group.add(1)
    assert (group.used_bytes(), group.cut_at_bytes()) == (0, 0)
    group.end()
    assert groups.close()


def test_a_tree_that_takes_no_groups_is_not_used(tmp_path: Path) -> None:
    """The base is gone, and is no folder."""
    (tmp_path / "file").touch()
    trees = [Tree(tmp_path / name, 1, True) for name in ("none", "file")]
    assert TaskGroups(trees, "worker-1").paths == []


def test_what_is_no_number_of_a_process_here_is_left_alone(
    kernel: KernelHere, groups: TaskGroups
) -> None:
    group = groups.make("1")
    group.add(0)
    group.add(os.getpid())
    group.end()
    for path in groups.paths:
        (path / "1/cgroup.procs").write_text("")


@pytest.mark.parametrize(
    ("call", "name", "error"),
    [
        ("make", "1", errno.ENOSPC),
        ("write", "cgroup.procs", errno.EACCES),
        ("write", "memory.limit_in_bytes", errno.EBUSY),
        ("write", "memory.memsw.limit_in_bytes", errno.EOPNOTSUPP),
        ("read", "memory.usage_in_bytes", errno.ENOENT),
    ],
)
def test_one_process_goes_without(
    kernel: KernelHere, groups: TaskGroups, call: str, name: str, error: int
) -> None:
    kernel.refuse(call, name, error)
    group = groups.make("1")
    group.add(os.getpid())
    group.limit(100 * MIB)
    assert (group.used_bytes(), group.cut_at_bytes()) == (0, 0)
    for path in kernel.folder.glob("v?/*/1/cgroup.procs"):
        path.write_text("")
    group.end()


def test_a_group_that_somebody_removed_is_made_again(
    kernel: KernelHere, groups: TaskGroups
) -> None:
    for path in groups.paths:
        kernel.remove(path)
    with kernel.process() as process:
        group = groups.make("1")
        group.add(process.pid)
        for path in groups.paths:
            assert kernel.read(path / "1/cgroup.procs") == f"{process.pid}\n"
        group.end()
    for path in groups.paths:
        kernel.make(path / "2")
        kernel.remove(path / "2")
    groups.make("2").end()


def test_what_cannot_be_removed_yet_is_tried_again(kernel: KernelHere, groups: TaskGroups) -> None:
    with kernel.process() as process:
        kernel.lingers.add(process.pid)
        group = groups.make("1")
        group.add(process.pid)
        group.end()
        assert all((path / "1").exists() for path in groups.paths)
        assert process.wait() < 0
        kernel.lingers.clear()
    groups.make("2")
    assert not any((path / "1").exists() for path in groups.paths)


def test_what_a_task_made_in_its_group_goes_with_it(kernel: KernelHere, groups: TaskGroups) -> None:
    group = groups.make("1")
    with kernel.process() as process:
        for path in groups.paths:
            kernel.make(path / "1/own")
            kernel.write(path / "1/own/cgroup.procs", str(process.pid))
        group.end()
        assert process.wait() < 0
    assert not any((path / "1").exists() for path in groups.paths)


# What killed workers left.


def test_what_a_killed_worker_left_is_cleared_and_the_living_are_not(
    kernel: KernelHere, groups: TaskGroups
) -> None:
    living = groups.make("1")
    base = kernel.folder / "v1"
    dead, foreign = base / f"{PREFIX}dead", base / "foreign"
    with kernel.process() as lost, kernel.process() as kept:
        for group in (dead, dead / "1", foreign):
            kernel.make(group)
        (base / f"{PREFIX}file").touch()
        kernel.write(dead / "1/cgroup.procs", str(lost.pid))
        living.add(kept.pid)
        sweep(base, kernel)
        assert lost.wait() < 0
        assert kernel.lives(kept.pid)
        assert (dead.exists(), foreign.exists()) == (False, True)
        living.end()
    (base / f"{PREFIX}file").unlink()


def test_a_worker_that_is_taken_for_a_leftover_begins_again(kernel: KernelHere) -> None:
    class Hasty(KernelHere):
        """Somebody sweeps between the making and the locking."""

        swept = 0

        def make(self, group: Path) -> None:
            super().make(group)
            self.swept += 1
            if self.swept == 1:
                self.remove(group)

    hasty = Hasty(kernel.folder)
    groups = TaskGroups([hasty.tree(1)], "worker-1", hasty)
    assert len(groups.paths) == 1
    lock = os.open(groups.paths[0], os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)
    assert groups.close()


def test_the_groups_of_a_folder_are_noted_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "worker-1/tasks"
    folder.mkdir(parents=True)
    groups = TaskGroups.of(folder)
    paths = groups.paths
    assert all(path.name.startswith(f"{PREFIX}worker-1-") for path in paths)
    noted = (folder / NOTE).read_text().split() if paths else []
    assert noted == [str(path) for path in paths]
    clear_noted(folder)
    assert not any(path.exists() for path in paths)
    (folder / NOTE).write_text(f"{tmp_path}\n/nowhere/{PREFIX}1\n")
    clear_noted(folder)
    assert tmp_path.exists()
    assert groups.close()
