"""Which engine and format the data of a view are of: the file ``VERSION`` beside them.

A label (``dfs.label``)::

    minidfs view
    format 1
    engine lmdb 0.9
    check 5d5a…

py-lmdb bundles two engines whose files are not interchangeable, so what another version wrote is
refused untouched. Data without a sound ``VERSION`` are as good as damaged.
"""

from __future__ import annotations

from dfs.disk import LocalDisk, read_whole, write_whole
from dfs.errors import Corrupt, NotSupported, Refused
from dfs.label import Kind, parse, render

ENGINE = "lmdb 0.9"
KIND = Kind("minidfs view", 1, "the data beside it cannot be relied on")
VERSION = f"{KIND.title} {KIND.format}, {ENGINE}"
"""Engine and format as a manifest names them."""

VERSION_FILE = "VERSION"


def check_version(folder: LocalDisk) -> None:
    """Raise ``NotSupported`` for what another version wrote, ``Corrupt`` when nobody can tell."""
    where = str(folder.path(VERSION_FILE))
    content = read_whole(folder, VERSION_FILE) if folder.exists(VERSION_FILE) else b""
    try:
        engine = parse(KIND, content, where).text("engine")
    except Refused as error:
        raise Corrupt(error.message, where) from error
    if engine != ENGINE:
        raise NotSupported(
            f"{where} names the engine {engine!r} and this minidfs has {ENGINE!r}: start the"
            " version that wrote it; nothing was changed",
            where,
        )


def sign_folder(folder: LocalDisk) -> None:
    """Say durably what the data in a folder will be like."""
    write_whole(folder, VERSION_FILE, render(KIND, {"engine": ENGINE}))
