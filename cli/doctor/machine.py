"""Files, disk, memory, cores and clock of this machine."""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from cli.doctor.verdict import Check, fail, ok, warn
from cli.render import human_size
from dfs.config import Config
from dfs.daemon import FILES_MIN
from dfs.limits import GIB, MIB, MS_NS, SECOND_NS
from mapreduce.worker.task_groups import groups_here

FILES_GOOD = 4096
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "glusterfs", "lustre", "virtiofs"}
PASSING = {"tmpfs", "ramfs", "overlay"}
SYNCS = 20
SYNC_SLOW_NS = 50 * MS_NS
MEMORY_GOOD_BYTES = GIB
MEMORY_MIN_BYTES = 256 * MIB
CGROUP = Path("/sys/fs/cgroup")


def machine(home: Path, config: Config | None) -> Iterator[Check]:
    """All checks of the machine; ``config`` is None where there is no cluster yet."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    yield judge_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        mounts = ""
    yield judge_file_system(file_system(str(there.resolve()), mounts))
    usage = shutil.disk_usage(there)
    reserve = (config or Config()).datanode.reserve.of(usage.total)
    yield judge_space(usage.free, reserve)
    yield judge_sync(there)
    yield judge_memory(_available_bytes())
    yield ok("task groups", groups_here(there))
    yield ok("cores", _cores())
    newest = max((path.stat().st_mtime_ns for path in home.glob("*") if path.is_file()), default=0)
    yield judge_clock(time.time_ns(), newest)


def judge_files(hard: int) -> Check:
    """How many files may a daemon have open?"""
    if hard == resource.RLIM_INFINITY or hard >= FILES_GOOD:
        return ok("open files", "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard}")
    remedy = f"raise the limit to {FILES_GOOD} or more: ulimit -Hn, or LimitNOFILE= of the service"
    judged = fail if hard < FILES_MIN else warn
    return judged("open files", f"up to {hard}", remedy)


def file_system(folder: str, mounts: str) -> str:
    """The type of the file system that ``folder`` lies on, from the text of mountinfo; or ''."""
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, behind = line.partition(" - ")
        point = before.split(" ")[4].encode().decode("unicode_escape")
        inside = point == "/" or folder == point or folder.startswith(f"{point}/")
        if inside and len(point) >= len(best):
            best, kind = point, behind.split(" ")[0]
    return kind


def judge_file_system(kind: str) -> Check:
    """Does the metadata's LMDB work there, and does it last?"""
    if kind in NETWORK or kind.startswith("fuse"):
        remedy = "set MINIDFS_HOME to a local disk: LMDB and locks are not safe on this one"
        return fail("file system", kind, remedy)
    if kind in PASSING:
        remedy = "set MINIDFS_HOME to a disk if the data shall outlive this machine's run"
        return warn("file system", kind, remedy)
    return ok("file system", kind or "unknown")


def judge_space(free_bytes: int, reserve_bytes: int) -> Check:
    """Is there room beyond what datanodes leave free?"""
    found = f"{human_size(free_bytes)} free, of which {human_size(reserve_bytes)} are left alone"
    if free_bytes <= reserve_bytes:
        remedy = "free some space, or lower datanode.reserve: datanodes take no new chunks"
        return fail("disk space", found, remedy)
    if free_bytes < 2 * reserve_bytes:
        return warn("disk space", found, "free some space soon")
    return ok("disk space", found)


def judge_sync(folder: Path) -> Check:
    """How long does the disk take to make a few bytes durable?"""
    times = []
    try:
        with TemporaryFile(dir=folder) as file:
            for _ in range(SYNCS):
                begin = time.monotonic_ns()
                os.write(file.fileno(), b"x" * 4096)
                os.fsync(file.fileno())
                times.append(time.monotonic_ns() - begin)
    except OSError as error:
        return fail("sync", f"{folder}: {error.strerror}", "make the folder writable")
    return judge_sync_time(sorted(times)[SYNCS // 2])


def judge_sync_time(median_ns: int) -> Check:
    """Each change of the namespace waits for one sync."""
    found = f"{median_ns / MS_NS:.1f} ms for 4 KiB"
    if median_ns > SYNC_SLOW_NS:
        return warn("sync", found, "use a faster disk for the namenode: changes wait for it")
    return ok("sync", found)


def judge_memory(available_bytes: int) -> Check:
    """Is there memory for the daemons and a task?"""
    found = f"{human_size(available_bytes)} available"
    if available_bytes < MEMORY_MIN_BYTES:
        return fail("memory", found, "end other programs, or raise the container's limit")
    if available_bytes < MEMORY_GOOD_BYTES:
        return warn("memory", found, "run fewer nodes, and tasks with a small --task-memory")
    return ok("memory", found)


def judge_clock(wall_ns: int, newest_ns: int) -> Check:
    """Is the time plausible? ``newest_ns``: when a file of the cluster was changed last."""
    found = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall_ns // SECOND_NS))
    if wall_ns + 60 * SECOND_NS < newest_ns:
        return warn("clock", f"{found}, before files here were written", "set the clock, with NTP")
    return ok("clock", found)


def _available_bytes() -> int:
    """Memory that can be had: what the system says, or what is left of the cgroup's limit."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    sizes = dict(line.split(":", 1) for line in lines)
    available = int(sizes["MemAvailable"].split()[0]) * 1024
    limit, used = _number(CGROUP / "memory.max"), _number(CGROUP / "memory.current")
    return available if limit is None else min(available, limit - (used or 0))


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = (CGROUP / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        quota, period = "max", "1"
    share = "" if quota == "max" else f", of which the cgroup gives {int(quota) / int(period):.1f}"
    return f"{usable}{share}"


def _number(path: Path) -> int | None:
    """The number in a file of the system; None where there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
