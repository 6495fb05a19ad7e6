"""minidfs: a distributed file system.

>>> import dfs
>>> with dfs.connect() as fs:                                # doctest: +SKIP
...     fs.put("local.txt", "/a/b.txt")
...     with fs.open("/a/b.txt") as file:
...         print(file.read())

Errors are ``dfs.DfsError`` and its subclasses, most of them also one of Python's own
(``dfs.NotFound`` is a ``FileNotFoundError``). Importing this package is cheap: what needs
the network is imported by the first use of ``connect`` or ``Client``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfs.errors import (
    BadArgument,
    ConfigError,
    Corrupt,
    DeadlineExceeded,
    DfsError,
    Exists,
    IsADirectory,
    LeaseLost,
    NoRoom,
    NotADirectory,
    NotEmpty,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    TooFewNodes,
    Unavailable,
)

if TYPE_CHECKING:
    from dfs.client.client import Client
    from dfs.client.connect import connect
    from dfs.client.entries import ChunkLocation, Entry, Stored, Usage

__all__ = [
    "BadArgument",
    "ChunkLocation",
    "Client",
    "ConfigError",
    "Corrupt",
    "DeadlineExceeded",
    "DfsError",
    "Entry",
    "Exists",
    "IsADirectory",
    "LeaseLost",
    "NoRoom",
    "NotADirectory",
    "NotEmpty",
    "NotFound",
    "OutcomeUnknown",
    "PermissionDenied",
    "Stored",
    "TooFewNodes",
    "Unavailable",
    "Usage",
    "connect",
]

_LAZY = {
    "ChunkLocation": "dfs.client.entries",
    "Client": "dfs.client.client",
    "Entry": "dfs.client.entries",
    "Stored": "dfs.client.entries",
    "Usage": "dfs.client.entries",
    "connect": "dfs.client.connect",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'dfs' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
