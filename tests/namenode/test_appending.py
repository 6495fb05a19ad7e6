"""Appending, as the namenode decides it: leases on closed files, what readers see, how it ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dfs.errors import BadArgument, Exists, IsADirectory, LeaseLost, NotADirectory
from dfs.events import Peer, Role
from dfs.limits import INLINE_MAX_BYTES, SESSION_OPEN_FILES_MAX
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.appending import Append, SyncFile

BEATING = ("datanode-1", "datanode-2", "datanode-3")
BOB = Peer(Role.CLIENT, "bob")


def seal(namenode: Any, created: m.Created, start: int, length: int) -> m.SealedChunk:
    """Allocate a chunk and pretend that all its nodes sealed it."""
    got = namenode.change(m.AddChunk, inode=created.inode, start=start)
    nodes = tuple(target.node for target in got.chain)
    return m.SealedChunk(got.chunk, got.generation, start, length, b"d" * 16, nodes)


def close(namenode: Any, created: m.Created, size: int, **fields: Any) -> m.Closed:
    closed = namenode.change(m.CloseFile, inode=created.inode, size=size, digest=b"", **fields)
    assert isinstance(closed, m.Closed)
    return closed


def rows(namenode: Any, table: str) -> int:
    return len(namenode.table.scan(table, b"\0", 100))


def test_an_append_begins_where_the_chunks_end_and_shows_at_its_close(namenode: Any) -> None:
    namenode.write("/f", (4096, 100), chunk_bytes=4096)
    before = namenode.ask(m.Stat("/f"))
    created = namenode.change(Append, path="/f")
    assert (created.size, created.content, created.inline_max_bytes) == (4196, b"", 0)
    sealed = seal(namenode, created, 4196, 50)
    assert namenode.ask(m.Stat("/f")) == before
    assert len(namenode.ask(m.Locate("/f")).chunks) == 2
    closed = close(namenode, created, 4246, sealed=sealed)
    assert (closed.entry.path, closed.entry.size, closed.durable) == ("/f", 4246, 3)
    found = namenode.ask(m.Locate("/f"))
    assert [(c.start, c.length) for c in found.chunks] == [(0, 4096), (4096, 100), (4196, 50)]
    assert (found.entry.digest, found.entry.inode) == (b"", before.entry.inode)
    assert rows(namenode, "leases") == 0


def test_a_sync_shows_what_was_appended_so_far(namenode: Any) -> None:
    namenode.write("/f", (4096,))
    created = namenode.change(Append, path="/f")
    sealed = seal(namenode, created, 4096, 10)
    namenode.change(SyncFile, inode=created.inode, size=4106, digest=b"", sealed=sealed)
    assert namenode.ask(m.Stat("/f")).entry.size == 4106
    second = seal(namenode, created, 4106, 5)
    assert close(namenode, created, 4111, sealed=second).entry.size == 4111


def test_a_sync_of_a_new_file_shows_nothing(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/f")
    sealed = seal(namenode, created, 0, 10)
    namenode.change(SyncFile, inode=created.inode, size=10, digest=b"", sealed=sealed)
    assert namenode.names() == []
    assert close(namenode, created, 10).entry.size == 10


def test_a_file_that_is_missing_is_made(namenode: Any) -> None:
    created = namenode.change(Append, path="/d/f", replication=2)
    assert (created.size, created.replication) == (0, 2)
    assert namenode.names("/d") == []
    close(namenode, created, 1, content=b"x")
    assert namenode.names("/d") == ["/d/f"]
    namenode.fails(NotADirectory, Append, path="/d/f/g")
    namenode.fails(IsADirectory, Append, path="/d")
    namenode.fails(IsADirectory, Append, path="/")


def test_what_is_inline_is_handed_out_and_stays_inline_while_it_is_small(namenode: Any) -> None:
    namenode.change(m.PutInline, path="/f", content=b"old", digest=b"o" * 16)
    created = namenode.change(Append, path="/f")
    assert (created.size, created.content) == (3, b"old")
    assert created.inline_max_bytes == INLINE_MAX_BYTES
    namenode.change(m.CloseFile, inode=created.inode, size=6, digest=b"n" * 16, content=b"oldnew")
    found = namenode.ask(m.Locate("/f"))
    assert (found.content, found.entry.digest, found.entry.size) == (b"oldnew", b"n" * 16, 6)


def test_what_was_inline_begins_chunk_0_and_is_read_from_there_at_once(namenode: Any) -> None:
    namenode.change(m.PutInline, path="/f", content=b"old", digest=b"")
    created = namenode.change(Append, path="/f", min_durable=2)
    assert created.inline_max_bytes == 0
    first = seal(namenode, created, 0, 4096)
    namenode.change(m.AddChunk, inode=created.inode, start=4096, sealed=first)
    found = namenode.ask(m.Locate("/f"))
    assert (found.entry.size, found.content) == (3, None)
    assert [(c.start, c.length) for c in found.chunks] == [(0, 4096)]
    assert rows(namenode, "inline") == 0


def test_the_first_chunk_holds_all_that_was_inline(namenode: Any) -> None:
    put = {"content": b"x" * 6000, "digest": b"", "chunk_bytes": 4096}
    namenode.change(m.PutInline, path="/f", **put)
    created = namenode.change(Append, path="/f", min_durable=2)
    assert created.chunk_bytes == 6000
    short = seal(namenode, created, 0, 4096)
    add = {"inode": created.inode, "start": 4096}
    assert "chunk 0" in str(namenode.fails(BadArgument, m.AddChunk, sealed=short, **add))
    assert namenode.ask(m.Locate("/f")).content == b"x" * 6000
    whole = msgspec.structs.replace(short, length=6000)
    assert close(namenode, created, 6000, sealed=whole).entry.size == 6000


def test_a_file_closed_without_a_byte_more_is_as_it_was(namenode: Any) -> None:
    namenode.write("/f", (4096,))
    namenode.change(m.PutInline, path="/g", content=b"old", digest=b"o" * 16)
    before = [namenode.ask(m.Stat(path)) for path in ("/f", "/g")]
    namenode.advance(5, BEATING)
    close(namenode, namenode.change(Append, path="/f"), 4096)
    close(namenode, namenode.change(Append, path="/g"), 3, content=b"old")
    assert [namenode.ask(m.Stat(path)) for path in ("/f", "/g")] == before


def test_an_append_never_shortens_and_its_settings_are_checked(namenode: Any) -> None:
    namenode.change(m.PutInline, path="/f", content=b"old", digest=b"")
    created = namenode.change(Append, path="/f")
    namenode.fails(BadArgument, m.CloseFile, inode=created.inode, size=1, digest=b"", content=b"x")
    namenode.change(m.AbandonFile, inode=created.inode)
    assert namenode.ask(m.Locate("/f")).content == b"old"
    namenode.write("/g", (100,), replication=1)
    namenode.fails(BadArgument, Append, path="/g", min_durable=2)


def test_a_second_writer_is_told_who_has_the_file_and_since_when(namenode: Any) -> None:
    namenode.write("/f", (100,))
    namenode.change(Append, path="/f")
    session = namenode.ask(m.OpenSession(), BOB).session
    with pytest.raises(Exists, match=r"/f is being written by anna .* since .* UTC") as caught:
        namenode.ask(Append(session, 1, 1, "/f"), BOB)
    assert caught.value.exit_code == 4
    namenode.change(m.Create, path="/new")
    with pytest.raises(Exists, match="/new is being written by anna"):
        namenode.ask(Append(session, 2, 2, "/new"), BOB)
    namenode.advance(61, BEATING)
    assert namenode.ask(Append(session, 3, 3, "/f"), BOB).size == 100


def test_a_silent_appender_leaves_the_chunks_that_were_committed(namenode: Any) -> None:
    namenode.write("/f", (4096,))
    created = namenode.change(Append, path="/f")
    first = seal(namenode, created, 4096, 4096)
    second = namenode.change(m.AddChunk, inode=created.inode, start=8192, sealed=first)
    assert namenode.ask(m.Stat("/f")).entry.size == 4096
    namenode.advance(61, BEATING)
    entry = namenode.ask(m.Stat("/f")).entry
    assert (entry.size, entry.digest) == (8192, b"")
    assert rows(namenode, "leases") == 0
    deletes = namenode.orders(n.DeleteReplicas)
    assert {r.chunk for order in deletes for r in order.message.replicas} == {second.chunk}
    nodes = tuple(target.node for target in second.chain)
    late = m.SealedChunk(second.chunk, 1, 8192, 10, b"d" * 16, nodes)
    fields = {"inode": created.inode, "size": 8202, "digest": b"", "sealed": late}
    for change in (m.CloseFile, SyncFile):
        assert namenode.fails(LeaseLost, change, **fields).exit_code == 4
    namenode.fails(LeaseLost, m.AddChunk, inode=created.inode, start=8202, sealed=late)


def test_a_file_whose_append_was_given_up_at_once_is_as_it_was(namenode: Any) -> None:
    namenode.write("/f", (4096,))
    before = namenode.ask(m.Stat("/f"))
    created = namenode.change(Append, path="/f")
    seal(namenode, created, 4096, 10)
    namenode.ask(m.CloseSession(namenode.session))
    assert namenode.ask(m.Stat("/f")) == before
    assert len(namenode.orders(n.DeleteReplicas)) == 3


def test_a_rename_does_not_disturb_an_append(namenode: Any) -> None:
    namenode.write("/d/f", (4096,))
    created = namenode.change(Append, path="/d/f")
    namenode.change(m.Rename, source="/d/f", target="/d/g")
    namenode.change(m.Rename, source="/d", target="/e")
    sealed = seal(namenode, created, 4096, 10)
    assert close(namenode, created, 4106, sealed=sealed).entry.path == "/e/g"


@pytest.mark.parametrize("how", ["remove", "remove tree", "put", "create", "rename"])
def test_a_file_that_goes_ends_its_append(namenode: Any, how: str) -> None:
    namenode.write("/d/f", (4096,))
    created = namenode.change(Append, path="/d/f")
    allocated = namenode.change(m.AddChunk, inode=created.inode, start=4096)
    match how:
        case "remove":
            namenode.change(m.Remove, path="/d/f")
        case "remove tree":
            namenode.change(m.Remove, path="/d", recursive=True)
        case "put":
            put = {"content": b"new", "digest": b"", "overwrite": True}
            namenode.change(m.PutInline, path="/d/f", **put)
        case "create":
            namenode.write("/d/f", (10,), overwrite=True)
        case "rename":
            namenode.write("/other", (10,))
            namenode.change(m.Rename, source="/other", target="/d/f", overwrite=True)
    nodes = tuple(target.node for target in allocated.chain)
    sealed = m.SealedChunk(allocated.chunk, 1, 4096, 10, b"d" * 16, nodes)
    close = {"inode": created.inode, "size": 4106, "digest": b"", "sealed": sealed}
    namenode.fails(LeaseLost, m.CloseFile, **close)
    assert (rows(namenode, "leases"), rows(namenode, "reap")) == (0, 0)
    deleted = [r.chunk for s in namenode.orders(n.DeleteReplicas) for r in s.message.replicas]
    assert allocated.chunk in deleted


def test_the_writer_is_refused_from_the_moment_the_name_is_gone(namenode: Any) -> None:
    """Also while the reclaiming has not come as far as the file."""
    namenode.write("/d/f", (4096,))
    created = namenode.change(Append, path="/d/f")
    namenode.settle = lambda: None
    namenode.change(m.Remove, path="/d", recursive=True)
    assert rows(namenode, "leases") == 1
    namenode.fails(LeaseLost, m.AddChunk, inode=created.inode, start=4096)
    namenode.change(m.AbandonFile, inode=created.inode)
    assert rows(namenode, "leases") == 0


def test_a_restart_keeps_the_lease_of_an_append(namenode: Any) -> None:
    namenode.write("/f", (4096,))
    created = namenode.change(Append, path="/f")
    namenode.restart()
    namenode.join(*BEATING)
    namenode.advance(30, BEATING)
    sealed = seal(namenode, created, 4096, 10)
    assert close(namenode, created, 4106, sealed=sealed).entry.size == 4106


def test_a_session_has_a_bounded_number_of_open_files(namenode: Any) -> None:
    for number in range(SESSION_OPEN_FILES_MAX):
        created = namenode.change(m.Create, path=f"/{number}")
    error = namenode.fails(BadArgument, Append, path="/more")
    assert str(error) == "this client has 1000 files open for writing: close some first"
    namenode.change(m.AbandonFile, inode=created.inode)
    namenode.change(m.Create, path="/more")
