"""Local files on the other side of ``put`` and ``get``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO, RawIOBase
from pathlib import Path
from typing import IO, BinaryIO

from dfs.errors import DfsError, Exists, IsADirectory, NotFound, PermissionDenied
from dfs.limits import FRAME_BYTES

LocalPath = str | os.PathLike[str]


def open_local(local: LocalPath) -> FileIO:
    """A local file, open for reading without a buffer."""
    try:
        return FileIO(local)
    except OSError as error:
        raise _translated(error, os.fspath(local)) from error


def read_block(source: IO[bytes] | RawIOBase) -> bytes:
    """The next MiB of a stream; less only at its end."""
    block: bytes = source.read(FRAME_BYTES) or b""
    if len(block) in (0, FRAME_BYTES):
        return block
    blocks = [block]
    missing = FRAME_BYTES - len(block)
    while missing and (block := source.read(missing) or b""):
        blocks.append(block)
        missing -= len(block)
    return b"".join(blocks)


@contextmanager
def replace_local(local: LocalPath, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that gets the name ``local`` when the block ends, and vanishes when it fails.

    Until then it lies beside it under a hidden name.
    """
    target = Path(local)
    if target.is_dir():
        raise IsADirectory(f"{target} is a directory: name the file in it", str(target))
    _refuse_existing(target, overwrite)
    hidden = target.parent / f".{target.name[:200]}.{os.urandom(4).hex()}.tmp"
    try:
        with hidden.open("xb") as file:
            yield file
        _refuse_existing(target, overwrite)
        hidden.rename(target)
    except DfsError:
        raise
    except OSError as error:
        raise _translated(error, str(target)) from error
    finally:
        if hidden.exists():
            hidden.unlink()


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(target):
        raise Exists(f"{target} exists here; -f replaces it", str(target))


def _translated(error: OSError, local: str) -> DfsError:
    """The error of a local file as one of ours, with the path in front."""
    text = f"{local}: {error.strerror}"
    match error:
        case FileNotFoundError():
            return NotFound(text, local)
        case PermissionError():
            return PermissionDenied(text, local)
        case IsADirectoryError():
            return IsADirectory(text, local)
    return DfsError(text, local)
