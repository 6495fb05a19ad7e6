"""DFS paths: what is a name, what is a path.

A path is absolute; ``a/b`` means ``/a/b``; repeated and trailing slashes do not
count. A name is 1 to 255 bytes of UTF-8 without NUL and ``/``; ``.`` and ``..`` are
refused rather than resolved, so that one path has one spelling.
"""

from __future__ import annotations

from dfs.errors import BadArgument
from dfs.limits import NAME_MAX_BYTES, PATH_MAX_BYTES, PATH_MAX_COMPONENTS

RESERVED = frozenset({".jobs", ".trash"})
"""Names in ``/`` that belong to the system; listings of ``/`` leave them out."""


def split_path(path: str) -> tuple[str, ...]:
    """The names in a path; () is the root. Raises ``BadArgument`` with the reason."""
    names = tuple(name for name in path.split("/") if name)
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        raise BadArgument(f"{path!r} is not valid UTF-8: rename it first", path) from None
    if length > PATH_MAX_BYTES:
        raise BadArgument(f"a path of {length} bytes is over the limit of {PATH_MAX_BYTES}", path)
    if len(names) > PATH_MAX_COMPONENTS:
        raise BadArgument(
            f"a path of {len(names)} components is over the limit of {PATH_MAX_COMPONENTS}", path
        )
    for name in names:
        check_name(name, path)
    return names


def check_name(name: str, path: str) -> None:
    """Raise ``BadArgument`` unless ``name`` may stand in a directory."""
    if name in (".", ".."):
        raise BadArgument(f"{path!r}: the name {name!r} is refused, write the path out", path)
    if "\0" in name:
        raise BadArgument(f"{path!r}: a name cannot hold a NUL byte", path)
    length = len(name.encode())
    if length > NAME_MAX_BYTES:
        raise BadArgument(
            f"a name of {length} bytes is over the limit of {NAME_MAX_BYTES}: {name[:40]}…", path
        )


def join_path(names: tuple[str, ...]) -> str:
    """The one spelling of a path."""
    return "/" + "/".join(names)


def child_path(folder: str, name: str) -> str:
    """The path of ``name`` in ``folder``."""
    return f"{folder}{name}" if folder.endswith("/") else f"{folder}/{name}"
