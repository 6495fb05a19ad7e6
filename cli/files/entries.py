"""How a file or directory is described: as JSON, in a long listing, by ``stat -c``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.render import full_time, human_size, minute, mode_text, rfc3339

if TYPE_CHECKING:
    from dfs.client.entries import Entry

SECOND_NS = 1_000_000_000


def modified_ns(entry: Entry) -> int:
    """When it was last changed, to the microsecond."""
    return round(entry.mtime * 1_000_000) * 1000


def entry_fields(entry: Entry) -> dict[str, Any]:
    """The fields of ``--json``."""
    return {
        "path": entry.path,
        "type": "directory" if entry.is_dir else "file",
        "size": entry.size,
        "replication": entry.replication,
        "chunk_size": entry.chunk_size,
        "mtime": rfc3339(modified_ns(entry)),
        "owner": entry.owner,
        "group": entry.group,
        "mode": f"{entry.mode & 0o7777:o}",
    }


def long_row(entry: Entry, name: str, human: bool) -> tuple[str, ...]:
    """Mode, replication, owner, group, size, time and name, for a table."""
    return (
        mode_text(entry.is_dir, entry.mode),
        "-" if entry.is_dir else str(entry.replication),
        entry.owner,
        entry.group,
        human_size(entry.size) if human else str(entry.size),
        minute(modified_ns(entry)),
        name,
    )


def formatted(entry: Entry, form: str, path: str) -> str:
    """``form`` with the directives of ``stat -c`` filled in; an unknown one stands for ``?``."""
    values = {
        "n": path,
        "s": str(entry.size),
        "F": file_type(entry),
        "y": full_time(modified_ns(entry)),
        "U": entry.owner,
        "G": entry.group,
        "a": f"{entry.mode & 0o7777:o}",
        "r": str(entry.replication),
        "o": str(entry.chunk_size),
        "%": "%",
    }
    text, rest = "", form
    while "%" in rest:
        before, _, rest = rest.partition("%")
        text += before + (values.get(rest[:1], "?") if rest else "%")
        rest = rest[1:]
    return text + rest


def file_type(entry: Entry) -> str:
    """As coreutils names it."""
    if entry.is_dir:
        return "directory"
    return "regular file" if entry.size else "regular empty file"
