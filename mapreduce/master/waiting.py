"""The tasks of one kind that wait for a slot, in the order in which they go.

Tasks that wait again come first, the newest of them at the head; behind them come, by index, those
that never ran. Of these only a *window* at the head is laid out, and of all that is laid out only
the window is looked at one by one; maps are known by the nodes that hold their input. So a choice
costs the same however long the queue is, and a long queue costs nothing but its length.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

from mapreduce.limits import LOCALITY_WINDOW_TASKS
from mapreduce.master.task import Task, Tasks


class WaitingTasks:
    """See the module's text."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._window: OrderedDict[int, Task] = OrderedDict()
        self._fresh_from = 0
        self._fresh = len(tasks)
        self._taken: set[int] = set()
        self._unlocated: dict[int, Task] = {}
        self._near: dict[str, OrderedDict[int, Task]] = {}

    def __len__(self) -> int:
        return len(self._window) + self._fresh

    def __contains__(self, index: int) -> bool:
        never_ran = index >= self._fresh_from and index not in self._taken
        return index in self._window or never_ran

    def first(self) -> Task | None:
        """The task that goes first."""
        self._lay_out(1)
        return next(iter(self._window.values()), None)

    def window(self) -> Iterator[Task]:
        """The head of the queue, in order."""
        self._lay_out(LOCALITY_WINDOW_TASKS)
        return islice(self._window.values(), LOCALITY_WINDOW_TASKS)

    def unlocated(self) -> Iterator[Task]:
        """Those that are laid out whose nodes are not known."""
        self._lay_out(LOCALITY_WINDOW_TASKS)
        return iter(self._unlocated.values())

    def near(self, node: str) -> Task | None:
        """The first task that is laid out whose input this node holds best."""
        held = self._near.get(node)
        return None if held is None else next(iter(held.values()))

    @property
    def is_placed(self) -> bool:
        """Does any node hold input of what is laid out?"""
        return bool(self._near)

    def locate(self, task: Task, nodes: tuple[str, ...] | None, look_ns: int) -> None:
        """The nodes of a task were looked up."""
        waits = task.index in self._window
        if waits:
            self._drop_place(task)
        task.nodes, task.look_ns = nodes, look_ns
        if waits:
            self._add_place(task)

    def wait_first(self, task: Task) -> None:
        """A task waits again. It is as old as ever, so it goes first: what fails every time
        shows soon, and reduces get a lost run back soon."""
        self._window[task.index] = task
        self._window.move_to_end(task.index, last=False)
        self._add_place(task)
        for node in task.nodes or ():
            self._near[node].move_to_end(task.index, last=False)

    def remove(self, task: Task) -> bool:
        """The task does not wait any more; False when it did not."""
        if self._window.pop(task.index, None) is not None:
            self._drop_place(task)
            return True
        if task.index not in self:
            return False
        self._taken.add(task.index)
        self._fresh -= 1
        return True

    def _lay_out(self, count: int) -> None:
        while self._fresh and len(self._window) < count:
            index = self._fresh_from
            self._fresh_from += 1
            if index in self._taken:
                self._taken.remove(index)
                continue
            self._fresh -= 1
            task = self._window[index] = self._tasks[index]
            self._add_place(task)

    def _add_place(self, task: Task) -> None:
        if task.nodes is None:
            self._unlocated[task.index] = task
        for node in task.nodes or ():
            self._near.setdefault(node, OrderedDict())[task.index] = task

    def _drop_place(self, task: Task) -> None:
        self._unlocated.pop(task.index, None)
        for node in task.nodes or ():
            held = self._near[node]
            del held[task.index]
            if not held:
                del self._near[node]
