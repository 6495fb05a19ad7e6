"""Nodes that come with much: what is looked at then, chunk by chunk or as a whole."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest

from dfs.limits import SECOND_NS, SWEEP_MAX_ROWS, SWEEP_PAUSE_NS
from dfs.namenode.held import HeldReplicas
from dfs.namenode.repair import Judgement, Repair
from dfs.namenode.standing import FileChunk
from dfs.namenode.sweep import Sweep, Walk
from dfs.wire import admin as a
from dfs.wire import namespace as m
from dfs.wire import node as n
from tests.namenode.conftest import Namenode

ALL = ("datanode-1", "datanode-2", "datanode-3")
SLICES = 4
FILE = (4096,) * (SWEEP_MAX_ROWS // 2)
MUCH = SLICES * SWEEP_MAX_ROWS


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The chunks that are judged one by one, as long as nobody clears it."""
    seen: list[int] = []
    judge = Repair.judge

    def seen_to(repair: Repair, chunk: FileChunk, now_ns: int) -> Judgement:
        seen.append(chunk.row.chunk)
        return judge(repair, chunk, now_ns)

    monkeypatch.setattr(Repair, "judge", seen_to)
    return seen


def write_much(namenode: Namenode) -> list[int]:
    """Files of ``MUCH`` chunks, whose numbers are returned, on all nodes."""
    chunks = []
    for at in range(2 * SLICES):
        namenode.write(f"/f{at}", FILE, chunk_bytes=4096)
        chunks += [c.chunk for c in namenode.ask(m.Locate(f"/f{at}")).chunks]
    return sorted(chunks)


def come(namenode: Namenode, node: str, chunks: Iterable[int]) -> None:
    """A datanode registers and reports these, and no time passes."""
    room = 1 << 40
    word = n.Register((f"tcp://{node}:1",), node, "default", room, room, 0, 0, 1)
    namenode.tell(node, word)
    report = b"".join(struct.pack(">QQQ", chunk, 1, 4096) for chunk in chunks)
    namenode.tell(node, n.ReportPage(1, 0, True), report)
    namenode.tell(node, n.ReplicaNews(1))


def slices(namenode: Namenode) -> int:
    """Let all be looked at that is to be; in so many slices."""
    count = 0
    while namenode.ask(m.GetStatus()).walking:
        namenode.mono_ns += SWEEP_PAUSE_NS
        namenode.settle()
        count += 1
        assert count < 1000
    return count


def health(namenode: Namenode) -> tuple[int, int]:
    """Chunks without a replica, and with too few."""
    status = namenode.ask(m.GetStatus())
    return status.missing, status.under_replicated


@pytest.fixture
def much(namenode: Namenode, judged: list[int]) -> tuple[Namenode, list[int]]:
    """A namenode with many chunks that was started anew: no node has come yet."""
    chunks = write_much(namenode)
    namenode.restart()
    judged.clear()
    return namenode, chunks


def test_nodes_that_come_in_safe_mode_are_looked_at_once_when_it_ends(
    much: tuple[Namenode, list[int]], judged: list[int]
) -> None:
    namenode, chunks = much
    for node in ALL:
        come(namenode, node, chunks)
    assert slices(namenode) <= SLICES + 1
    assert health(namenode) == (0, 0)
    assert judged == []


def test_nodes_that_come_after_safe_mode_are_compared_as_a_whole(
    much: tuple[Namenode, list[int]], judged: list[int]
) -> None:
    namenode, chunks = much
    namenode.advance(70)
    assert slices(namenode) == 0
    assert health(namenode) == (MUCH, 0)
    for node in ALL:
        judged.clear()
        come(namenode, node, chunks)
        assert slices(namenode) <= 2 * SLICES
        assert len(judged) <= SWEEP_MAX_ROWS  # those in which it was seen that more are owed
        assert health(namenode) == (0, 0)


def test_nodes_that_come_together_are_looked_at_together(
    much: tuple[Namenode, list[int]], judged: list[int]
) -> None:
    namenode, chunks = much
    namenode.advance(70)
    come(namenode, ALL[0], chunks)
    namenode.mono_ns += SWEEP_PAUSE_NS
    namenode.settle()  # the sweep for the first is under way
    for node in ALL[1:]:
        come(namenode, node, chunks)
    assert slices(namenode) <= 2 * (SLICES + 3)
    assert len(judged) <= SWEEP_MAX_ROWS
    assert health(namenode) == (0, 0)


def test_a_node_that_comes_with_little_is_walked_over(
    much: tuple[Namenode, list[int]], judged: list[int]
) -> None:
    namenode, chunks = much
    for node in ALL[:2]:
        come(namenode, node, chunks)
    namenode.advance(70, beating=ALL[:2])
    judged.clear()
    namenode.core._replication._repair.owes = False  # nothing asks for a sweep for its sake
    come(namenode, ALL[2], chunks[: MUCH // 8])
    assert slices(namenode) < SLICES
    assert judged == []


def test_a_node_that_comes_back_with_nothing_owes_all(
    namenode: Namenode, judged: list[int]
) -> None:
    chunks = write_much(namenode)
    judged.clear()
    come(namenode, ALL[2], ())
    slices(namenode)
    assert health(namenode) == (0, MUCH)
    assert set(judged) == set(chunks)


def test_who_comes_back_with_all_while_another_is_dead(
    namenode: Namenode, judged: list[int]
) -> None:
    chunks = write_much(namenode)
    namenode.join("datanode-4")
    namenode.advance(25, beating=(ALL[0], "datanode-4"))  # two are dead, and waited for
    namenode.advance(8, beating=(ALL[0], "datanode-4"))
    come(namenode, ALL[1], chunks)
    namenode.advance(60, beating=(*ALL[:2], "datanode-4"))
    assert health(namenode) == (0, MUCH)
    single = set(chunks[5:9])
    lost = tuple(n.LostReplica(n.ReplicaId(chunk, 1, 4096), "missing") for chunk in single)
    namenode.lose_link("datanode-4")  # what it was told to copy is forgotten
    namenode.orders(n.CopyReplica)
    namenode.tell(ALL[1], n.ReplicaNews(2, lost=lost))
    namenode.join("datanode-4")
    first = [send.message for send in namenode.orders(n.CopyReplica)[: len(single)]]
    assert {order.chunk for order in first if isinstance(order, n.CopyReplica)} == single


def test_the_walk_over_a_dead_node_ends_when_it_comes_back_with_all(
    namenode: Namenode, judged: list[int]
) -> None:
    chunks = write_much(namenode)
    others = ALL[:2]
    namenode.advance(20, beating=others)
    while not namenode.ask(m.GetStatus()).walking:
        namenode.advance(1, beating=others)
    namenode.core._replication._repair.owes = False
    judged.clear()
    come(namenode, ALL[2], chunks)
    assert slices(namenode) <= SLICES + 3
    assert health(namenode) == (0, 0)


def test_walks_and_the_sweep_take_turns() -> None:
    namenode = Namenode()
    namenode.join("datanode-1")
    chunks = write_much(namenode)
    held, sweep, now_ns = HeldReplicas(), Sweep(0), 0
    for chunk in chunks:
        held.add(chunk, 1)
    sweep.walk(Walk("a", held, HeldReplicas(), 0))
    sweep.walk(Walk("b", held, HeldReplicas(), 0))
    slices_of_walks = 0
    while not sweep.has_finished:
        found = sweep.step(namenode.table, now_ns, 100)
        slices_of_walks += len(found) == 100
        now_ns += SWEEP_PAUSE_NS
    assert slices_of_walks == (SLICES + 1) * SWEEP_MAX_ROWS // 100
    assert sweep.is_busy(now_ns)


def test_what_a_node_lost_while_nothing_could_be_changed_is_found_afterwards(
    namenode: Namenode,
) -> None:
    namenode.write("/f")
    namenode.ask(a.SetSafeMode("on"))
    come(namenode, ALL[0], ())
    namenode.ask(a.SetSafeMode("off"))
    slices(namenode)
    assert health(namenode) == (0, 1)


def test_no_shortage_is_forgotten_for_lack_of_room(
    namenode: Namenode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfs.namenode.repair.REPAIR_QUEUE_MAX_CHUNKS", 5)
    namenode.write("/f", (4096,) * 40, chunk_bytes=4096)
    chunks = {c.chunk for c in namenode.ask(m.Locate("/f")).chunks}
    come(namenode, ALL[0], ())
    copied = set()
    for _ in range(60):
        for order in namenode.orders(n.CopyReplica):
            assert isinstance(order.message, n.CopyReplica)
            copied.add(order.message.chunk)
            namenode.obey(order.to.name, order)
        namenode.advance(1, beating=ALL)
    assert copied == chunks
    assert namenode.mono_ns < 600 * SECOND_NS
