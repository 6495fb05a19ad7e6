"""What whoever looks after a cluster asks: health, room, safe mode, events, verification."""

from __future__ import annotations

import struct
from typing import Any, cast

import pytest

from dfs.errors import BadArgument, NotFound, PermissionDenied, Unavailable
from dfs.events import Note, Now, Peer, Role
from dfs.limits import (
    CHECK_DEADLINE_NS,
    CHECKS_PER_NODE,
    EVENT_MAX_CHARS,
    EVENTS_KEPT,
    EVENTS_PER_PAGE,
    FILES_CHECK_MAX_ROWS,
    KIB,
    SECOND_NS,
    VERIFY_MAX_ROWS,
)
from dfs.namenode.keys import TABLES, EntryRow, entry_key, put_row
from dfs.namenode.module import Snapshot
from dfs.namenode.senders import SENDERS
from dfs.wire import admin as a
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.appending import Append
from dfs.wire.common import Failed

NODES = ("datanode-1", "datanode-2", "datanode-3")


def test_only_people_ask_such_things(namenode: Any) -> None:
    questions = a.AdminQuestion.__subclasses__()
    assert {q.TAG for q in questions} == {60, 62, 64, 66, 68, 80, 82}
    assert all(SENDERS[question] == {Role.CLIENT, Role.ADMIN} for question in questions)
    with pytest.raises(PermissionDenied):
        namenode.ask(a.GetReport(), Peer(Role.WORKER, "w"))


# -- metadata


@pytest.mark.damages_tables
def test_tables_are_checked_in_pages(namenode: Any) -> None:
    for number in range(300):
        namenode.change(m.Mkdir, path=f"/{number}")
    put_row(namenode.table, "entries", entry_key(1, "lost"), EntryRow(10**6, True, 1))
    rows, problems, cursor, pages = 0, [], "", 0
    while pages == 0 or cursor:
        page = namenode.ask(a.CheckTables(cursor))
        rows, pages, cursor = rows + page.rows, pages + 1, page.cursor
        problems += page.problems
    assert pages > 2
    assert rows == sum(len(namenode.table.scan(t, b"\0", 10**6)) for t in TABLES)
    (problem,) = problems
    assert (problem.number, "'lost'" in problem.text) == (5, True)
    with pytest.raises(BadArgument):
        namenode.ask(a.CheckTables("nonsense"))


# -- files


def all_pages(namenode: Any, path: str = "/", **options: bool) -> list[a.FilesChecked]:
    pages = [namenode.ask(a.CheckFiles(path, **options))]
    while pages[-1].more:
        last = pages[-1]
        pages.append(namenode.ask(a.CheckFiles(path, last.after, last.start, **options)))
    return pages


def test_every_chunk_is_looked_at_once_whatever_ends_a_page(namenode: Any) -> None:
    for name, count in (("a", 150), ("b", 250), ("c", 1)):
        namenode.write(f"/{name}", (4 * KIB,) * count, chunk_bytes=4 * KIB)
    namenode.change(m.PutInline, path="/z", content=b"12345", digest=b"")
    pages = all_pages(namenode, all_chunks=True)
    assert len(pages) == 4
    assert all(len(page.found) <= FILES_CHECK_MAX_ROWS for page in pages)
    found = [(c.path, c.start) for page in pages for c in page.found]
    expected = [("/a", 150), ("/b", 250), ("/c", 1)]
    assert found == [(p, 4 * KIB * i) for p, count in expected for i in range(count)]
    assert sum(page.files for page in pages) == 4
    assert sum(page.chunks for page in pages) == 401
    assert sum(page.size for page in pages) == 401 * 4 * KIB + 5
    assert all_pages(namenode)[0].found == (), "all is well"


def test_replicas_are_told_by_their_state(namenode: Any) -> None:
    namenode.write("/f")
    created = namenode.change(m.Create, path="/new")
    namenode.change(m.AddChunk, inode=created.inode, start=0)
    namenode.advance(30, ("datanode-1", "datanode-2"))
    (page,) = all_pages(namenode)
    (chunk,) = page.found
    assert (chunk.path, chunk.wanted, chunk.length) == ("/f", 3, 4096)
    assert [(r.node, r.state) for r in chunk.replicas] == [
        ("datanode-1", "good"),
        ("datanode-2", "good"),
        ("datanode-3", "dead"),
    ]


def test_a_chunk_that_is_being_written(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/f", overwrite=False)
    namenode.change(m.AddChunk, inode=created.inode, start=0)
    assert all_pages(namenode, all_chunks=True)[0].found == (), "it has no name yet"


def test_a_chunk_that_is_appended_is_shown_as_being_written(namenode: Any) -> None:
    namenode.write("/f", (4 * KIB,))
    created = namenode.change(Append, path="/f")
    assert len(all_pages(namenode, all_chunks=True)[0].found) == 1, "none is allocated"
    got = namenode.change(m.AddChunk, inode=created.inode, start=4 * KIB)
    (page,) = all_pages(namenode, all_chunks=True)
    first, second = page.found
    assert (first.start, first.length, {r.state for r in first.replicas}) == (0, 4 * KIB, {"good"})
    assert (second.chunk, second.start, second.length) == (got.chunk, 4 * KIB, 0)
    assert {(r.node, r.state) for r in second.replicas} == {(t.node, "writing") for t in got.chain}
    assert (page.files, page.chunks, page.size) == (1, 1, 4 * KIB)
    assert all_pages(namenode)[0].found == (), "it is no chunk that lacks copies"


def test_one_file_and_no_file(namenode: Any) -> None:
    namenode.write("/d/f")
    namenode.write("/e")
    assert [c.path for c in all_pages(namenode, "/d/f", all_chunks=True)[0].found] == ["/d/f"]
    with pytest.raises(NotFound):
        namenode.ask(a.CheckFiles("/nothing"))


def test_a_file_that_went_between_two_pages_is_passed_over(namenode: Any) -> None:
    namenode.write("/a", (4 * KIB,) * 250, chunk_bytes=4 * KIB)
    namenode.write("/b")
    page = namenode.ask(a.CheckFiles("/", all_chunks=True))
    assert (page.more, page.after) == (True, "/a")
    namenode.change(m.Remove, path="/a")
    rest = namenode.ask(a.CheckFiles("/", page.after, page.start, all_chunks=True))
    assert [c.path for c in rest.found] == ["/b"]


def test_repair_looks_at_what_is_short(namenode: Any) -> None:
    namenode.write("/f")
    chunk = 1
    namenode.core._replication._nodes.drop_replica("datanode-1", chunk, 1)
    namenode.orders(n.CopyReplica)
    assert namenode.ask(a.CheckFiles("/", repair=True)).found
    assert [s.message.chunk for s in namenode.orders(n.CopyReplica)] == [chunk]


# -- the whole


def test_the_report(namenode: Any) -> None:
    namenode.write("/f")
    namenode.advance(3, ("datanode-1", "datanode-2"))
    report = namenode.ask(a.GetReport())
    assert (report.cluster, report.chunks, report.missing) == ("c1", 1, 0)
    assert report.log_index == namenode.index
    assert (report.safe_mode, report.replication) == ("", 3)
    one = report.nodes[0]
    assert (one.node, one.state, one.host) == ("datanode-1", "live", "host-of-datanode-1")
    assert (one.free_bytes, one.replicas, one.silent_ns) == (100 << 30, 1, 0)
    assert report.nodes[2].silent_ns > 2 * SECOND_NS


def test_the_report_shows_log_and_snapshot(namenode: Any) -> None:
    def shown() -> tuple[int, int, int]:
        report = namenode.ask(a.GetReport())
        return report.log_begins, report.snapshot, report.snapshot_age_ns

    assert shown() == (1, 0, -1)
    namenode.snapshot, namenode.first_index = Snapshot(5), 4
    assert shown() == (4, 5, -1)
    namenode.snapshot = Snapshot(9, namenode.mono_ns)
    namenode.advance(3, NODES)
    assert shown() == (4, 9, 3 * SECOND_NS)


def test_a_node_that_was_not_heard_of_yet(namenode: Any) -> None:
    namenode.restart()
    report = namenode.ask(a.GetReport())
    assert [(node.state, node.silent_ns) for node in report.nodes] == [("dead", -1)] * 3
    assert "datanode-1" in report.safe_mode


def test_the_report_says_on_which_disks_the_room_is(namenode: Any) -> None:
    def disks() -> tuple[n.DiskRoom, ...]:
        return namenode.ask(a.GetReport()).nodes[0].disks  # type: ignore[no-any-return]

    one, two = n.DiskRoom("8", 5), n.DiskRoom("9", 7)
    word = n.Register(("tcp://x:1",), "h", "r", 20, 12, 1, 0, 1, disks=(one, two))
    namenode.tell("datanode-1", word)
    assert disks() == (one, two)
    namenode.tell("datanode-1", n.Heartbeat(7, 1, 10, disks=(two,)))
    assert disks() == (two,)


def test_safe_mode_is_switched(namenode: Any) -> None:
    assert namenode.ask(a.SetSafeMode()) == a.SafeModeIs(False, False, "")
    on = namenode.ask(a.SetSafeMode("on"))
    assert (on.is_on, on.is_manual) == (True, True)
    assert "safemode leave" in on.text
    namenode.fails(Unavailable, m.Mkdir, path="/d")
    assert namenode.ask(a.SetSafeMode("on")) == on
    assert namenode.ask(a.SetSafeMode("off")) == a.SafeModeIs(False, False, "")
    namenode.change(m.Mkdir, path="/d")
    with pytest.raises(BadArgument):
        namenode.ask(a.SetSafeMode("maybe"))


# -- events


def texts(namenode: Any, boot: int = 0, after: int = 0) -> list[str]:
    return [h.text for h in namenode.ask(a.GetEvents(boot, after)).happenings]


def test_what_happened_is_told_from_where_one_was(namenode: Any) -> None:
    page = namenode.ask(a.GetEvents())
    assert page.happenings[0].text.startswith("the namenode started")
    assert any("datanode-2 registered" in h.text for h in page.happenings)
    assert [h.sequence for h in page.happenings] == list(range(1, len(page.happenings) + 1))
    last = page.happenings[-1].sequence
    assert texts(namenode, page.boot, last) == []
    namenode.ask(a.SetSafeMode("on"))
    assert texts(namenode, page.boot, last) == ["safe mode was switched on"]
    assert len(texts(namenode, page.boot + 1, last)) == last + 1, "another life: all is new"


def test_nodes_that_fall_silent_and_come_back(namenode: Any) -> None:
    namenode.write("/f")
    before = len(texts(namenode))
    namenode.advance(8, ("datanode-1", "datanode-2"))
    assert texts(namenode)[before:] == ["datanode-3 is stale: no heartbeat for a while"]
    namenode.advance(3, NODES)
    assert texts(namenode)[before + 1 :] == ["datanode-3 is live again"]
    namenode.advance(40, ("datanode-1", "datanode-2"))
    told = texts(namenode)[before + 2 :]
    assert told[0] == "datanode-3 is stale: no heartbeat for a while"
    assert any("datanode-3 is dead" in text for text in told)


def test_a_disk_that_fills_and_has_room_again(namenode: Any) -> None:
    before = len(texts(namenode))
    for namenode.is_full in (True, False):
        namenode.advance(2, NODES)
    full, room = texts(namenode)[before:]
    assert (full, room) == ("the disk of the namenode is full", "the disk of the namenode has room")


def test_a_volume_that_fails_is_told_once(namenode: Any) -> None:
    before = len(texts(namenode))
    for _ in range(3):
        namenode.advance(1)
        namenode.tell("datanode-1", n.Heartbeat(1, 1, 2, failed_volumes=("/disk1: it broke",)))
    assert texts(namenode)[before:] == ["a volume of datanode-1 failed: /disk1: it broke"]
    assert namenode.ask(a.GetReport()).nodes[0].failed_volumes == ("/disk1: it broke",)


def test_a_failed_volume_degrades_the_cluster_from_the_registration_to_the_repair(
    namenode: Any,
) -> None:
    def register(*failed: str) -> m.Status:
        word = n.Register(("tcp://a",), "host-1", "default", 2, 1, 1, 0, 1, failed_volumes=failed)
        namenode.tell("datanode-1", word)
        namenode.tell("datanode-1", n.ReportPage(namenode.mono_ns, 0, True))
        return cast(m.Status, namenode.ask(m.GetStatus()))

    line = "a volume of datanode-1 failed: /disk1: it cannot be used"
    status = register("/disk1: it cannot be used")
    assert (status.state, status.reasons.count(line)) == ("degraded", 1)
    assert line in namenode.ask(a.GetReport()).reasons
    namenode.advance(40, ("datanode-2", "datanode-3"))  # a dead node's volumes are no news
    assert not any("volume" in reason for reason in namenode.ask(m.GetStatus()).reasons)
    assert line not in register().reasons


def test_snapshots_and_cuts_are_told_but_not_those_from_before(namenode: Any) -> None:
    namenode.snapshot, namenode.first_index = Snapshot(5), 4
    namenode.restart()
    namenode.join(*NODES)
    namenode.advance(2, NODES)
    before = len(texts(namenode))
    assert not any("snapshot" in text or "cut" in text for text in texts(namenode))
    namenode.snapshot, namenode.first_index = Snapshot(9, namenode.mono_ns), 8
    namenode.advance(2, NODES)
    assert texts(namenode)[before:] == [
        "a snapshot was taken: it has everything up to record 9",
        "the log was cut: it begins with record 8",
    ]


def test_events_are_bounded(namenode: Any) -> None:
    now = Now(1, 1)
    for number in range(EVENTS_KEPT + 10):
        namenode.core.remember([Note(f"{number} " + "x" * 2 * EVENT_MAX_CHARS)], now)
    page = namenode.ask(a.GetEvents())
    assert (len(page.happenings), page.more) == (EVENTS_PER_PAGE, True)
    assert page.happenings[0].sequence > 10
    assert {len(h.text) for h in page.happenings} == {EVENT_MAX_CHARS}


# -- verification


def test_a_node_reads_all_it_holds_a_few_at_a_time(namenode: Any) -> None:
    namenode.write("/f", (4 * KIB,) * (2 * CHECKS_PER_NODE), chunk_bytes=4 * KIB)
    first = namenode.ask(a.VerifyReplicas("datanode-1"))
    assert (first.ordered, first.under_way) == (CHECKS_PER_NODE, CHECKS_PER_NODE)
    again = namenode.ask(a.VerifyReplicas("datanode-1", first.cursor))
    assert (again.ordered, again.cursor) == (0, first.cursor), "it is busy"
    orders = namenode.orders(n.CheckReplica)
    assert [o.message.replica.chunk for o in orders] == list(range(1, CHECKS_PER_NODE + 1))
    assert {o.message.replica.length for o in orders} == {4 * KIB}
    for order in orders:
        namenode.obey("datanode-1", order)
    second = namenode.ask(a.VerifyReplicas("datanode-1", first.cursor))
    assert (second.ordered, second.cursor) == (CHECKS_PER_NODE, -1)
    assert namenode.ask(a.VerifyReplicas("datanode-1", -1)).ordered == 0
    assert namenode.ask(a.VerifyReplicas("datanode-1", -1)).under_way == CHECKS_PER_NODE


def test_replicas_that_a_node_did_not_look_at_are_counted_and_the_next_ones_are_ordered(
    namenode: Any,
) -> None:
    namenode.write("/f", (4 * KIB,) * (CHECKS_PER_NODE + 1), chunk_bytes=4 * KIB)
    first = namenode.ask(a.VerifyReplicas("datanode-1"))
    assert (first.unchecked, first.why) == (0, "")
    why = "datanode-1 waits for /disk-0"
    for order in namenode.orders(n.CheckReplica):
        namenode.obey("datanode-1", order, Failed.of(Unavailable(why)))
    second = namenode.ask(a.VerifyReplicas("datanode-1", first.cursor))
    assert (second.unchecked, second.why) == (CHECKS_PER_NODE, why)
    assert (second.ordered, second.under_way, second.cursor) == (1, 1, -1)
    namenode.advance(CHECK_DEADLINE_NS // SECOND_NS, NODES)
    last = namenode.ask(a.VerifyReplicas("datanode-1", -1))
    assert (last.unchecked, last.under_way) == (CHECKS_PER_NODE + 1, 0)
    assert last.why == "datanode-1 did not answer"
    other = namenode.ask(a.VerifyReplicas("datanode-2"))
    assert (other.ordered, other.unchecked) == (CHECKS_PER_NODE, 0)


def test_what_a_node_that_was_cut_off_was_to_look_at_was_not_looked_at(namenode: Any) -> None:
    namenode.write("/f", (4 * KIB,), chunk_bytes=4 * KIB)
    namenode.ask(a.VerifyReplicas("datanode-1"))
    namenode.lose_link("datanode-1")
    namenode.join("datanode-1")
    again = namenode.ask(a.VerifyReplicas("datanode-1", -1))
    assert (again.unchecked, again.why) == (1, "the link to datanode-1 broke")


@pytest.mark.parametrize("end", ["answers", "a broken link", "death"])
def test_nothing_is_left_of_a_verification_that_nobody_goes_on_with(
    namenode: Any, end: str
) -> None:
    namenode.write("/f", (4 * KIB,) * (2 * CHECKS_PER_NODE), chunk_bytes=4 * KIB)
    orders = namenode.core._replication._orders
    for _ in range(3):
        first = namenode.ask(a.VerifyReplicas("datanode-1"))
        assert (first.ordered, first.under_way) == (CHECKS_PER_NODE, CHECKS_PER_NODE)
        sent = namenode.orders(n.CheckReplica)
        assert sent[0].message.replica.chunk == 1, "from the beginning"
        if end == "answers":
            for order in sent:
                namenode.obey("datanode-1", order)
        elif end == "a broken link":
            namenode.lose_link("datanode-1")
        else:
            namenode.advance(25, NODES[1:])
        assert orders._sent == {}
        held = range(1, 2 * CHECKS_PER_NODE + 1)
        replicas = b"".join(struct.pack(">QQQ", chunk, 1, 4 * KIB) for chunk in held)
        namenode.join("datanode-1", replicas=replicas)


def test_a_page_of_verification_is_bounded(namenode: Any) -> None:
    namenode.write("/f", (4 * KIB,) * (VERIFY_MAX_ROWS + 1), chunk_bytes=4 * KIB)
    namenode.join("datanode-4")
    page = namenode.ask(a.VerifyReplicas("datanode-4"))
    assert (page.ordered, page.cursor) == (0, VERIFY_MAX_ROWS)
    assert namenode.ask(a.VerifyReplicas("datanode-4", page.cursor)).cursor == -1


def test_who_is_not_there_cannot_be_verified(namenode: Any) -> None:
    with pytest.raises(NotFound, match="datanode-9"):
        namenode.ask(a.VerifyReplicas("datanode-9"))
    namenode.advance(8, ("datanode-1",))
    with pytest.raises(NotFound, match="datanode-2"):
        namenode.ask(a.VerifyReplicas("datanode-2"))
