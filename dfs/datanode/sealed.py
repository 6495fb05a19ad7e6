"""Chunk files that are sealed: reading with verification, and a cache of footers."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from threading import Lock

from dfs.checksum import HASH_BYTES, slice_count, slice_hashes
from dfs.datanode.chunkfile import (
    HEADER_BYTES,
    TRAILER_BYTES,
    Footer,
    Header,
    ReplicaKey,
    check_identity,
    decode_footer,
    decode_header,
    length_of,
    sealed_path,
)
from dfs.datanode.tasks import ReadSlices, SlicesRead
from dfs.disk import Disk, File
from dfs.errors import Corrupt
from dfs.limits import FOOTERS_CACHED, FRAME_BYTES, SLICE_BYTES


class SealedFiles:
    """Reads replicas. Raises Corrupt for bytes that are not what was sealed, and OSError."""

    def __init__(self, disk: Disk, cluster: str) -> None:
        self._disk = disk
        self._cluster = cluster
        self._footers: OrderedDict[ReplicaKey, Footer] = OrderedDict()
        self._lock = Lock()

    def read(self, task: ReadSlices) -> SlicesRead:
        """Some slices of a replica, verified."""
        file = self._disk.open(sealed_path(task.key))
        try:
            footer = self._footer_of(task.key, file)
            data = _read_verified(file, footer, task.offset, task.length)
            header = decode_header(file.read_at(0, HEADER_BYTES)) if task.with_header else None
        finally:
            file.close()
        return SlicesRead(data, footer.hashes, header)

    def ends(self, keys: tuple[ReplicaKey, ...]) -> list[tuple[Header, Footer]]:
        """Header and footer of each replica; those that are damaged or gone are left out."""
        found = []
        for key in keys:
            with suppress(Corrupt, FileNotFoundError):
                found.append(self._ends(key))
        return found

    def _ends(self, key: ReplicaKey) -> tuple[Header, Footer]:
        file = self._disk.open(sealed_path(key))
        try:
            return decode_header(file.read_at(0, HEADER_BYTES)), self._footer_of(key, file)
        finally:
            file.close()

    def footer(self, key: ReplicaKey) -> Footer:
        """The footer of a replica, verified."""
        file = self._disk.open(sealed_path(key))
        try:
            return self._footer_of(key, file)
        finally:
            file.close()

    def check(self, key: ReplicaKey, digest: bytes = b"") -> None:
        """Read and verify everything, the footer from the disk and not from the cache.

        ``digest``, unless empty, is the one that the chunk must have.
        """
        self.forget(key)
        file = self._disk.open(sealed_path(key))
        try:
            footer = self._footer_of(key, file)
            if digest and footer.digest != digest:
                raise Corrupt(f"{key} is whole, but not the chunk that the namenode knows")
            for offset in range(0, footer.length, FRAME_BYTES):
                length = min(FRAME_BYTES, footer.length - offset)
                _read_verified(file, footer, offset, length)
        finally:
            file.close()

    def _footer_of(self, key: ReplicaKey, file: File) -> Footer:
        with self._lock:
            known = self._footers.get(key)
            if known is not None:
                self._footers.move_to_end(key)
                return known
        length = length_of(file.size())
        if length is None:
            raise Corrupt(f"the file of {key} has {file.size()} bytes: no chunk has this size")
        tail_bytes = HASH_BYTES * slice_count(length) + TRAILER_BYTES
        header = decode_header(file.read_at(0, HEADER_BYTES))
        footer = decode_footer(file.read_at(HEADER_BYTES + length, tail_bytes))
        check_identity(self._cluster, key, header, footer)
        self.keep(footer)
        return footer

    def keep(self, footer: Footer) -> None:
        """Remember a footer; the one not used for longest makes room."""
        with self._lock:
            self._footers[footer.key] = footer
            if len(self._footers) > FOOTERS_CACHED:
                self._footers.popitem(last=False)

    def forget(self, key: ReplicaKey) -> None:
        """The replica moves away."""
        with self._lock:
            self._footers.pop(key, None)


def _read_verified(file: File, footer: Footer, offset: int, length: int) -> bytes:
    data = file.read_at(HEADER_BYTES + offset, length)
    first = HASH_BYTES * (offset // SLICE_BYTES)
    expected = footer.hashes[first : first + HASH_BYTES * slice_count(length)]
    if len(data) != length or slice_hashes(data) != expected:
        raise Corrupt(f"{footer.key}: bytes {offset}-{offset + length} do not match their hashes")
    return data
