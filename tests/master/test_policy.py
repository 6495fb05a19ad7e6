"""How far from its input a map may go, and the queue it waits in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from mapreduce.limits import LOCALITY_WAIT_NS, LOCALITY_WINDOW_TASKS, RACK_WAIT_NS
from mapreduce.master.policy import Staff, best_nodes, reach
from mapreduce.master.task import Task, Tasks
from mapreduce.master.waiting import WaitingTasks
from mapreduce.wire import TaskKind

NOW = 100 * LOCALITY_WAIT_NS
OLDER = NOW - RACK_WAIT_NS
OLD = NOW - LOCALITY_WAIT_NS
NEW = NOW - 1


@dataclass
class Map:
    index: int
    since_ns: int
    nodes: tuple[str, ...] | None


def staff(nodes: str, racks: dict[str, str]) -> Staff:
    """Live workers on these nodes; the racks are those of all nodes."""
    return Staff(Counter(nodes), Counter(racks[n] for n in nodes if n in racks), racks)


@pytest.mark.parametrize(
    ("since_ns", "nodes", "staffed", "racks", "anywhere", "why"),
    [
        pytest.param(NEW, ("a",), "ab", (), False, "", id="wait"),
        pytest.param(OLD, ("a",), "ab", (), True, "no free slot on a for 3 s", id="waited"),
        pytest.param(NEW, ("a",), "b", (), True, "no live worker on a", id="unstaffed"),
        pytest.param(NEW, (), "b", (), True, "stored with the namenode", id="inline"),
        pytest.param(NEW, None, "b", (), False, "", id="unknown"),
        pytest.param(OLD, None, "b", (), True, "no replica", id="unknown, waited"),
        pytest.param(NEW, ("x",), "xyz", (), False, "", id="rack: wait"),
        pytest.param(OLD, ("x",), "xyz", ("r",), False, "no free slot on x for 3 s", id="rack"),
        pytest.param(NEW, ("x",), "yz", ("r",), False, "no live worker on x", id="rack at once"),
        pytest.param(OLD, ("x",), "z", (), True, "no live worker on x", id="rack without workers"),
        pytest.param(OLDER, ("x",), "xyz", ("r",), True, "for 3 s", id="rack: waited"),
    ],
)
def test_reach(
    since_ns: int,
    nodes: tuple[str, ...] | None,
    staffed: str,
    racks: tuple[str, ...],
    anywhere: bool,
    why: str,
) -> None:
    may = reach(Map(0, since_ns, nodes), staff(staffed, {"x": "r", "y": "r", "z": "s"}), NOW)
    assert (may.racks, may.anywhere) == (racks, anywhere)
    assert why in (may.why_rack if racks else may.why_remote)
    if racks and anywhere:
        assert may.why_remote == "no free slot on x and in r for 6 s"


def waiting(count: int) -> tuple[Tasks, WaitingTasks]:
    tasks = Tasks(TaskKind.MAP, count, NEW)
    return tasks, WaitingTasks(tasks)


def test_a_queue_lays_out_its_head_alone() -> None:
    tasks, queue = waiting(10 * LOCALITY_WINDOW_TASKS)
    assert (len(queue), len(list(tasks.made()))) == (10 * LOCALITY_WINDOW_TASKS, 0)
    assert [task.index for task in queue.window()] == list(range(LOCALITY_WINDOW_TASKS))
    assert len(list(tasks.made())) == LOCALITY_WINDOW_TASKS
    assert len(queue) == 10 * LOCALITY_WINDOW_TASKS
    assert 9 * LOCALITY_WINDOW_TASKS in queue


def test_what_waits_again_goes_first_and_is_found_by_its_nodes_first() -> None:
    tasks, queue = waiting(4)
    for task in list(queue.window()):
        queue.locate(task, ("a", "b"), 0)
    assert queue.near("b") is tasks[0]
    for index in (0, 1):
        assert queue.remove(tasks[index])
    assert not queue.remove(tasks[0])
    queue.wait_first(tasks[1])
    assert queue.near("a") is queue.first() is tasks[1]
    queue.locate(tasks[1], None, 0)
    assert [task.index for task in queue.unlocated()] == [1]
    assert queue.near("a") is tasks[2]
    for task in [*queue.window()]:
        queue.remove(task)
    assert (len(queue), queue.is_placed, queue.first()) == (0, False, None)


def test_a_task_far_behind_is_taken_out() -> None:
    tasks, queue = waiting(3 * LOCALITY_WINDOW_TASKS)
    far = 2 * LOCALITY_WINDOW_TASKS
    assert queue.remove(tasks[far])
    assert not queue.remove(tasks[far])
    assert far not in queue
    seen: list[Task] = []
    while (task := queue.first()) is not None:
        assert queue.remove(task)
        seen.append(task)
    assert len(seen) == 3 * LOCALITY_WINDOW_TASKS - 1
    assert tasks[far] not in seen


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
