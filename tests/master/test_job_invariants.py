"""Damage to each kind of row of the master's tables: fsck says which invariant broke."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dfs.namenode.fsck import find_problems
from dfs.namenode.keys import Row, get_row, number_key, pair_key, put_row
from mapreduce import wire as w
from mapreduce.commands import MODULE
from mapreduce.tables import EPOCH, TABLES, JobRow, TaskRow, task_key
from tests.master.master_stage import ATTEMPTS, Stage

pytestmark = pytest.mark.damages_tables
JOB = number_key(1)
MAP = task_key(1, 0, w.TaskKind.MAP, 0)


@pytest.fixture
def stage() -> Stage:
    """A job of three maps and two reduces, of which one map is done and one runs."""
    stage = Stage()
    stage.join("w1", slots=2)
    stage.submit(maps=3, partitions=2)
    first, _ = stage.take_orders(*ATTEMPTS)
    stage.succeed("w1", first[1])
    return stage


def edit(stage: Stage, table: str, key: bytes, cls: type[Row], **changes: Any) -> None:
    row = get_row(stage.table, table, key, cls)
    assert row is not None
    put_row(stage.table, table, key, msgspec.structs.replace(row, **changes))


def drop_steps(stage: Stage) -> None:
    row = get_row(stage.table, "jobs", JOB, JobRow)
    assert row is not None
    spec = msgspec.structs.replace(row.spec, steps=())
    put_row(stage.table, "jobs", JOB, msgspec.structs.replace(row, spec=spec))


def drop_splits(stage: Stage) -> None:
    for index in (1, 2):
        assert stage.table.delete("splits", pair_key(1, index))


def task_of_nothing(stage: Stage) -> None:
    put_row(stage.table, "tasks", task_key(1, 0, w.TaskKind.REDUCE, 2), TaskRow(1))


def event_elsewhere(stage: Stage) -> None:
    value = stage.table.get("events", pair_key(1, 1))
    assert value is not None
    stage.table.put("events", pair_key(1, 99), value)


def event_of_nothing(stage: Stage) -> None:
    value = stage.table.get("events", pair_key(1, 1))
    assert value is not None
    stage.table.put("events", pair_key(7, 1), value)


def split_of_nothing(stage: Stage) -> None:
    value = stage.table.get("splits", pair_key(1, 0))
    assert value is not None
    stage.table.put("splits", pair_key(7, 0), value)


DAMAGES: list[tuple[int, str, Callable[[Stage], object]]] = [
    (1, "a job", lambda s: s.table.put("jobs", JOB, b"\xc1")),
    (1, "a job's key", lambda s: s.table.put("jobs", b"1", b"")),
    (1, "a job without steps", drop_steps),
    (1, "a split", lambda s: s.table.put("splits", pair_key(1, 0), b"\xc1")),
    (1, "a split's key", lambda s: s.table.put("splits", b"1", b"")),
    (1, "a task", lambda s: s.table.put("tasks", MAP, b"\xc1")),
    (1, "a task's key", lambda s: s.table.put("tasks", b"1", b"")),
    (1, "a kind of task", lambda s: s.table.put("tasks", MAP[:8] + b"\7" + MAP[9:], b"")),
    (1, "an event", lambda s: s.table.put("events", pair_key(1, 1), b"\xc1")),
    (1, "an event's key", lambda s: s.table.put("events", b"1", b"")),
    (1, "the epoch", lambda s: s.table.put("master", EPOCH, number_key(0))),
    (1, "an unknown counter", lambda s: s.table.put("master", b"other", JOB)),
    (40, "a job's id", lambda s: edit(s, "jobs", JOB, JobRow, job="j-20261121-0002")),
    (41, "a state", lambda s: edit(s, "jobs", JOB, JobRow, state=w.JobState.QUEUED)),
    (41, "an end", lambda s: edit(s, "jobs", JOB, JobRow, ended_ns=5)),
    (42, "the last splits", drop_splits),
    (42, "a split between", lambda s: s.table.delete("splits", pair_key(1, 1))),
    (43, "a split of no job", split_of_nothing),
    (44, "a task of nothing", task_of_nothing),
    (45, "an attempt", lambda s: edit(s, "tasks", MAP, TaskRow, done=9)),
    (45, "a worker", lambda s: edit(s, "tasks", MAP, TaskRow, worker="")),
    (46, "an event's place", event_elsewhere),
    (46, "an event's job", event_of_nothing),
]


def numbers(stage: Stage) -> set[int]:
    return {p.number for p in find_problems(stage.table, stage.modules, stage.index + 1)}


def test_sound_tables_have_no_problem(stage: Stage) -> None:
    assert numbers(stage) == set()
    assert all(stage.table.scan(name, b"\0", 1) for name in TABLES)
    assert tuple(MODULE.checks) == TABLES


@pytest.mark.parametrize(
    ("number", "damage"), [pytest.param(n, d, id=f"{n}-{what}") for n, what, d in DAMAGES]
)
def test_damage_is_found(stage: Stage, number: int, damage: Callable[[Stage], object]) -> None:
    damage(stage)
    assert numbers(stage) == {number}
