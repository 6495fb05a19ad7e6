"""Answers to a client's questions: stat, list, glob, locate, status. Nothing is changed."""

from __future__ import annotations

from dfs.errors import BadArgument, IsADirectory, NotADirectory, NotFound
from dfs.events import Now
from dfs.limits import LISTING_MAX_ROWS, STAT_MAX_PATHS
from dfs.namenode.globbing import GlobWalk
from dfs.namenode.keys import ChunkRow, number_key
from dfs.namenode.namespace import (
    describe,
    file_chunks,
    find_entry,
    inode_row,
    list_directory,
    stat,
)
from dfs.namenode.nodes import Health, Nodes
from dfs.namenode.table import Table
from dfs.wire import namespace as m
from dfs.wire.codec import Message
from dfs.wire.lookup import FoundMany, StatMany

Question = m.Stat | StatMany | m.List | m.Glob | m.Locate
QUESTIONS: tuple[type[Question], ...] = (m.Stat, StatMany, m.List, m.Glob, m.Locate)


def answer(table: Table, nodes: Nodes, question: Question, now: Now) -> Message:
    """The answer, or a ``DfsError``."""
    match question:
        case m.Stat():
            return m.Found(stat(table, question.path))
        case StatMany():
            return FoundMany(_stat_many(table, question.paths))
        case m.List():
            entries, more = list_directory(table, question.path, question.after)
            return m.Listing(tuple(entries), more)
        case m.Glob():
            walk = GlobWalk(table, question.pattern, question.after).run()
            return m.Listing(tuple(walk.found), walk.more, walk.after)
        case m.Locate():
            return _locate(table, nodes, question, now)


def _stat_many(table: Table, paths: tuple[str, ...]) -> tuple[m.Entry | None, ...]:
    """What is at the first of these paths: each of their components is a row to read."""
    if not 1 <= len(paths) <= STAT_MAX_PATHS:
        raise BadArgument(f"{len(paths)} paths are asked for at once: 1 to {STAT_MAX_PATHS}")
    found: list[m.Entry | None] = []
    rows = 0
    for path in paths:
        rows += path.count("/") + 1
        if found and rows > LISTING_MAX_ROWS:
            break
        try:
            found.append(stat(table, path))
        except (NotFound, NotADirectory):
            found.append(None)
    return tuple(found)


def _locate(table: Table, nodes: Nodes, question: m.Locate, now: Now) -> m.Located:
    place, entry = find_entry(table, question.path)
    if entry.is_dir:
        raise IsADirectory(f"{place.path} is a directory", place.path)
    if question.inode and question.inode != entry.inode:
        raise NotFound(f"{place.path} was replaced meanwhile: open it again", place.path)
    row = inode_row(table, entry.inode)
    found = describe(place.path, entry.inode, row)
    end = row.size if question.length < 0 else min(row.size, question.offset + question.length)
    if end <= question.offset:
        return m.Located(found, ())
    chunks, more = file_chunks(table, entry.inode, question.offset, end, LISTING_MAX_ROWS)
    if not chunks:
        content = table.get("inline", number_key(entry.inode))
        assert content is not None, f"{place.path}: {row.size} bytes, no chunk and no content"
        return m.Located(found, (), content)
    located = tuple(_locate_chunk(nodes, start, chunk, now) for start, chunk in chunks)
    return m.Located(found, located, None, more, nodes.unheard())


def _locate_chunk(nodes: Nodes, start: int, chunk: ChunkRow, now: Now) -> m.LocatedChunk:
    """A chunk and its holders; equals are rotated by chunk, which spreads the readers."""
    holders = nodes.holders(chunk.chunk, chunk.generation, now.mono_ns)
    live = [h for h in holders if nodes.health(h.address.node, now.mono_ns) is Health.LIVE]
    turn = chunk.chunk % len(live) if live else 0
    ranked = live[turn:] + live[:turn] + holders[len(live) :]
    addresses = tuple(h.address for h in ranked)
    return m.LocatedChunk(
        chunk.chunk, chunk.generation, start, chunk.length, chunk.digest, addresses
    )
