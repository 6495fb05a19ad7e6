"""What a slice of the sweep judges, how much of it at a time, and what it need not judge."""

from __future__ import annotations

import struct
from array import array
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.config.schema import Times
from dfs.limits import JUDGE_MAX_LOOKS, SWEEP_MAX_ROWS, SWEEP_PAUSE_NS
from dfs.namenode.keys import ChunkRow
from dfs.namenode.nodes import Introduction, Nodes
from dfs.namenode.orders import Orders
from dfs.namenode.repair import Repair
from dfs.namenode.sorted_ids import BLOCK_MAX, SortedIds
from dfs.namenode.standing import FileChunk
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.node import ReplicaId

TIMES = Times()
LATER_NS = 1 + TIMES.dead_ns

some = st.sets(st.integers(1, 4 * BLOCK_MAX), max_size=60)
run = st.tuples(st.integers(1, 3 * BLOCK_MAX), st.integers(0, 2 * BLOCK_MAX)).map(
    lambda begin_and_length: set(range(begin_and_length[0], sum(begin_and_length)))
)


@given(some | run, some | run, some)
def test_what_two_sets_of_numbers_have_in_common(
    here: set[int], asked: set[int], gone: set[int]
) -> None:
    ids = SortedIds()
    ids.extend(array("Q", sorted(here)))
    for number in gone:
        ids.discard(number)
    assert ids.among(array("Q", sorted(asked))) == sorted((here - gone) & asked)


NODES = ("a", "b", "c")
CHUNKS = (1, 2)
rows = st.builds(
    lambda chunk, generation: ChunkRow(chunk, generation, 4096, b"", 1),
    st.sampled_from(CHUNKS),
    st.integers(1, 2),
)
file_chunks = st.builds(FileChunk, st.just(9), st.just(0), rows, st.integers(1, 3))
held = st.sets(st.tuples(st.sampled_from(CHUNKS), st.sampled_from((1, 1, 1, 2))))
well = st.tuples(held, st.just(set[Any]()), st.just(True), st.just("live"))
any_state = st.tuples(held, held, st.booleans(), st.sampled_from(("live", "stale", "dead")))
states = st.lists(well | any_state, max_size=3)


def given_nodes(drawn: list[tuple[Any, Any, bool, str]]) -> tuple[Nodes, Orders]:
    """Nodes that hold some replicas and are to delete others, in every state of health."""
    nodes, orders = Nodes(TIMES, (), 1), Orders()
    seen_ns = {"live": LATER_NS, "stale": 2, "dead": 1}
    for name, (holds, leaving, in_step, health) in zip(NODES, drawn, strict=False):
        address = m.NodeAddress(name, ("x",), name, "r")
        nodes.register(Introduction(address, 1 << 40, 0), seen_ns[health])
        node = nodes.get(name)
        assert node is not None
        node.in_step = in_step
        for chunk, generation in sorted(holds):
            nodes.add_replica(name, chunk, generation)
        for chunk, generation in sorted(leaving):
            orders.want_deleted(name, ReplicaId(chunk, generation, 4096))
    nodes.bury(LATER_NS)
    return nodes, orders


def everything(repair: Repair) -> object:
    queues = [list(queue) for queue in repair._queue]
    missing = repair.missing.page(0, 99)
    return queues, dict(repair._urgency), list(repair._surplus), missing, repair.owes


@settings(max_examples=400, deadline=None)
@given(
    states,
    states,
    st.lists(file_chunks, max_size=2, unique_by=lambda chunk: chunk.row.chunk),
    st.booleans(),
    st.booleans(),
)
def test_to_settle_chunks_as_a_whole_is_to_judge_each(
    before: list[Any],
    after: list[Any],
    chunks: list[FileChunk],
    were_judged: bool,
    owes: bool,
) -> None:
    found = []
    for as_a_whole in (False, True):
        nodes, orders = given_nodes(before)
        repair = Repair(nodes, orders)
        for chunk in chunks if were_judged else ():
            repair.judge(chunk, LATER_NS)
        repair._nodes, repair._orders = given_nodes(after)
        repair.owes = owes
        for chunk in repair.settle(chunks, LATER_NS) if as_a_whole else chunks:
            repair.judge(chunk, LATER_NS)
        found.append(everything(repair))
    assert found[0] == found[1]


def test_what_is_as_it_should_be_is_not_judged() -> None:
    in_order = ({(chunk, 1) for chunk in CHUNKS}, set(), True, "live")
    nodes, orders = given_nodes([in_order, in_order])
    repair = Repair(nodes, orders)
    two = [FileChunk(9, 0, ChunkRow(chunk, 1, 4096, b"", 1), 2) for chunk in CHUNKS]
    three = [FileChunk(9, 0, ChunkRow(chunk, 1, 4096, b"", 1), 3) for chunk in CHUNKS]
    assert repair.settle(two, LATER_NS) == []
    assert repair.settle(three, LATER_NS) == three
    repair.judge(three[0], LATER_NS)
    assert repair.owes
    assert repair.settle(three, LATER_NS) == []


def test_a_step_judges_so_many_and_the_next_ones_the_others(lone_namenode: Any) -> None:
    files, chunks = 4, SWEEP_MAX_ROWS // 2
    lone_namenode.join("datanode-1", "datanode-2")
    numbers = []
    for at in range(files):
        lone_namenode.write(f"/f{at}", (4096,) * chunks, chunk_bytes=4096)
        numbers += [c.chunk for c in lone_namenode.ask(m.Locate(f"/f{at}")).chunks]
    lone_namenode.restart()
    report = b"".join(struct.pack(">QQQ", chunk, 1, 4096) for chunk in sorted(numbers))
    for name, replicas in (("datanode-1", report), ("datanode-2", b"")):
        register = n.Register((f"tcp://{name}:1",), name, "default", 1 << 40, 1 << 40, 0, 0, 1)
        lone_namenode.tell(name, register)
        lone_namenode.tell(name, n.ReportPage(1, 0, True), replicas)
        lone_namenode.tell(name, n.ReplicaNews(1))
    short = [0]
    while short[-1] < files * chunks:
        short.append(lone_namenode.ask(m.GetStatus()).under_replicated)
        lone_namenode.mono_ns += SWEEP_PAUSE_NS
        lone_namenode.settle()
        assert len(short) < 99
    assert max(b - a for a, b in pairwise(short)) <= JUDGE_MAX_LOOKS // 7
