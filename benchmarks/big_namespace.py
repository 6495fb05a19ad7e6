"""A namenode's folder with as many files as wanted, made by a generator.

``python -m benchmarks.big_namespace FOLDER FILES CHUNKS_PER_FILE`` writes the rows that so
many closed files would have left behind, straight into the view and in the order of its
keys: going through the commands of a client would take hours. The log holds the first
records of the cluster, and the view says that it has applied them all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dfs.endpoints import host_id
from dfs.limits import CHUNK_DEFAULT_BYTES
from dfs.namenode import commands as c
from dfs.namenode.apply import MODULE
from dfs.namenode.folder import make_namenode_folder, open_namenode_folder
from dfs.namenode.journal import apply_table, open_journal, put_applied_index, table_names
from dfs.namenode.keys import (
    NEXT_CHUNK,
    NEXT_INODE,
    ROOT,
    ChunkRow,
    EntryRow,
    InodeRow,
    OwnerRow,
    entry_key,
    number_key,
    pack_row,
    pair_key,
    put_number,
)
from dfs.namenode.lmdb_table import LmdbTable
from dfs.namenode.view_recovery import VIEW_FOLDER

CLUSTER = "c-benchmark"
FILES_PER_DIRECTORY = 1000
COMMIT_ROWS = 200_000
DIGEST = bytes(range(16))
NODES = ("datanode-1", "datanode-2", "datanode-3")

Rows = Iterator[tuple[str, bytes, bytes]]


def directory_of(number: int) -> int:
    """The inode of the directory of a file, by the file's number from 0."""
    return ROOT + 1 + number // FILES_PER_DIRECTORY


def path_of(number: int) -> str:
    """The path of a file."""
    return f"/d{number // FILES_PER_DIRECTORY:04d}/f{number:07d}"


def first_file(files: int) -> int:
    """The inode of file 0: those of the directories come first."""
    return ROOT + 1 + -(-files // FILES_PER_DIRECTORY)


def rows(files: int, chunks: int, wall_ns: int) -> Rows:
    """Every row below the root: (table, key, value), each table in the order of its keys."""
    directories = -(-files // FILES_PER_DIRECTORY)
    first = first_file(files)
    for number in range(directories):
        inode, name = ROOT + 1 + number, f"d{number:04d}"
        row = InodeRow(True, "root", "users", 0o755, wall_ns, 1, ROOT, name=name)
        yield "entries", entry_key(ROOT, name), pack_row(EntryRow(inode, True, 1))
        yield "inodes", number_key(inode), pack_row(row)
    for number in range(files):
        key = entry_key(directory_of(number), f"f{number:07d}")
        yield "entries", key, pack_row(EntryRow(first + number, False, 1))
    for number in range(files):
        file = InodeRow(
            False,
            "root",
            "users",
            0o644,
            wall_ns,
            1,
            directory_of(number),
            chunks * CHUNK_DEFAULT_BYTES,
            3,
            CHUNK_DEFAULT_BYTES,
            DIGEST,
            f"f{number:07d}",
        )
        yield "inodes", number_key(first + number), pack_row(file)
    for number in range(files * chunks):
        chunk = ChunkRow(number + 1, 1, CHUNK_DEFAULT_BYTES, DIGEST, 1)
        start = number % chunks * CHUNK_DEFAULT_BYTES
        yield "chunks", pair_key(first + number // chunks, start), pack_row(chunk)
    for number in range(files * chunks):
        owner = OwnerRow(first + number // chunks, number % chunks * CHUNK_DEFAULT_BYTES)
        yield "owners", number_key(number + 1), pack_row(owner)


def make(folder: Path, files: int, chunks: int) -> None:
    """Write the folder of a namenode; it must not exist."""
    wall_ns = time.time_ns()
    folder.mkdir(parents=True)
    make_namenode_folder(folder, CLUSTER, wall_ns)
    data_folder = open_namenode_folder(folder, CLUSTER, wall_ns)
    table = LmdbTable.open(folder / VIEW_FOLDER, table_names((MODULE,)))
    log = open_journal(data_folder.disk, table, (MODULE,), CLUSTER)
    begin = [c.Formatted("root", wall_ns), *(c.NodeJoined(n, host_id(), "default") for n in NODES)]
    for command in begin:
        apply_table((MODULE,))[type(command)](table, log.append([command]), command)
    log.sync()
    for count, (name, key, value) in enumerate(rows(files, chunks, wall_ns), 1):
        table.put(name, key, value)
        if count % COMMIT_ROWS == 0:
            table.commit()
    put_number(table, NEXT_INODE, first_file(files) + files)
    put_number(table, NEXT_CHUNK, files * chunks + 1)
    put_applied_index(table, log.durable_index)
    table.commit()
    log.close()
    table.close()
    data_folder.close()


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
