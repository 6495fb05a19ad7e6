"""The bundle: the user's code as a zip file, named by the BLAKE2b digest of its bytes.

The bytes are a function of the files' names and contents only: names sorted, one fixed time,
stored without compression. So the same code has the same digest on every machine. A bundle is
opened only by a task process, into its private directory, and only if its digest is the one
asked for, it is within the limits below and every name stays inside.
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path, PurePosixPath

import msgspec

from dfs.errors import BadArgument, NotFound
from mapreduce.job import DIGEST_BYTES

MAX_BUNDLE_BYTES = 64 << 20
MAX_BUNDLE_FILES = 2_000
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Bundle(msgspec.Struct, frozen=True):
    """The packed code of a job."""

    entry: str
    """Name of the job file inside."""
    digest: str
    data: bytes


def digest_of(data: bytes) -> str:
    """The name of a bundle with these bytes."""
    return blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def build(entry: Path, py_files: Iterable[Path] = ()) -> Bundle:
    """Pack a job file and further modules, packages (directories, their `.py` files) or archives
    (`.zip`, `.egg`, `.whl`, as they are).

    Raises NotFound, or BadArgument if two files take one name or the bundle is too large.
    """
    return build_of(entry.name, _read(entry), py_files)


def build_of(entry: str, code: bytes, py_files: Iterable[Path] = ()) -> Bundle:
    """Pack a job whose code lies in no file; see `build`."""
    files = {entry: code}
    for path in py_files:
        for name, data in _members(path):
            if files.setdefault(name, data) != data:
                raise BadArgument(f"two different files are called {name} in the job", str(path))
    if len(files) > MAX_BUNDLE_FILES or sum(map(len, files.values())) > MAX_BUNDLE_BYTES:
        raise BadArgument(
            f"the job's code is too large: at most {MAX_BUNDLE_FILES} files"
            f" and {MAX_BUNDLE_BYTES >> 20}M; put data into the DFS"
        )
    data = pack(files)
    return Bundle(entry, digest_of(data), data)


def pack(files: dict[str, bytes]) -> bytes:
    """A zip file that depends on names and contents alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = 3
            member.external_attr = (stat.S_IFREG | 0o600) << 16
            archive.writestr(member, files[name])
    return buffer.getvalue()


def _members(path: Path) -> Iterable[tuple[str, bytes]]:
    if not path.is_dir():
        return [(path.name, _read(path))]
    found = sorted(path.rglob("*.py"))
    return [(f"{path.name}/{f.relative_to(path).as_posix()}", _read(f)) for f in found]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no such file: {path}", str(path)) from None


def unpack(data: bytes, digest: str, directory: Path) -> None:
    """Write the bundle's files below `directory`; raises BadArgument and writes nothing if it
    is not the bundle named, or breaks a limit."""
    if digest_of(data) != digest:
        raise BadArgument(f"these {len(data)} bytes are not the bundle {digest[:12]}…")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check(members)
            for member in members:
                target = directory / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
    except zipfile.BadZipFile as error:
        raise BadArgument(f"the bundle {digest[:12]}… is not a zip file: {error}") from None


def _check(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_BUNDLE_FILES:
        raise BadArgument(f"a bundle of {len(members)} files: at most {MAX_BUNDLE_FILES}")
    if sum(member.file_size for member in members) > MAX_BUNDLE_BYTES:
        raise BadArgument(f"a bundle of more than {MAX_BUNDLE_BYTES} bytes")
    for member in members:
        path = PurePosixPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        inside = path.parts and not path.is_absolute() and ".." not in path.parts
        if not inside or "\\" in member.filename or kind not in (0, stat.S_IFREG):
            raise BadArgument(f"a bundle may hold plain files only, not {member.filename!r}")
        if member.compress_type != zipfile.ZIP_STORED:
            raise BadArgument(f"a bundle is stored without compression, {member.filename!r} is not")
