"""The sections and keys of ``cluster.toml``.

Each section is a frozen class and each key one field of it, with its kind, its default and the
comment that stands in the file. This table is all there is: reader, writer and example follow it.

Typed names carry their unit (``chunk_bytes``, ``heartbeat_ns``); the file's keys do not,
since the unit is part of the value there (``chunk_size = "64M"``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from dfs.config import kinds
from dfs.config.kinds import Kind, Reserve
from dfs.limits import (
    CHUNK_DEFAULT_BYTES,
    CHUNK_MAX_BYTES,
    CHUNK_MIN_BYTES,
    GIB,
    MIB,
    MS_NS,
    REPLICATION_MAX,
    SECOND_NS,
)

MINUTE_NS = 60 * SECOND_NS
DAY_NS = 24 * 60 * MINUTE_NS


def _key(name: str, kind: Kind, default: object, comment: str) -> Any:
    return field(default=default, metadata={"key": name, "kind": kind, "comment": comment})


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which cluster this is."""

    id: str = _key("id", kinds.name(64), "", "Made by `minidfs init` and `minidfs up`.")


@dataclass(frozen=True, slots=True)
class Namenode:
    """The process that holds the namespace and schedules jobs."""

    address: str = _key(
        "address", kinds.address(port_min=1), "127.0.0.1:9860", "Where everybody finds it."
    )
    key: bytes | None = _key(
        "key",
        kinds.key(),
        None,
        "Its public key, which it proves to everybody; made with the id.",
    )
    dir: str = _key(
        "dir",
        kinds.folder(),
        "{id}",
        "Its log and tables. Relative folders lie in MINIDFS_HOME; {id} is the process's id.",
    )


@dataclass(frozen=True, slots=True)
class Datanode:
    """A process that keeps the chunks of one machine."""

    listen: str = _key(
        "listen", kinds.address(), "127.0.0.1:9861", "Port 0 lets the system choose."
    )
    advertise: str | None = _key(
        "advertise",
        kinds.auto(kinds.address()),
        None,
        "Address that others connect to; auto: the one it listens on.",
    )
    dirs: tuple[str, ...] = _key(
        "dirs", kinds.folders(), ("{id}",), "Folders for chunks, best one on each disk."
    )
    reserve: Reserve = _key(
        "reserve",
        kinds.reserve(),
        Reserve(GIB, 5),
        "Space left free on each disk: a size, a share, or the larger of both.",
    )
    rack: str = _key(
        "rack", kinds.text(), "default", "Nodes of one rack fail together; copies avoid that."
    )


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that runs tasks on one machine."""

    listen: str = _key(
        "listen", kinds.address(), "127.0.0.1:9862", "Port 0 lets the system choose."
    )
    slots: int | None = _key(
        "slots",
        kinds.auto(kinds.whole(1, 1024)),
        None,
        "Tasks at a time; auto: as many as cores. `up`: its nodes share them.",
    )
    task_memory_bytes: int = _key(
        "task_memory", kinds.size(64 * MIB, 1024 * GIB), GIB, "Memory limit of one task."
    )
    scratch: str = _key(
        "scratch", kinds.folder(), "{id}", "Folder for map output and other temporary files."
    )


@dataclass(frozen=True, slots=True)
class Files:
    """What a new file gets unless its writer asks for something else."""

    replication: int = _key(
        "replication", kinds.whole(1, REPLICATION_MAX), 3, "Copies of each chunk."
    )
    chunk_bytes: int = _key(
        "chunk_size",
        kinds.size(CHUNK_MIN_BYTES, CHUNK_MAX_BYTES),
        CHUNK_DEFAULT_BYTES,
        "Largest size of a chunk.",
    )
    min_durable: int | None = _key(
        "min_durable",
        kinds.auto(kinds.whole(1, REPLICATION_MAX)),
        None,
        "Copies on disk before a write succeeds; auto: 2, or as many as there can be.",
    )
    trash_keep_ns: int = _key(
        "trash_keep",
        kinds.time(0, 3650 * DAY_NS),
        3 * DAY_NS,
        "How long deleted files can be brought back.",
    )


@dataclass(frozen=True, slots=True)
class Times:
    """When a silent process is given up."""

    heartbeat_ns: int = _key(
        "heartbeat", kinds.time(10 * MS_NS, MINUTE_NS), SECOND_NS, "Each node says that it lives."
    )
    stale_ns: int = _key(
        "stale",
        kinds.time(20 * MS_NS, 60 * MINUTE_NS),
        5 * SECOND_NS,
        "Silent for so long: it gets no new work.",
    )
    dead_ns: int = _key(
        "dead",
        kinds.time(30 * MS_NS, DAY_NS),
        20 * SECOND_NS,
        "Silent for so long: its copies no longer count.",
    )
    repair_after_ns: int = _key(
        "repair_after",
        kinds.time(0, 30 * DAY_NS),
        2 * MINUTE_NS,
        "Missing copies are made again after this pause.",
    )
    lease_ns: int = _key(
        "lease",
        kinds.time(SECOND_NS, DAY_NS),
        MINUTE_NS,
        "A writer that is silent for so long loses its unfinished file.",
    )


@dataclass(frozen=True, slots=True)
class Security:
    """Who may talk to the cluster."""

    mode: str = _key(
        "mode",
        kinds.choice("curve", kinds.WITHOUT_KEYS),
        "curve",
        "curve: whoever connects proves a member's key. none: only addresses within this machine.",
    )
    data_security: str = _key(
        "data_security", kinds.choice("none"), "none", "Protection of chunks on their way."
    )
    allow_root_tasks: bool = _key(
        "allow_root_tasks", kinds.boolean(), False, "May tasks run as root?"
    )


@dataclass(frozen=True, slots=True)
class Config:
    """A whole ``cluster.toml``, checked."""

    cluster: Cluster = Cluster()
    namenode: Namenode = Namenode()
    datanode: Datanode = Datanode()
    worker: Worker = Worker()
    files: Files = Files()
    times: Times = Times()
    security: Security = Security()


SECTIONS: dict[str, type[Any]] = {section.name: type(section.default) for section in fields(Config)}
"""The class of each section, in the order of the file."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section: its name in the file, its field, kind and comment."""

    name: str
    field: str
    kind: Kind
    comment: str


def keys_of(section: type[Any]) -> dict[str, Key]:
    """The keys of a section's class by their name in the file, in the order of the file."""
    keys = (
        Key(found.metadata["key"], found.name, found.metadata["kind"], found.metadata["comment"])
        for found in fields(section)
    )
    return {key.name: key for key in keys}
