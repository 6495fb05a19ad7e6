"""The file with what one attempt printed, cut at ``LOG_MAX_BYTES``, or earlier where its job has
printed much already.

That it cannot be written, on a full disk, is no reason for the attempt to fail: what is printed
after that is lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from dfs.limits import KIB, MIB

LOG_MAX_BYTES = 10 * MIB
LOG_LEAST_BYTES = 64 * KIB
"""Every attempt may print so much, so that it can be seen what it fails of."""
LOG_TAIL_BYTES = 2000


class AttemptLog:
    """See the module's text."""

    def __init__(self, path: Path, room_bytes: int = LOG_MAX_BYTES) -> None:
        """Begin the file; raises OSError. The job may have ``room_bytes`` more in all."""
        self._path = path
        self._file: IO[bytes] = path.open("wb", buffering=0)  # read while it grows
        self._max_bytes = max(LOG_LEAST_BYTES, min(LOG_MAX_BYTES, room_bytes))
        self._room = self._max_bytes

    @property
    def size_bytes(self) -> int:
        """How much was printed into it."""
        return self._max_bytes - max(self._room, 0)

    def write(self, data: bytes) -> None:
        """Append what still fits; the first bytes that do not are replaced by a word."""
        if self._room <= 0:
            return
        try:
            self._file.write(data[: self._room])
            self._room -= len(data)
            if self._room <= 0:
                self._file.write(f"\n[cut here: over {self._max_bytes} bytes]\n".encode())
        except OSError:
            self._room = 0

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def tail(self) -> str:
        """The last printed lines."""
        with self._path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
