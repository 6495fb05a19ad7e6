"""Files under construction, chunks, sessions, leases, and requests that come twice."""

from __future__ import annotations

from typing import Any

import pytest

from dfs.config.schema import Times
from dfs.errors import (
    BadArgument,
    Exists,
    LeaseLost,
    NoRoom,
    NotFound,
    NotSupported,
    PermissionDenied,
    Retry,
    SessionExpired,
    TooFewNodes,
    Unavailable,
)
from dfs.events import Peer, Role
from dfs.limits import INLINE_MAX_BYTES, SECOND_NS, SESSION_IDLE_NS, SESSIONS_ENDED_MAX
from dfs.wire import data
from dfs.wire import namespace as m
from dfs.wire import node as n


def test_a_file_is_visible_from_its_close_on(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/f")
    assert created.replication == 3
    assert created.min_durable == 2
    assert namenode.names() == []
    error = namenode.fails(Exists, m.Create, path="/f", overwrite=True)
    assert "anna" in str(error)
    assert "since" in str(error)
    namenode.change(m.CloseFile, inode=created.inode, size=0, digest=b"", content=b"")
    assert namenode.names() == ["/f"]


def test_chunks_are_committed_in_order_and_located(namenode: Any) -> None:
    closed = namenode.write("/f", (4096, 4096, 100), chunk_bytes=4096)
    assert (closed.durable, closed.hosts, closed.entry.size) == (3, 1, 8292)  # the log: one machine
    located = namenode.ask(m.Locate("/f"))
    assert [(c.start, c.length, len(c.nodes)) for c in located.chunks] == [
        (0, 4096, 3),
        (4096, 4096, 3),
        (8192, 100, 3),
    ]
    middle = namenode.ask(m.Locate("/f", offset=5000, length=10))
    assert [c.start for c in middle.chunks] == [4096]
    assert namenode.ask(m.Locate("/f", offset=9000)).chunks == ()
    with pytest.raises(NotFound):
        namenode.ask(m.Locate("/f", inode=located.entry.inode + 1))


def test_what_is_no_digest_is_refused(namenode: Any) -> None:
    namenode.fails(BadArgument, m.PutInline, path="/f", content=b"x", digest=b"short")
    created = namenode.change(m.Create, path="/f")
    got = namenode.change(m.AddChunk, inode=created.inode, start=0)
    nodes = tuple(t.node for t in got.chain)
    close = {"inode": created.inode, "size": 10}
    bad = m.SealedChunk(got.chunk, got.generation, 0, 10, b"short", nodes)
    namenode.fails(BadArgument, m.CloseFile, **close, digest=b"f" * 16, sealed=bad)
    good = m.SealedChunk(got.chunk, got.generation, 0, 10, b"d" * 16, nodes)
    namenode.fails(BadArgument, m.CloseFile, **close, digest=b"short", sealed=good)
    namenode.change(m.CloseFile, **close, digest=b"f" * 16, sealed=good)


def test_an_answer_below_the_first_awaited_is_refused(namenode: Any) -> None:
    session = namenode.ask(m.OpenSession()).session
    with pytest.raises(BadArgument, match="awaited"):
        namenode.ask(m.Mkdir(session, 3, 4, "/d"))


def test_replicas_on_one_host_are_one_failure_domain(lone_namenode: Any) -> None:
    lone_namenode.join("datanode-1", "datanode-2", host="here")
    closed = lone_namenode.write("/f")
    assert (closed.durable, closed.hosts) == (2, 1)


def test_too_few_receipts_do_not_commit(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/f")
    got = namenode.change(m.AddChunk, inode=created.inode, start=0)
    one = m.SealedChunk(got.chunk, 1, 0, 10, b"d" * 16, (got.chain[0].node,))
    close = {"inode": created.inode, "size": 10, "digest": b""}
    namenode.fails(TooFewNodes, m.CloseFile, sealed=one, **close)
    strangers = m.SealedChunk(got.chunk, 1, 0, 10, b"d" * 16, (got.chain[0].node, "datanode-9"))
    namenode.fails(TooFewNodes, m.CloseFile, sealed=strangers, **close)
    two = m.SealedChunk(got.chunk, 1, 0, 10, b"d" * 16, tuple(t.node for t in got.chain[:2]))
    assert namenode.change(m.CloseFile, sealed=two, **close).durable == 2


def test_a_chunk_that_was_not_allocated_or_leaves_a_gap_is_refused(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/f", chunk_bytes=4096)
    got = namenode.change(m.AddChunk, inode=created.inode, start=0)
    nodes = tuple(t.node for t in got.chain)
    wrong = m.SealedChunk(got.chunk + 1, 1, 0, 10, b"d" * 16, nodes)
    namenode.fails(LeaseLost, m.AddChunk, inode=created.inode, start=10, sealed=wrong)
    namenode.fails(BadArgument, m.AddChunk, inode=created.inode, start=10)
    long = m.SealedChunk(got.chunk, 1, 0, 4097, b"d" * 16, nodes)
    namenode.fails(BadArgument, m.AddChunk, inode=created.inode, start=4097, sealed=long)
    right = m.SealedChunk(got.chunk, 1, 0, 10, b"d" * 16, nodes)
    namenode.fails(BadArgument, m.CloseFile, inode=created.inode, size=11, digest=b"", sealed=right)


def test_a_write_that_cannot_be_durable_says_what_to_do(namenode: Any) -> None:
    namenode.advance(6, beating=("datanode-1",))
    created = namenode.change(m.Create, path="/f")
    text = (
        "1 of 3 datanodes is up and a write needs 2 copies: "
        "start one, or repeat with --min-durable 1"
    )
    error = namenode.fails(Unavailable, m.AddChunk, inode=created.inode, start=0)
    assert (str(error), error.retry) == (text, Retry.SAME_REQUEST)  # they may soon be back
    namenode.advance(15, beating=("datanode-1",))
    error = namenode.fails(TooFewNodes, m.AddChunk, inode=created.inode, start=0)
    assert (str(error), error.retry, error.exit_code) == (text, Retry.NEVER, 5)
    one = namenode.change(m.Create, path="/g", min_durable=1)
    assert len(namenode.change(m.AddChunk, inode=one.inode, start=0).chain) == 1


def test_after_a_restart_a_writer_is_asked_to_wait_for_the_datanodes(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/f")
    namenode.restart()
    error = namenode.fails(Unavailable, m.AddChunk, inode=created.inode, start=0)
    assert (type(error), error.retry) == (Unavailable, Retry.SAME_REQUEST)
    namenode.join("datanode-1", "datanode-2")
    assert len(namenode.change(m.AddChunk, inode=created.inode, start=0).chain) == 2


def test_avoided_nodes_get_no_chunk(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/f", replication=1)
    first = namenode.change(m.AddChunk, inode=created.inode, start=0)
    bad = first.chain[0].node
    again = namenode.change(
        m.AddChunk, inode=created.inode, start=0, avoid=(bad,), abandoned=first.chunk
    )
    assert again.chunk > first.chunk
    assert again.chain[0].node != bad
    deletes = namenode.orders(n.DeleteReplicas)
    assert [(s.to.name, s.message.replicas[0].chunk) for s in deletes] == [(bad, first.chunk)]


def test_what_must_have_two_copies_is_not_stored_inline(namenode: Any) -> None:
    assert namenode.change(m.Create, path="/f", min_durable=2).inline_max_bytes == 0
    assert namenode.change(m.Create, path="/g", min_durable=1).inline_max_bytes > 0
    assert namenode.change(m.Create, path="/h").inline_max_bytes > 0


def test_bad_settings_are_refused(namenode: Any) -> None:
    namenode.fails(BadArgument, m.Create, path="/f", replication=17)
    namenode.fails(BadArgument, m.Create, path="/f", chunk_bytes=1)
    namenode.fails(BadArgument, m.Create, path="/f", replication=1, min_durable=2)
    big = b"x" * (INLINE_MAX_BYTES + 1)
    namenode.fails(BadArgument, m.PutInline, path="/f", content=big, digest=b"")


def test_a_repeated_change_gets_its_first_answer_and_is_applied_once(namenode: Any) -> None:
    session = namenode.ask(m.OpenSession()).session
    request = m.Create(session, 1, 1, "/f")
    first = namenode.ask(request)
    before = namenode.index
    assert namenode.ask(request) == first
    assert namenode.index == before
    namenode.restart()
    assert namenode.ask(request) == first


def test_acknowledged_answers_are_forgotten_and_their_requests_refused(namenode: Any) -> None:
    session = namenode.ask(m.OpenSession()).session
    for at in range(1, 200):
        namenode.ask(m.Mkdir(session, at, at, f"/d{at}"))
    assert len(namenode.table.scan("sessions", b"\0", 1000)) == 2
    with pytest.raises(SessionExpired):
        namenode.ask(m.Mkdir(session, 5, 5, "/other"))


def test_a_session_keeps_a_bounded_number_of_answers(namenode: Any) -> None:
    session = namenode.ask(m.OpenSession()).session
    for at in range(1, 65):
        namenode.ask(m.Mkdir(session, at, 1, f"/d{at}"))
    with pytest.raises(BadArgument):
        namenode.ask(m.Mkdir(session, 65, 1, "/d65"))
    namenode.ask(m.Mkdir(session, 65, 2, "/d65"))


def test_an_unknown_session_and_somebody_elses_are_refused(namenode: Any) -> None:
    with pytest.raises(SessionExpired):
        namenode.ask(m.Mkdir(999, 1, 1, "/d"))
    session = namenode.ask(m.OpenSession()).session
    with pytest.raises(PermissionDenied):
        namenode.ask(m.Mkdir(session, 1, 1, "/d"), Peer(Role.CLIENT, "bob"))


def test_a_silent_writer_loses_its_file_and_the_older_content_stays(namenode: Any) -> None:
    namenode.change(m.PutInline, path="/f", content=b"old", digest=b"")
    created = namenode.change(m.Create, path="/f", overwrite=True)
    namenode.change(m.AddChunk, inode=created.inode, start=0)
    beating = ("datanode-1", "datanode-2", "datanode-3")
    namenode.advance(59, beating)
    assert len(namenode.table.scan("leases", b"\0", 10)) == 1
    namenode.ask(m.RenewLease(namenode.session))
    namenode.advance(59, beating)
    assert len(namenode.table.scan("leases", b"\0", 10)) == 1
    namenode.advance(2, beating)
    assert namenode.table.scan("leases", b"\0", 10) == []
    assert namenode.ask(m.Locate("/f")).content == b"old"
    namenode.fails(LeaseLost, m.CloseFile, inode=created.inode, size=0, digest=b"", content=b"")
    assert len(namenode.orders(n.DeleteReplicas)) == 3


def test_leases_get_their_full_time_again_after_a_restart(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/f")
    namenode.advance(50)
    namenode.restart()
    namenode.advance(50)
    namenode.change(m.CloseFile, inode=created.inode, size=0, digest=b"", content=b"")
    assert namenode.names() == ["/f"]


def test_closing_a_session_discards_what_it_left_open(namenode: Any) -> None:
    namenode.change(m.Create, path="/f")
    namenode.ask(m.CloseSession(namenode.session))
    assert namenode.table.scan("leases", b"\0", 10) == []
    assert namenode.table.scan("sessions", b"\0", 10) == []
    namenode.ask(m.CloseSession(namenode.session))


def test_an_idle_session_ends_after_an_hour(namenode: Any) -> None:
    namenode.ask(m.OpenSession())
    namenode.advance(3599)
    assert len(namenode.table.scan("sessions", b"\0", 10)) == 1
    namenode.advance(2)
    assert namenode.table.scan("sessions", b"\0", 10) == []


def test_a_session_lasts_at_least_as_long_as_its_leases(namenode: Any) -> None:
    namenode.times = Times(lease_ns=2 * SESSION_IDLE_NS)
    namenode.restart()
    namenode.change(m.Create, path="/f")
    namenode.advance(2 * SESSION_IDLE_NS // SECOND_NS - 1)
    assert len(namenode.table.scan("leases", b"\0", 10)) == 1
    namenode.advance(1)
    assert namenode.table.scan("leases", b"\0", 10) == []
    assert namenode.table.scan("sessions", b"\0", 10) == []


def test_many_sessions_that_fell_silent_end_in_slices(namenode: Any) -> None:
    for _ in range(3 * SESSIONS_ENDED_MAX + 1):
        namenode.ask(m.OpenSession())
    before = namenode.index
    namenode.advance(SESSION_IDLE_NS // SECOND_NS)
    assert namenode.table.scan("sessions", b"\0", 100) == []
    assert namenode.index == before + 4


def test_closing_into_a_removed_directory_says_so(namenode: Any) -> None:
    namenode.change(m.Mkdir, path="/a/b", parents=True)
    created = namenode.change(m.Create, path="/a/b/f")
    namenode.change(m.Remove, path="/a", recursive=True)
    close = {"inode": created.inode, "size": 1, "digest": b"", "content": b"x"}
    error = namenode.fails(NotFound, m.CloseFile, **close)
    assert "/a/b/f" in str(error)
    namenode.change(m.AbandonFile, inode=created.inode)
    assert len(namenode.table.scan("inodes", b"\0", 10)) == 1


def test_a_file_follows_its_directory_when_that_is_renamed(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/a/f")
    namenode.change(m.Rename, source="/a", target="/b")
    namenode.change(m.CloseFile, inode=created.inode, size=1, digest=b"", content=b"x")
    assert namenode.names("/b") == ["/b/f"]


def test_an_abandoned_file_leaves_nothing(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/f")
    namenode.change(m.AbandonFile, inode=created.inode)
    namenode.change(m.AbandonFile, inode=created.inode)
    for table in ("leases", "reserved", "reap"):
        assert namenode.table.scan(table, b"\0", 10) == []
    namenode.change(m.Create, path="/f")


def test_messages_are_refused_from_roles_that_may_not_send_them(namenode: Any) -> None:
    with pytest.raises(PermissionDenied):
        namenode.ask(n.Heartbeat(1, 1, 1))
    with pytest.raises(PermissionDenied):
        namenode.tell("datanode-1", m.Stat("/"))
    with pytest.raises(NotSupported):
        namenode.ask(data.ReadChunk(1, 1, 0, 1))


def test_replaced_and_removed_files_lose_their_replicas(namenode: Any) -> None:
    namenode.write("/f")
    first = namenode.ask(m.Locate("/f")).chunks[0].chunk
    namenode.write("/f", overwrite=True)
    orders = namenode.orders(n.DeleteReplicas)
    assert sorted(s.to.name for s in orders) == ["datanode-1", "datanode-2", "datanode-3"]
    assert all([r.chunk for r in s.message.replicas] == [first] for s in orders)
    for order in orders:
        namenode.obey(order.to.name, order)
    namenode.change(m.Remove, path="/f")
    assert len(namenode.orders(n.DeleteReplicas)) == 3


def test_on_a_full_disk_files_can_only_be_deleted(namenode: Any) -> None:
    namenode.write("/kept")
    namenode.is_full = True
    for change in (m.Mkdir, m.Create):
        error = namenode.fails(NoRoom, change, path="/new")
        assert str(error).startswith("the disk of the namenode is full: free space on it")
        assert (error.exit_code, error.retry) == (5, Retry.NEVER)
    assert namenode.ask(m.GetStatus()).reasons == ("the disk of the namenode is full",)
    namenode.change(m.Rename, source="/kept", target="/moved")
    namenode.change(m.Remove, path="/moved")
    namenode.is_full = False
    namenode.change(m.Mkdir, path="/new")
    assert namenode.ask(m.GetStatus()).state == "serving"
