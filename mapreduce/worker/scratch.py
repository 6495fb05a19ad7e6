"""The disk that tasks write to: how much of it is free, how much a folder takes, and removal.

User code fills these folders, so nothing in them is believed: links are not followed, what
vanishes while it is counted is fine, and a folder that forbids its own removal is removed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dfs.config import Reserve
from dfs.limits import GIB

RESERVE_MAX_BYTES = GIB
RESERVE_MAX_PERCENT = 10
ENTRIES_COUNTED_MAX = 100_000
_BLOCK_BYTES = 512


class ScratchDisk:
    """The disk below a worker's scratch folder, of which some space shall stay free."""

    def __init__(self, folder: Path, reserve: Reserve) -> None:
        self._folder = folder
        self._reserve = reserve
        self.device = folder.stat().st_dev

    def room_bytes(self) -> int:
        """Bytes that are free above the reserve, less than 0 when it is touched. Raises OSError.

        The reserve is the datanodes', but at most 1 GiB and a tenth of the disk: what tasks write
        is gone soon.
        """
        stat = os.statvfs(self._folder)
        capacity_bytes = stat.f_blocks * stat.f_frsize
        reserve_bytes = min(
            self._reserve.of(capacity_bytes),
            RESERVE_MAX_BYTES,
            capacity_bytes * RESERVE_MAX_PERCENT // 100,
        )
        return stat.f_bavail * stat.f_frsize - reserve_bytes


def used_bytes(folder: Path) -> int:
    """Bytes on disk of the files below a folder, of the first ``ENTRIES_COUNTED_MAX`` entries."""
    total_bytes = entries = 0
    seen: set[int] = set()
    folders = [str(folder)]
    while folders and entries < ENTRIES_COUNTED_MAX:
        try:
            with os.scandir(folders.pop()) as found:
                for entry in found:
                    entries += 1
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif status.st_ino not in seen:
                        seen.add(status.st_ino)
                        total_bytes += status.st_blocks * _BLOCK_BYTES
        except OSError:
            continue  # it is gone, or closed to us
    return total_bytes


def remove_tree(folder: Path) -> None:
    """Remove a folder, also one whose folders were made unwritable; fine if it is not there."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    for parent, names, _ in os.walk(folder):
        for name in [parent, *(os.path.join(parent, name) for name in names)]:
            if not os.path.islink(name):
                os.chmod(name, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
