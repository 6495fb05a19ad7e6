"""Giving memory back that a mapped file has taken.

Pages of a mapping count as resident from their first use until the kernel wants them back,
which a look at the whole process takes for a leak, and a limit of a container too. They can be
dropped at any time: the next use finds them in the page cache. Only read-only mappings of files
are touched. Linux only; elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_STATM = Path("/proc/self/statm")


def resident_file_bytes() -> int:
    """How much memory of this process is pages of files; 0 where that cannot be told."""
    try:
        fields = _STATM.read_bytes().split()
    except OSError:
        return 0
    return int(fields[2]) * mmap.PAGESIZE


def drop_mapping(path: Path) -> int:
    """Drop the pages of the read-only mappings of a file; how many bytes are mapped."""
    if _madvise is None:
        return 0
    dropped_bytes = 0
    for start, length in _mappings(path):
        if _madvise(start, length, mmap.MADV_DONTNEED) == 0:
            dropped_bytes += length
    return dropped_bytes


def _mappings(path: Path) -> Iterator[tuple[int, int]]:
    """Address and length of each shared read-only mapping of a file."""
    name = os.fsencode(path.resolve())
    for line in _MAPS.read_bytes().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == name and fields[1] == b"r--s":
            start, _, end = fields[0].partition(b"-")
            yield int(start, 16), int(end, 16) - int(start, 16)


def _load_madvise() -> ctypes._NamedFuncPointer | None:
    if not sys.platform.startswith("linux"):
        return None
    function = ctypes.CDLL(None, use_errno=True).madvise
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function


_madvise = _load_madvise()
