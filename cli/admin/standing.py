"""How chunks and replicas are described."""

from __future__ import annotations

from typing import Any

from cli.admin.ask import GOOD
from dfs.wire.admin import ChunkStanding


def good_copies(chunk: ChunkStanding) -> int:
    """How many of its replicas are good."""
    return sum(replica.state == GOOD for replica in chunk.replicas)


def is_written(chunk: ChunkStanding) -> bool:
    """Is it committed, and not just allocated?"""
    return chunk.length > 0


def chunk_fields(chunk: ChunkStanding) -> dict[str, Any]:
    """The fields of ``--json``."""
    return {
        "path": chunk.path,
        "offset": chunk.start,
        "chunk": chunk.chunk,
        "generation": chunk.generation,
        "size": chunk.length,
        "replicas": [{"node": r.node, "state": r.state} for r in chunk.replicas],
    }


def replica_list(chunk: ChunkStanding) -> str:
    """The replicas in a line; the state is said of those that are not good."""
    named = [r.node if r.state == GOOD else f"{r.node} ({r.state})" for r in chunk.replicas]
    return ", ".join(named) or "none"
