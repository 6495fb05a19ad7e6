"""The file with what one attempt printed, cut at ``LOG_MAX_BYTES``.

That it cannot be written, on a full disk, is no reason for the attempt to fail: what is printed
after that is lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from dfs.limits import MIB

LOG_MAX_BYTES = 10 * MIB
LOG_TAIL_BYTES = 2000


class AttemptLog:
    """See the module's text."""

    def __init__(self, path: Path) -> None:
        """Begin the file; raises OSError."""
        self._path = path
        self._file: IO[bytes] = path.open("wb", buffering=0)  # read while it grows
        self._room = LOG_MAX_BYTES

    def write(self, data: bytes) -> None:
        """Append what still fits; the first bytes that do not are replaced by a word."""
        if self._room <= 0:
            return
        try:
            self._file.write(data[: self._room])
            self._room -= len(data)
            if self._room <= 0:
                self._file.write(f"\n[cut here: over {LOG_MAX_BYTES} bytes]\n".encode())
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
