"""Which map a free slot gets, as a table."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mapreduce.limits import LOCALITY_WAIT_NS, LOCALITY_WINDOW_TASKS
from mapreduce.master.policy import NODE_LOCAL, REMOTE, Pick, best_nodes, pick_task

NOW = 100 * LOCALITY_WAIT_NS
OLD = NOW - LOCALITY_WAIT_NS
NEW = NOW - 1


@dataclass
class Map:
    index: int
    since_ns: int
    nodes: tuple[str, ...] | None


@pytest.mark.parametrize(
    ("waiting", "staffed", "index", "locality", "miss"),
    [
        pytest.param([Map(0, NEW, ("a",)), Map(1, NEW, ("b",))], "ab", 1, NODE_LOCAL, "", id="own"),
        pytest.param(
            [Map(0, OLD, ("a",)), Map(1, NEW, ("b",))], "ab", 1, NODE_LOCAL, "", id="own>"
        ),
        pytest.param([Map(0, NEW, ("a",))], "ab", None, "", "", id="wait"),
        pytest.param([Map(0, OLD, ("a",))], "ab", 0, REMOTE, "no free slot on a", id="waited"),
        pytest.param([Map(0, NEW, ("a",))], "b", 0, REMOTE, "no live worker on a", id="unstaffed"),
        pytest.param([Map(0, NEW, ())], "b", 0, REMOTE, "stored with the namenode", id="inline"),
        pytest.param([Map(0, NEW, None)], "b", None, "", "", id="unknown"),
        pytest.param([Map(0, OLD, None)], "b", 0, REMOTE, "no replica", id="unknown, waited"),
        pytest.param([Map(4, OLD, ("a",)), Map(2, OLD, ("a",))], "ab", 4, REMOTE, "no", id="first"),
        pytest.param([], "b", None, "", "", id="nothing"),
    ],
)
def test_choice(
    waiting: list[Map], staffed: str, index: int | None, locality: str, miss: str
) -> None:
    pick = pick_task(waiting, "b", set(staffed), NOW)
    if index is None:
        assert pick is None
    else:
        assert pick is not None
        assert (pick.index, pick.locality) == (index, locality)
        assert miss in pick.miss
        assert bool(pick.miss) == (locality == REMOTE)


def test_the_window_bounds_a_choice() -> None:
    remote = [Map(i, NEW, ("a",)) for i in range(LOCALITY_WINDOW_TASKS)]
    local = Map(LOCALITY_WINDOW_TASKS, NEW, ("b",))
    assert pick_task([*remote, local], "b", {"a", "b"}, NOW) is None
    assert pick_task([*remote[1:], local], "b", {"a", "b"}, NOW) == Pick(local.index, NODE_LOCAL)


@pytest.mark.parametrize(
    ("extents", "start", "end", "nodes"),
    [
        ([], 0, 10, ()),
        ([(0, 10, ())], 0, 10, ()),
        ([(0, 10, ("b", "a"))], 0, 10, ("a", "b")),
        ([(0, 10, ("a",)), (10, 10, ("b",))], 4, 20, ("b",)),
        ([(0, 10, ("a", "b")), (10, 10, ("b", "c"))], 0, 20, ("b",)),
        ([(0, 10, ("a",)), (10, 10, ("b",))], 0, 10, ("a",)),
    ],
)
def test_the_nodes_with_most_bytes(
    extents: list[tuple[int, int, tuple[str, ...]]], start: int, end: int, nodes: tuple[str, ...]
) -> None:
    assert best_nodes(extents, start, end) == nodes
